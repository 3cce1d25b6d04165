"""`tfclip whiten`, and runs that start from whitened weights."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from model import ModelConfig, load_model, new_model, save_model
from model.checkpoint import describe_weights
from model.cli import build_app
from model.whitening import within_identity_whitening
from tests.training.small_run import coloured_people
from training.config import ConfigError, Network, load_config
from training.datasets.registry import read_data_set
from training.evaluation import describe_tracklets
from training.start import starting_model

CONFIG = ModelConfig(
    image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=2
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured_people(tmp_path_factory.mktemp("people"), people=4)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_model(new_model(CONFIG, seed=3), tmp_path / "W.safetensors", {"trained": True, "name": "mine"})
    return tmp_path / "W.safetensors"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [str(one) for one in arguments])


def whiten(weights: Path, root: Path, out: Path, *more: str) -> Result:
    return run("whiten", "--dataset", "folder", "--root", root, "--weights", weights, "--out", out, *more)


def test_descriptors_are_those_of_the_plain_network_after_the_map(people: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "V.safetensors"
    result = whiten(weights, people, out, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["identities"], document["tracklets"], document["mirrored"]) == (4, 16, False)
    tracklets = read_data_set("folder", people).train
    plain = describe_tracklets(new_model(CONFIG, seed=3), tracklets)
    labels = torch.tensor([int(one.identity.removeprefix("person-")) for one in tracklets])
    mean, matrix = within_identity_whitening(plain, labels, 0.1)
    found = describe_tracklets(load_model(out), tracklets)
    torch.testing.assert_close(found, (plain - mean) @ matrix, rtol=1e-3, atol=1e-4)
    info = describe_weights(out)
    assert info.model_id == document["model_id"]
    assert (info.provenance["name"], info.provenance["whitening"]["shrinkage"]) == ("mine", 0.1)


def test_whitening_again_replaces_the_whitening(people: Path, weights: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert whiten(weights, people, first, "--mirror", "--shrinkage", "5").exit_code == 0
    assert load_model(first).config.mirrored
    assert whiten(first, people, second).exit_code == 0
    straight = tmp_path / "straight.safetensors"
    assert whiten(weights, people, straight).exit_code == 0
    assert describe_weights(second).model_id == describe_weights(straight).model_id


def test_a_run_starts_from_whitened_weights_as_from_the_plain_ones(people: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "V.safetensors"
    assert whiten(weights, people, out, "--mirror").exit_code == 0
    overrides = {key: value for key, value in CONFIG.to_dict().items() if key != "cameras"}
    found, _ = starting_model(Network(preset="tiny", overrides=overrides, start=str(out)), 2, seed=0)
    assert found.config == CONFIG
    torch.testing.assert_close(dict(found.state_dict()), dict(new_model(CONFIG, seed=3).state_dict()))


def test_what_cannot_be_whitened_is_one_line(people: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "V.safetensors"
    for more in (("--shrinkage", "0"), ("--root", str(tmp_path / "nowhere"))):
        result = whiten(weights, people, out, *more)
        assert result.exit_code == 2
        assert len(result.stderr.strip().splitlines()) == 1
        assert not out.exists()
    assert whiten(weights, people, weights).exit_code == 2
    assert "--force" in whiten(weights, people, weights).stderr


def test_a_config_cannot_ask_to_train_a_whitening() -> None:
    with pytest.raises(ConfigError, match="tfclip whiten"):
        load_config("folder_tiny", ("network.overrides={whitened: true}",))
