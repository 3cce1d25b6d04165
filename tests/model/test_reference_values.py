"""The authors' network and ours: same weights, same frames. The weights go through the import command."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from typer import Typer
from typer.testing import CliRunner

from model import TrackletFeatures, load_model
from tests.model.reference_rule import DATA, reference_frames, reference_values, released_state


@dataclass(frozen=True)
class Computed:
    """What our network says about the reference's frames."""

    report: dict[str, object]
    with_cameras: TrackletFeatures
    descriptor: Tensor
    without_cameras: TrackletFeatures


@pytest.fixture(scope="module")
def computed(app: Typer, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    folder = tmp_path_factory.mktemp("official")
    checkpoint, weights = folder / "released.pth", folder / "imported.safetensors"
    torch.save({f"module.{name}": tensor for name, tensor in released_state().items()}, checkpoint)
    arguments = ["weights", "import-official", str(checkpoint), "--cameras", "keep", "--out", str(weights), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    checkpoint.unlink()
    network = load_model(weights, device="cpu")
    weights.unlink()
    frames = reference_frames()
    with torch.no_grad():
        with_cameras = network(frames, torch.tensor([0, 3, 3, 5]))
        without_cameras = network(frames)
    single = network.describe(frames[:1, :1], torch.tensor([0]))
    return Computed(json.loads(result.stdout), with_cameras, single, without_cameras)


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    return reference_values()


def relative_error(actual: Tensor | None, expected: Tensor) -> float:
    assert actual is not None
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.abs().max())


def test_the_encoder_equals_the_released_code(computed: Computed, reference: dict[str, Tensor]) -> None:
    assert relative_error(computed.with_cameras.u_frames, reference["encoder_cls"]) < 1e-4
    assert relative_error(computed.with_cameras.v_frames, reference["encoder_cls_projected"]) < 1e-4


def test_temporal_memory_diffusion_equals_the_released_code(computed: Computed, reference: dict[str, Tensor]) -> None:
    assert relative_error(computed.with_cameras.g_frames, reference["tmd_frame_features"]) < 1e-4


def test_the_descriptor_equals_the_released_code(computed: Computed, reference: dict[str, Tensor]) -> None:
    assert relative_error(computed.with_cameras.descriptor, reference["descriptor"]) < 1e-4


def test_the_memory_feature_without_cameras_equals_the_released_code(
    computed: Computed, reference: dict[str, Tensor]
) -> None:
    assert relative_error(computed.without_cameras.v, reference["memory_sequence_features"]) < 1e-4


def test_a_clip_of_one_frame_has_that_frames_encoder_features(computed: Computed, reference: dict[str, Tensor]) -> None:
    expected = torch.cat([reference["encoder_cls"][:1, 0], reference["encoder_cls_projected"][:1, 0]], dim=1)
    assert computed.descriptor.shape == (1, 2048)
    assert relative_error(computed.descriptor[:, :1280], expected) < 1e-4


def test_the_import_names_every_tensor_as_used_or_training_only(computed: Computed) -> None:
    shapes = json.loads((DATA / "official_state_dict_shapes.json").read_text())
    used, training_only = computed.report["used"], computed.report["training_only"]
    assert isinstance(used, list)
    assert isinstance(training_only, list)
    assert sorted(used + training_only) == sorted(shapes)
    assert {name.split(".")[0] for name in used} == {"cv_embed", "image_encoder", "TMD"}
    assert computed.report["cameras"] == 6
    assert computed.report["trained"] is True
