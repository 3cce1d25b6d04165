"""`tfclip embed`."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from model import ModelConfig, new_model, save_model
from model.cli import build_app
from model.data.scene import write_scene
from training.datasets.registry import read_data_set
from training.evaluation import describe_tracklets

CONFIG = ModelConfig(
    image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=4
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scene")
    write_scene(root, people=3, cameras=2, tracklets=1, frames=6)
    return root


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_model(new_model(CONFIG, seed=3), tmp_path / "W.safetensors", {"trained": True})
    return tmp_path / "W.safetensors"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), [str(one) for one in arguments], env={"TFCLIP_WEIGHTS": ""})


def test_the_file_holds_descriptors_of_length_one_by_name(scene: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "E.npz"
    result = run("embed", scene, "--weights", weights, "--out", out, "--json")
    assert result.exit_code == 0, result.output
    tracklets = read_data_set("folder", scene).gallery
    with np.load(out, allow_pickle=False) as file:
        assert sorted(file.files) == ["model_id", "paths", "vectors"]
        assert file["paths"].tolist() == [one.name for one in tracklets]
        assert file["paths"][0] == "person-001/camera-1/001"
        assert file["vectors"].dtype == np.float32
        expected = torch.nn.functional.normalize(describe_tracklets(new_model(CONFIG, seed=3), tracklets))
        np.testing.assert_allclose(file["vectors"], expected.numpy(), atol=1e-5)
        document = json.loads(result.stdout)
        assert str(file["model_id"]) == document["model_id"]
    assert (document["tracklets"], document["descriptor_dim"]) == (6, CONFIG.descriptor_dim)


def test_what_embed_writes_evaluates_as_the_weights_do(scene: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "E.npz"
    assert run("embed", scene, "--weights", weights, "--out", out).exit_code == 0
    documents = [
        json.loads(run("evaluate", "--weights", one, "--dataset", "folder", "--root", scene, "--json").stdout)
        for one in (weights, out)
    ]
    for name in ("mAP", "rank-1", "mINP", "queries", "gallery", "model_id", "intervals", "camera_pairs"):
        assert documents[0][name] == documents[1][name], name


def test_a_file_of_that_name_is_replaced_and_nothing_else_is_left(scene: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "E.out"
    out.write_text("earlier")
    result = run("embed", scene, "--weights", weights, "--out", out)
    assert result.exit_code == 0, result.output
    assert "6 descriptors of 80 numbers" in result.stdout
    with np.load(out) as file:
        assert len(file["vectors"]) == 6
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["E.out", "W.safetensors"]


def test_a_place_that_cannot_be_written_is_refused_before_any_work(scene: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "no" / "E.npz", tmp_path):
        result = run("embed", scene, "--out", out)
        assert result.exit_code == 2
        assert "--out" in result.stderr


def test_a_folder_without_tracklets_is_refused(weights: Path, tmp_path: Path) -> None:
    result = run("embed", tmp_path / "empty", "--weights", weights, "--out", tmp_path / "E.npz")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_a_frame_that_cannot_be_read_is_named_and_nothing_is_written(weights: Path, tmp_path: Path) -> None:
    frame = tmp_path / "scene" / "1" / "1" / "1" / "0.jpg"
    frame.parent.mkdir(parents=True)
    frame.write_bytes(b"nothing")
    result = run("embed", tmp_path / "scene", "--weights", weights, "--out", tmp_path / "E.npz")
    assert result.exit_code == 2
    assert str(frame) in result.stderr
    assert not (tmp_path / "E.npz").exists()
