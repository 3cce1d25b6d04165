"""Weights files: kept, named, attacked."""

import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from model import TFCLIP, ImageSpecification, ModelConfig, WeightsError, load_model, new_model, save_model
from model.checkpoint import describe_weights
from model.identity import model_id


@pytest.fixture
def saved(network: TFCLIP, tmp_path: Path) -> Path:
    path = tmp_path / "W.safetensors"
    save_model(network, path, {"source": "test"})
    return path


def parts(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as handle:
        return load_file(path), handle.metadata()


def test_a_saved_model_describes_as_before(network: TFCLIP, saved: Path, frames: Tensor) -> None:
    loaded = load_model(saved)
    assert not loaded.training
    assert (loaded.config, loaded.image) == (network.config, network.image)
    assert torch.equal(loaded.describe(frames), network.describe(frames))


def test_two_savings_of_one_model_have_one_id(network: TFCLIP, saved: Path, tmp_path: Path) -> None:
    again = save_model(load_model(saved), tmp_path / "again.safetensors", {"trained": True, "data_set": "other"})
    assert again == model_id(network) == model_id(load_model(saved)) == describe_weights(saved).model_id
    assert len(again) == 64


def test_the_id_covers_weights_config_and_image_specification(config: ModelConfig, network: TFCLIP) -> None:
    other_config = replace(config, clip_length=5)
    other_image = ImageSpecification(height=32, width=16, mean=(0.5, 0.5, 0.5))
    variants = [network, new_model(config, seed=2), TFCLIP(other_config), TFCLIP(config, other_image)]
    for variant in variants[2:]:
        variant.load_state_dict(network.state_dict())
    assert len({model_id(variant) for variant in variants}) == 4
    before = model_id(network)
    with torch.no_grad():
        network.encoder.visual.ln_post.bias[0] += 1e-7
    assert model_id(network) != before


def test_a_seed_makes_one_network_and_leaves_the_global_generator_alone(config: ModelConfig) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = new_model(config, seed=9)
    assert torch.equal(torch.rand(3), expected)
    assert model_id(first) == model_id(new_model(config, seed=9)) != model_id(new_model(config, seed=10))


def test_a_file_says_what_it_is(saved: Path, config: ModelConfig) -> None:
    info = describe_weights(saved)
    assert info.config == config
    assert info.provenance["trained"] is False
    assert info.provenance["source"] == "test"
    assert info.provenance["created_by"].startswith("tfclip ")
    assert info.parameters["cameras"] == 3 * 32
    assert info.parameters["total"] == sum(info.parameters[part] for part in ("encoder", "cameras", "temporal"))
    assert json.loads(json.dumps(info.to_dict())) == info.to_dict()


def test_a_file_appears_whole_or_not_at_all(network: TFCLIP, saved: Path) -> None:
    before = saved.read_bytes()
    with torch.no_grad():
        network.encoder.visual.proj[0, 0] = float("inf")
    with pytest.raises(WeightsError, match="not finite: encoder"):
        save_model(network, saved, {})
    with pytest.raises(WeightsError, match="cannot write"):
        save_model(load_model(saved), saved.parent / "none" / "W.safetensors", {})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_weights_file_has_the_mode_of_any_other_file(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    assert saved.stat().st_mode == other.stat().st_mode


def test_a_loaded_model_does_not_depend_on_its_file(saved: Path, frames: Tensor) -> None:
    loaded = load_model(saved)
    before = loaded.describe(frames)
    saved.write_bytes(b"\0" * saved.stat().st_size)
    assert torch.equal(loaded.describe(frames), before)


def test_a_missing_file_is_answered_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="tfclip weights init"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.00001, 0.0001, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(saved: Path, share: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_model(saved)
    saved.write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_model(saved)


def test_a_flipped_bit_in_the_header_is_refused_or_changes_nothing_but_provenance(saved: Path) -> None:
    whole = saved.read_bytes()
    expected = describe_weights(saved)
    (header,) = struct.unpack("<Q", whole[:8])
    provenance = whole.index(b"tfclip.provenance")
    for position in range(0, 8 + header, 7):
        saved.write_bytes(whole[:position] + bytes([whole[position] ^ (1 << position % 8)]) + whole[position + 1 :])
        try:
            found = describe_weights(saved)
        except WeightsError:
            continue
        assert provenance < position < provenance + 120 or found.provenance == expected.provenance
        assert replace(found, provenance=expected.provenance) == expected


@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_a_flipped_bit_in_the_numbers_is_refused(saved: Path, share: float) -> None:
    data = bytearray(saved.read_bytes())
    data[int(len(data) * share)] ^= 1
    saved.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load_model(saved)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("encoder.visual.proj", None, "missing tensors: encoder.visual.proj"),
        ("encoder.extra", torch.zeros(2), "unexpected tensors: encoder.extra"),
        ("encoder.visual.proj", torch.zeros(16, 32), r"proj is \(16, 32\) float32, expected \(32, 16\) float32"),
        ("encoder.visual.proj", torch.zeros(32, 16).half(), r"proj is \(32, 16\) float16, expected \(32, 16\) float32"),
        ("encoder.visual.proj", torch.full((32, 16), float("nan")), "not finite: encoder.visual.proj"),
        ("encoder.visual.proj", torch.full((32, 16), float("-inf")), "not finite: encoder.visual.proj"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(saved: Path, name: str, change: Tensor | None, complaint: str) -> None:
    tensors, metadata = parts(saved)
    tensors.pop(name, None)
    save_file(tensors if change is None else {**tensors, name: change}, saved, metadata)
    with pytest.raises(WeightsError, match=complaint):
        load_model(saved)


def test_many_missing_tensors_are_counted(saved: Path) -> None:
    tensors, metadata = parts(saved)
    save_file({"a": torch.zeros(1)}, saved, metadata)
    with pytest.raises(WeightsError, match=rf"and {len(tensors) - 5} more"):
        load_model(saved)


@pytest.mark.parametrize(
    ("key", "change", "complaint"),
    [
        ("tfclip.format", "2", "upgrade"),
        ("tfclip.format", None, "lacks tfclip.format"),
        ("tfclip.config", None, "lacks tfclip.config"),
        ("tfclip.config", "{", "metadata"),
        ("tfclip.config", "[]", "expected a JSON object"),
        ("tfclip.config", '{"depth": 3}', "unknown config keys: depth.*Upgrade"),
        ("tfclip.image", "{}", "expected height"),
        ("tfclip.provenance", "3", "expected a JSON object"),
        ("tfclip.model_id", "0" * 64, "damaged"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(saved: Path, key: str, change: str | None, complaint: str) -> None:
    tensors, metadata = parts(saved)
    del metadata[key]
    save_file(tensors, saved, metadata if change is None else {**metadata, key: change})
    with pytest.raises(WeightsError, match=complaint):
        load_model(saved)


@pytest.mark.parametrize("size", [10**6, 2**62])
def test_a_config_of_absurd_size_is_refused_without_taking_memory(saved: Path, size: int) -> None:
    tensors, metadata = parts(saved)
    config = {**json.loads(metadata["tfclip.config"]), "width": size}
    save_file(tensors, saved, {**metadata, "tfclip.config": json.dumps(config)})
    with pytest.raises(WeightsError):
        load_model(saved)


def test_a_safetensors_file_without_metadata_is_answered_with_the_import_commands(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="tfclip weights import-official"):
        load_model(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "W.safetensors"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="tfclip weights import-official"):
        load_model(path)
