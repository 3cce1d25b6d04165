"""Released checkpoints that are odd. Each tensor is one number seen through the right shape, so that it is free."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer import Typer
from typer.testing import CliRunner

from model import WeightsError
from model.official import import_official

SHAPES = Path(__file__).parent / "data" / "official_state_dict_shapes.json"

Write = Callable[..., Path]


def constant(shape: list[int], value: float = 0.5) -> Tensor:
    return torch.full((1,), value)[0].expand(shape)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a released checkpoint with some tensors replaced (None: left out)."""

    def write_checkpoint(changes: dict[str, Tensor | None] | None = None, wrap: str | None = None) -> Path:
        tensors: dict[str, Tensor | None] = {
            name: constant(shape) for name, shape in json.loads(SHAPES.read_text()).items()
        }
        tensors |= changes or {}
        state = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        path = tmp_path / "released.pth"
        torch.save({wrap: state, "epoch": 60} if wrap else state, path)
        return path

    return write_checkpoint


def test_cameras_are_counted_from_the_table(write: Write) -> None:
    imported = import_official(write({"cv_embed": constant([15, 768])}), keep_cameras=True)
    assert imported.model.config.cameras == 15
    assert imported.dropped == []


def test_dropped_cameras_are_named(write: Write) -> None:
    imported = import_official(write(), keep_cameras=False)
    assert imported.model.config.cameras == 0
    assert imported.dropped == ["cv_embed"]
    assert "cv_embed" not in imported.used


def test_a_checkpoint_without_cameras_is_imported(write: Write) -> None:
    assert import_official(write({"cv_embed": None}), keep_cameras=True).model.config.cameras == 0


@pytest.mark.parametrize("wrap", ["state_dict", "model"])
def test_a_state_dict_beside_other_things_is_found(write: Write, wrap: str) -> None:
    assert import_official(write(wrap=wrap), keep_cameras=True).model.config.descriptor_dim == 2048


def test_the_grid_is_told_by_the_positions(write: Write) -> None:
    changed = {"image_encoder.positional_embedding": constant([1 + 24 * 12, 768])}
    assert import_official(write(changed), keep_cameras=True).model.config.grid == (24, 12)


def test_half_precision_is_widened(write: Write) -> None:
    changed = {"image_encoder.proj": constant([768, 512]).half()}
    imported = import_official(write(changed), keep_cameras=True)
    assert imported.model.encoder.visual.proj.dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"text_encoder.ln.weight": constant([512])}, "text_encoder.ln.weight"),
        ({"classifier.weight": constant([10, 768])}, "classifier.weight"),
        ({"image_encoder.ln_post.weight": None}, "encoder.visual.ln_post.weight"),
        ({"image_encoder.extra": constant([3])}, "encoder.visual.extra"),
        ({"TMD.resblocks.0.ln_1.bias": None}, "temporal.diffusion.block.ln_1.bias"),
        (
            {"image_encoder.conv1.weight": constant([768, 3, 32, 32])},
            r"\(768, 3, 32, 32\).*expected \(768, 3, 16, 16\)",
        ),
        ({"image_encoder.positional_embedding": constant([1 + 21 * 10, 768])}, "211 positions"),
        ({"image_encoder.positional_embedding": None}, "positional_embedding"),
        ({"image_encoder.ln_pre.bias": constant([768], float("nan"))}, "not finite: encoder.visual.ln_pre.bias"),
        ({"image_encoder.ln_pre.bias": constant([768]).long()}, "int64"),
    ],
)
def test_what_does_not_fit_is_named(write: Write, changes: dict[str, Tensor | None], complaint: str) -> None:
    with pytest.raises(WeightsError, match=complaint):
        import_official(write(changes), keep_cameras=True)


class Payload:
    """Something that only an unsafe unpickler would build."""


@pytest.mark.parametrize("document", [{"a": Payload()}, [torch.zeros(1)], {"lr": 0.1, "epoch": 3}, {}])
def test_a_pickle_of_other_things_is_refused(tmp_path: Path, document: object) -> None:
    path = tmp_path / "other.pth"
    torch.save(document, path)
    with pytest.raises(WeightsError, match="state dict"):
        import_official(path, keep_cameras=True)


@pytest.mark.parametrize("size", [0, 3, 100, 5000])
def test_a_truncated_checkpoint_is_refused(write: Write, size: int) -> None:
    path = write()
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(WeightsError, match="cannot be read"):
        import_official(path, keep_cameras=True)


def test_the_command_answers_with_one_line_and_exit_code_2(app: Typer, write: Write, tmp_path: Path) -> None:
    out = tmp_path / "W.safetensors"
    checkpoint = write({"strange.weight": constant([1])})
    result = CliRunner().invoke(app, ["weights", "import-official", str(checkpoint), "--out", str(out)])
    assert result.exit_code == 2
    assert "strange.weight" in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert not out.exists()
