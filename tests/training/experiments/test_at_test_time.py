"""`tfclip experiments test-time`, end to end at toy size."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from model.checkpoint import load_model
from model.cli import build_app
from tests.training.small_run import SMALL, coloured_people
from training.datasets.folder import read_folder
from training.evaluation import evaluate_model
from training.experiments.at_test_time import smallest_cap
from training.fit import Run

QUICK = (*SMALL, "schedule.epochs=1", "memory.kind=none", "batches.identities=2")


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """People to learn from, and others whose tracklets have one frame or five."""
    learned = coloured_people(tmp_path_factory.mktemp("learned"), people=3, frames=1)
    tested = coloured_people(tmp_path_factory.mktemp("tested"), people=3, frames=5)
    for tracklet in tested.glob("*/camera-1/0"):
        for frame in range(1, 5):
            (tracklet / f"{frame}.png").unlink()
    return learned, tested


@pytest.fixture(scope="module")
def out(roots: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "caps"
    result = train(roots, out)
    assert result.exit_code == 0, result.output
    return out


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build_app(), ["experiments", "test-time", *map(str, arguments), "--device", "cpu"])


def train(roots: tuple[Path, Path], out: Path, *more: str) -> Result:
    changes = [f"--set={one}" for one in QUICK]
    places = ("--root", roots[0], "--test", roots[1], "--out", out)
    return run("--config", "folder_tiny", *places, "--seeds", "2", *changes, *more)


def document_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "table.json").read_text()))


def test_there_is_a_row_for_all_frames_for_caps_that_matter_and_for_single_clips(out: Path) -> None:
    document = document_of(out)
    assert [row["sampling"] for row in document["rows"]] == [
        "all",
        "at most 1, spread evenly",
        "at most 2, spread evenly",
        "at most 4, spread evenly",
        "one clip, restricted random, 5 draws",
        "one clip, first of each chunk",
    ]
    assert "No row for a cap of 8, 16, 32, 64, 128: no tracklet is longer than 5 frames." in document["notes"]
    rows = document["rows"]
    # Nine tracklets of five frames and three of one, clips of two.
    assert [row["frames"] for row in rows[:4]] == [4, 1, 1.75, 3.25]
    assert [row["clips"] for row in rows[:4]] == [2.5, 1, 1, 1.75]
    assert [row["longer"] for row in rows[:4]] == [None, 0.75, 0.75, 0.75]
    assert rows[0]["flops_per_tracklet"] == 2.5 * 2 * rows[0]["flops"]
    assert all(row["milliseconds"]["mean"] > 0 for row in rows)


def test_figures_are_those_of_an_evaluation(roots: tuple[Path, Path], out: Path) -> None:
    rows = document_of(out)["rows"]
    data = read_folder(roots[1])
    networks = [load_model(out / f"network/seed-{seed}/weights.safetensors") for seed in (1234, 1235)]
    for row, found in (
        (rows[0], [evaluate_model(network, data) for network in networks]),
        (rows[-1], [evaluate_model(network, data, clips="rrs") for network in networks]),
    ):
        assert row["mAP"]["values"] == pytest.approx([one.mAP for one in found])
        assert row["rank-1"]["values"] == pytest.approx([one.rank(1) for one in found])
    for row in rows[1:]:
        assert row["difference"]["mean"] == pytest.approx(row["mAP"]["mean"] - rows[0]["mAP"]["mean"])
        low, high = row["difference"]["interval"]
        assert low <= row["difference"]["mean"] <= high


def test_the_notes_name_the_smallest_cap_that_is_enough(out: Path) -> None:
    document = document_of(out)
    dense = document["rows"][0]["mAP"]
    accuracies = {row["cap"]: row["mAP"]["mean"] for row in document["rows"] if row["cap"]}
    for start, least in (("within the interval", dense["interval"][0]), ("within 0.5 points", dense["mean"] - 0.005)):
        (note,) = [note for note in document["notes"] if note.startswith(f"mAP is {start}")]
        enough = [cap for cap in (1, 2, 4) if all(accuracies[other] >= least for other in accuracies if other >= cap)]
        assert note.endswith(f"from a cap of {enough[0]} on." if enough else "with no cap up to 4.")


def test_a_cap_is_enough_when_no_larger_one_is_too_little() -> None:
    accuracies = {1: 0.9, 2: 0.7, 4: 0.8, 8: 0.85}
    assert smallest_cap(accuracies, 0.75) == 4
    assert smallest_cap(accuracies, 0.6) == 1
    assert smallest_cap(accuracies, 0.86) is None


def test_the_same_command_again_trains_and_measures_nothing(
    roots: tuple[Path, Path], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = document_of(out)
    monkeypatch.setattr(Run, "fit", lambda *_: pytest.fail("a cell was trained again"))
    monkeypatch.setattr(
        "training.experiments.at_test_time.describe_by_samplings", lambda *_, **__: pytest.fail("measured again")
    )
    result = train(roots, out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == before


def test_weights_are_measured_without_training(roots: tuple[Path, Path], out: Path, tmp_path: Path) -> None:
    weights = out / "network/seed-1235/weights.safetensors"
    result = run("--weights", weights, "--root", roots[1], "--out", tmp_path / "one", "--json")
    assert result.exit_code == 0, result.output
    found, trained = json.loads(result.stdout)["rows"], document_of(out)["rows"]
    assert len(found) == len(trained)
    for one, both in zip(found, trained, strict=True):
        assert one["mAP"]["mean"] == pytest.approx(both["mAP"]["values"][1], abs=1e-6)
        assert (one["mAP"]["spread"], one["seconds"]) == (None, None)
    refused = run("--weights", weights, "--root", roots[0], "--out", tmp_path / "one")
    assert refused.exit_code == 2
    assert "another experiment" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "pass --config to train networks, or --weights"),
        (("--config", "folder_tiny", "--weights", "W.safetensors"), "pass --config to train networks, or --weights"),
        (("--weights", "W.safetensors", "--set", "seed=1"), "--set and --test are for training"),
        (("--weights", "W.safetensors"), "W.safetensors"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run("--root", tmp_path, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()
