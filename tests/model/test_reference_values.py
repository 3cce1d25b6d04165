"""The authors' network and ours, with the same weights on the same frames: the weights go through the import command.

Weights and inputs follow from a rule, so that no weights file is needed. For a name, u(name, shape) = 2 r - 1, where r
are the first numbers of PCG64 seeded by the first 8 bytes, little endian, of sha256("tfclip-reference:" + name). The
values in data/reference.npz were computed with the released code in float32 on a CPU.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from typer import Typer
from typer.testing import CliRunner

from model import TrackletFeatures, load_model

DATA = Path(__file__).parent / "data"


def uniform(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(f"tfclip-reference:{name}".encode()).digest()[:8], "little")
    return (2 * np.random.Generator(np.random.PCG64(seed)).random(math.prod(shape)) - 1).reshape(shape)


def reference_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    if not shape:
        return torch.tensor(0)
    u = uniform(name, shape)
    if name.endswith("running_var"):
        value = 1 + 0.5 * u
    elif name.endswith("running_mean"):
        value = 0.1 * u
    elif name.endswith("bias"):
        value = 0.02 * u
    elif len(shape) == 1 and name.endswith("weight"):
        value = 1 + 0.1 * u
    elif name == "SSP.alpha":
        value = 0.1 * u
    elif name.endswith(("class_embedding", "positional_embedding", "cv_embed")) or "classifier" in name:
        value = 0.05 * u
    elif name == "image_encoder.proj":
        value = u * math.sqrt(3 / 768)
    else:
        value = u * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(value.astype(np.float32))


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
    shapes = json.loads((DATA / "official_state_dict_shapes.json").read_text())
    torch.save({f"module.{name}": reference_tensor(name, tuple(shape)) for name, shape in shapes.items()}, checkpoint)
    arguments = ["weights", "import-official", str(checkpoint), "--cameras", "keep", "--out", str(weights), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    checkpoint.unlink()
    network = load_model(weights, device="cpu")
    weights.unlink()
    frames = torch.from_numpy((2 * uniform("input.frames", (4, 8, 3, 256, 128))).astype(np.float32))
    with torch.no_grad():
        with_cameras = network(frames, torch.tensor([0, 3, 3, 5]))
        without_cameras = network(frames)
    single = network.describe(frames[:1, :1], torch.tensor([0]))
    return Computed(json.loads(result.stdout), with_cameras, single, without_cameras)


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    with np.load(DATA / "reference.npz") as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


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
