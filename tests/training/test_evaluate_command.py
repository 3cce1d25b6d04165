"""`tfclip evaluate`."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from model import ModelConfig, new_model, save_model
from model.checkpoint import describe_weights, model_id
from model.cli import build_app
from model.data.scene import write_scene
from model.default_weights import DEMO_WEIGHTS
from training.datasets.registry import read_data_set
from training.evaluation import evaluate_model

CONFIG = ModelConfig(
    image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=4
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scene")
    write_scene(root, people=4, cameras=3, tracklets=1, frames=5)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "W.safetensors"
    save_model(new_model(CONFIG, seed=3), path, {"trained": True})
    return path


def run(*arguments: str | Path, **environment: str) -> Result:
    return CliRunner().invoke(
        build_app(), ["evaluate", *map(str, arguments)], env={"TFCLIP_WEIGHTS": "", **environment}
    )


def document_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_the_document_holds_what_the_library_measures(scene: Path, weights: Path) -> None:
    document = document_of(run("--weights", weights, "--dataset", "folder", "--root", scene, "--json"))
    metrics = evaluate_model(new_model(CONFIG, seed=3), read_data_set("folder", scene)).to_dict()
    assert list(document)[:8] == ["mAP", "rank-1", "rank-5", "rank-10", "rank-20", "mINP", "queries", "gallery"]
    assert {name: document[name] for name in metrics} == pytest.approx(metrics, abs=1e-9)
    assert (document["queries"], document["gallery"], document["skipped"]) == (12, 12, 0)
    assert document["model_id"] == model_id(new_model(CONFIG, seed=3))
    assert (document["dataset"], document["clips"], document["rerank"]) == ("folder", "dense", False)
    for name in ("mAP", "rank-1"):
        low, high = document["intervals"][name]
        assert low <= document[name] <= high
    pairs = document["camera_pairs"]
    assert len({(pair["query_camera"], pair["gallery_camera"]) for pair in pairs}) == 6
    assert all(pair["query_camera"] != pair["gallery_camera"] and pair["queries"] == 4 for pair in pairs)


def test_clips_and_re_ranking_change_what_is_measured(scene: Path, weights: Path) -> None:
    arguments = ("--weights", weights, "--dataset", "folder", "--root", scene, "--json")
    plain, quick, reranked = (document_of(run(*arguments, *more)) for more in ((), ("--clips", "rrs"), ("--rerank",)))
    assert (quick["clips"], reranked["rerank"]) == ("rrs", True)
    assert plain["camera_pairs"] != reranked["camera_pairs"]
    expected = evaluate_model(new_model(CONFIG, seed=3), read_data_set("folder", scene), clips="rrs")
    assert quick["mAP"] == pytest.approx(expected.mAP, abs=1e-9)


def test_the_table_shows_every_figure(scene: Path, weights: Path) -> None:
    arguments = ("--weights", weights, "--dataset", "folder", "--root", scene)
    document = document_of(run(*arguments, "--json"))
    result = run(*arguments)
    assert result.exit_code == 0
    for name in ("mAP", "rank-1", "rank-5", "rank-10", "rank-20", "mINP"):
        (line,) = [line for line in result.stdout.splitlines() if f" {name} " in line and "%" not in line]
        assert f" {100 * document[name]:.1f} " in line
    assert result.stdout.count("camera-1") == 4
    assert "12 queries, gallery of 12 tracklets" in result.stdout
    assert document["model_id"] in result.stdout


def test_descriptors_made_elsewhere_are_matched_by_name(scene: Path, tmp_path: Path) -> None:
    tracklets = read_data_set("folder", scene).gallery
    people = sorted({one.identity for one in tracklets})
    vectors = np.eye(4, dtype=np.float32)[[people.index(one.identity) for one in tracklets]]
    order = np.random.default_rng(0).permutation(12)
    paths = np.array([tracklets[row].name for row in order] + ["nobody/camera-1/1"])
    np.savez(tmp_path / "E.npz", paths=paths, vectors=np.concatenate([7 * vectors[order], vectors[:1]]))
    arguments = ("--weights", tmp_path / "E.npz", "--dataset", "folder", "--root", scene)
    document = document_of(run(*arguments, "--json"))
    assert (document["mAP"], document["rank-1"], document["mINP"]) == (1, 1, 1)
    assert (document["model_id"], document["clips"]) == (None, None)
    assert "not named" in run(*arguments).stdout
    np.savez(tmp_path / "E.npz", paths=paths[2:], vectors=np.ones((11, 4), np.float32))
    lacking = run(*arguments)
    assert lacking.exit_code == 2
    assert f"lacks 2 of 12 tracklets: {sorted(paths[:2])[0]}, {sorted(paths[:2])[1]}." in lacking.stderr


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": np.ones((1, 2), np.float32)}, "no array paths"),
        ({"paths": np.array(["a"]), "vectors": np.ones((2, 2), np.float32)}, "expected (1, D)"),
        ({"paths": np.array([1]), "vectors": np.ones((1, 2), np.float32)}, "expected (N,) text"),
        ({"paths": np.array(["a"]), "vectors": np.full((1, 2), np.nan, np.float32)}, "not finite"),
        ({"paths": np.array(["a", "a"]), "vectors": np.ones((2, 2), np.float32)}, "a more than once"),
        ({"paths": np.array(["a"], dtype=object), "vectors": np.ones((1, 2), np.float32)}, "cannot be read"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    scene: Path, tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "E.npz", **arrays)
    result = run("--weights", tmp_path / "E.npz", "--dataset", "folder", "--root", scene)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def npy() -> bytes:
    buffer = BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and no more", npy()])
def test_a_file_that_is_none_is_refused(scene: Path, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "E.npz").write_bytes(content)
    result = run("--weights", tmp_path / "E.npz", "--dataset", "folder", "--root", scene)
    assert result.exit_code == 2
    assert "cannot be read as a file of descriptors" in result.stderr


def test_weights_come_from_the_environment_or_are_the_services_default(scene: Path, weights: Path) -> None:
    arguments = ("--dataset", "folder", "--root", scene, "--json")
    named = document_of(run(*arguments, TFCLIP_WEIGHTS=str(weights)))
    assert named["weights"] == str(weights)
    result = run(*arguments)
    default = document_of(result)
    assert default["weights"] is None
    assert default["model_id"] == describe_weights(DEMO_WEIGHTS).model_id
    assert "tfclip-demo: demo weights, trained on drawn people only" in result.stderr


def test_weights_that_learned_nothing_are_told(scene: Path, tmp_path: Path) -> None:
    save_model(new_model(CONFIG, seed=3), tmp_path / "W.safetensors", {"trained": False})
    result = run("--weights", tmp_path / "W.safetensors", "--dataset", "folder", "--root", scene, "--json")
    assert result.exit_code == 0
    assert "W.safetensors: untrained weights, never taught who is who" in result.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--root", "nowhere"), "nowhere does not exist"),
        (("--split", "3"), "one split"),
        (("--use-cameras",), "no camera table"),
        (("--device", "abacus"), "abacus"),
        (("--weights", "nothing.safetensors"), "nothing.safetensors"),
    ],
)
def test_what_cannot_be_done_is_one_line(scene: Path, weights: Path, more: tuple[str, ...], message: str) -> None:
    result = run("--weights", weights, "--dataset", "folder", "--root", scene, *more)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr.splitlines()[-1]


def test_people_seen_by_one_camera_only_cannot_be_measured(tmp_path: Path, weights: Path) -> None:
    write_scene(tmp_path, people=2, cameras=1, tracklets=2, frames=2)
    result = run("--weights", weights, "--dataset", "folder", "--root", tmp_path)
    assert result.exit_code == 2
    assert "nothing to measure" in result.stderr
