"""CLIP weights in every layout that OpenAI and open_clip use, made here by open_clip itself at small sizes."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file
from torch import Tensor
from typer import Typer
from typer.testing import CliRunner

from model import ModelConfig, WeightsError, load_model, new_model
from model.clip_weights import load_clip
from tests.model.clip_files import make_clip, torchscript

LAYOUTS: dict[str, Callable[[CLIP, Path], None]] = {
    "openai.pt": torchscript,
    "openai_state.pt": lambda clip, path: torch.save(clip.half().state_dict(), path),
    "open_clip.bin": lambda clip, path: torch.save(clip.state_dict(), path),
    "open_clip.safetensors": lambda clip, path: save_file(clip.state_dict(), path),
    "open_clip_training.pt": lambda clip, path: torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in clip.state_dict().items()}}, path
    ),
    "visual.pt": lambda clip, path: torch.save(clip.visual.state_dict(), path),
    "visual.safetensors": lambda clip, path: save_file(clip.visual.state_dict(), path),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_visual_tower(config: ModelConfig, tmp_path: Path, layout: str) -> None:
    clip = make_clip()
    path = tmp_path / layout
    expected = {name: tensor.clone() for name, tensor in clip.visual.state_dict().items()}
    rest = {name for name in clip.state_dict() if not name.startswith("visual.")}
    LAYOUTS[layout](clip, path)
    network = new_model(config)
    imported = load_clip(network, path)
    assert imported.grid == (14, 14)
    assert imported.used == sorted(expected)
    if layout == "openai.pt":
        rest |= {"input_resolution", "context_length", "vocab_size", "attn_mask"}
    assert set(imported.ignored) == (set() if layout.startswith("visual") else rest)
    for name, tensor in network.encoder.visual.state_dict().items():
        assert tensor.dtype == torch.float32
        if name != "positional_embedding":
            torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-3)


def test_a_clip_with_a_separate_text_tower_is_read(config: ModelConfig, tmp_path: Path) -> None:
    path = tmp_path / "custom.pt"
    torch.save(make_clip(CustomTextCLIP).state_dict(), path)
    imported = load_clip(new_model(config), path)
    assert any(name.startswith("text.") for name in imported.ignored)


def test_on_clips_own_grid_the_projected_cls_is_clips_image_feature(tmp_path: Path) -> None:
    clip = make_clip(image_size=32)
    path = tmp_path / "clip.pt"
    torch.save(clip.state_dict(), path)
    square = ModelConfig(
        image_height=32,
        image_width=32,
        patch_size=8,
        width=32,
        layers=2,
        heads=2,
        projection=16,
        temporal_memory_diffusion=False,
    )
    network = new_model(square)
    load_clip(network, path)
    frames = torch.randn(3, 1, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network.describe(frames)[:, 32:], clip.encode_image(frames[:, 0]))


def bilinear(grid: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Slow twin of the resize: each target point is the weighted mean of its four neighbours."""

    def points(target: int, source: int) -> list[tuple[int, int, float]]:
        at = [min(max((i + 0.5) * source / target - 0.5, 0.0), source - 1.0) for i in range(target)]
        return [(math.floor(x), min(math.floor(x) + 1, source - 1), x - math.floor(x)) for x in at]

    result = np.empty((rows, columns, grid.shape[2]))
    for i, (top, bottom, down) in enumerate(points(rows, grid.shape[0])):
        for j, (left, right, along) in enumerate(points(columns, grid.shape[1])):
            upper = (1 - along) * grid[top, left] + along * grid[top, right]
            lower = (1 - along) * grid[bottom, left] + along * grid[bottom, right]
            result[i, j] = (1 - down) * upper + down * lower
    return result


def test_197_positions_become_129_and_cls_keeps_its_own(config: ModelConfig, tmp_path: Path) -> None:
    clip = make_clip()
    path = tmp_path / "clip.pt"
    torch.save(clip.state_dict(), path)
    network = new_model(replace(config, image_height=128, image_width=64))
    load_clip(network, path)
    before = clip.visual.positional_embedding.detach()
    after = network.encoder.visual.positional_embedding.detach()
    assert (len(before), len(after)) == (197, 129)
    assert torch.equal(after[0], before[0])
    expected = bilinear(before[1:].view(14, 14, 32).double().numpy(), 16, 8)
    np.testing.assert_allclose(after[1:].view(16, 8, 32).numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ({"width": 64}, "width 64, 2 layers.*needs.*width 32, 2 layers"),
        ({"layers": 3}, "3 layers.*needs.*2 layers"),
        ({"projection": 32}, "projection 32.*needs.*projection 16"),
    ],
)
def test_a_clip_of_other_sizes_is_refused_with_both(
    config: ModelConfig, tmp_path: Path, sizes: dict[str, int], complaint: str
) -> None:
    path = tmp_path / "clip.pt"
    torch.save(make_clip(**sizes).state_dict(), path)  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=complaint):
        load_clip(new_model(config), path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"visual.proj": None}, "proj missing"),
        ({"visual.ln_post.bias": None}, "missing tensors: ln_post.bias"),
        ({"visual.head.mlp.weight": torch.zeros(3)}, "unexpected tensors: head.mlp.weight"),
        ({"optimizer.step": torch.zeros(1)}, "optimizer.step"),
        ({"visual.ln_post.bias": torch.full((32,), math.inf)}, "not finite: ln_post.bias"),
        ({"visual.positional_embedding": torch.zeros(130, 32)}, "130 positions, expected CLS and a square grid"),
    ],
)
def test_what_does_not_fit_is_named(
    config: ModelConfig, tmp_path: Path, changes: dict[str, Tensor | None], complaint: str
) -> None:
    tensors: dict[str, Tensor | None] = {**make_clip().state_dict(), **changes}
    path = tmp_path / "clip.pt"
    torch.save({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    with pytest.raises(WeightsError, match=complaint):
        load_clip(new_model(config), path)


@pytest.mark.parametrize("layout", ["openai.pt", "open_clip.bin", "open_clip.safetensors"])
def test_a_truncated_clip_file_is_refused(config: ModelConfig, tmp_path: Path, layout: str) -> None:
    path = tmp_path / layout
    LAYOUTS[layout](make_clip(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(WeightsError, match="cannot be read as tensors"):
        load_clip(new_model(config), path)


def test_the_command_starts_a_network_from_a_clip_file(app: Typer, tmp_path: Path) -> None:
    clip = make_clip(width=128, layers=4, projection=64)
    source, out = tmp_path / "clip.pt", tmp_path / "W.safetensors"
    torchscript(clip, source)
    arguments = [
        "weights",
        "init",
        "--preset",
        "tiny",
        "--clip",
        str(source),
        "--tmd",
        "none",
        "--out",
        str(out),
        "--json",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert "token_embedding.weight" in report["ignored"]
    assert report["trained"] is False
    network = load_model(out)
    assert network.config.descriptor_dim == 192
    torch.testing.assert_close(network.encoder.visual.proj, clip.visual.proj.float(), rtol=1e-3, atol=1e-3)


def test_openai_weights_do_not_fit_the_tiny_preset(app: Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["weights", "init", "--preset", "tiny", "--out", str(tmp_path / "W.safetensors")])
    assert result.exit_code == 2
    assert "--clip none" in result.stderr


def test_without_a_network_the_answer_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-c", "from model.cli import main; main()", "weights", "init", "--out", "W.safetensors"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: CLIP weights cannot be downloaded")
    assert "ViT-B-16.pt" in error
    assert "--clip ViT-B-16.pt" in error
    assert "Traceback" not in result.stderr
    assert list(tmp_path.glob("*.safetensors")) == []
