"""`tfclip experiments`: rows times seeds, end to end at toy size."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer import Typer
from typer.testing import CliRunner, Result

from model import load_model
from model.cli import build_app
from model.data.scene import write_scene
from tests.training.miniature import write_mars
from tests.training.small_run import SMALL, coloured_people
from tests.training.test_clip_reid import make_clip
from training.datasets.registry import read_data_set
from training.evaluation import evaluate_model
from training.fit import Run

QUICK = ("schedule.epochs=1", "schedule.warmup_epochs=0", "memory.kind=clip")


@pytest.fixture(scope="module")
def app() -> Typer:
    return build_app()


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured_people(tmp_path_factory.mktemp("people"), people=6)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People of another folder, whom a network after two steps does not all find."""
    root = tmp_path_factory.mktemp("others")
    write_scene(root, people=5, cameras=3, tracklets=1, frames=2, height=32)
    return root


class Steps:
    """Counts optimiser steps, and can end the process before one of them as a kill does."""

    def __init__(self) -> None:
        self.made = 0
        self.stop_before: int | None = None


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    counted, original = Steps(), Run._step

    def step(self: Run, *arguments: Any) -> dict[str, float]:
        if counted.made == counted.stop_before:
            raise KeyboardInterrupt
        counted.made += 1
        return original(self, *arguments)

    monkeypatch.setattr(Run, "_step", step)
    return counted


def run(app: Typer, name: str, *arguments: str | Path, changes: tuple[str, ...] = ()) -> Result:
    options = [part for change in (*SMALL, *QUICK, *changes) for part in ("--set", change)]
    return CliRunner().invoke(app, ["experiments", name, "--device", "cpu", *map(str, arguments), *options])


def document_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize(
    ("name", "rows", "cells"),
    [
        ("components", None, 8),
        ("temporal-fusion", "mean,transformer-cls,tmd", 3),
        ("ssp-depth", "paper-2,released-4", 2),
    ],
)
def test_an_experiment_that_was_cut_off_goes_on_and_ends_in_its_table(
    app: Typer, people: Path, others: Path, tmp_path: Path, steps: Steps, name: str, rows: str | None, cells: int
) -> None:
    out = tmp_path / "out"
    arguments: list[str | Path] = ["--config", "folder_tiny", "--root", people, "--test", others, "--out", out]
    arguments += ["--seeds", "1", "--json", *(["--rows", rows] if rows else [])]
    steps.stop_before = 3  # an epoch of six people has two batches: the second cell is half done
    stopped = run(app, name, *arguments)
    assert stopped.exit_code != 0
    assert f"{cells} cells, 0 of them trained before" in stopped.stderr
    assert not (out / "table.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*/seed-*/weights.safetensors")}
    assert len(kept) == 1

    steps.stop_before = None
    result = run(app, name, *arguments)
    table = document_of(result)
    assert f"{cells} cells, 1 of them trained before" in result.stderr
    assert f"{cells} of {cells} cells" in result.stderr
    assert " left\n" in result.stderr
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert len(table["rows"]) == cells
    assert table == json.loads((out / "table.json").read_text())
    for row in table["rows"]:
        assert row["mAP"]["spread"] is None
        assert len(row["mAP"]["values"]) == 1
        assert row["seconds"]["mean"] > 0
        assert row["parameters_trained"] > row["parameters_test"]

    made = steps.made
    again = run(app, name, *arguments)
    assert document_of(again) == table
    assert steps.made == made
    assert f"{cells} cells, {cells} of them trained before" in again.stderr

    other = run(app, name, *arguments, changes=("clip_gradient=1.0",))
    assert (other.exit_code, other.stdout) == (2, "")
    assert "clip_gradient was 5.0 and is 1.0" in other.stderr
    assert len(other.stderr.splitlines()) == 1
    assert steps.made == made


def test_figures_are_those_of_the_weights_and_the_spread_is_over_seeds(
    app: Typer, people: Path, others: Path, tmp_path: Path
) -> None:
    arguments = ["--config", "folder_tiny", "--root", people, "--test", others, "--out", tmp_path / "out"]
    table = document_of(run(app, "components", *arguments, "--rows", "B2,B4", "--seeds", "2", "--json"))
    data = read_data_set("folder", others)
    measured = {
        name: [
            evaluate_model(load_model(tmp_path / f"out/{name}/seed-{seed}/weights.safetensors"), data)
            for seed in (1234, 1235)
        ]
        for name in ("B2", "B4")
    }
    assert [row["title"] for row in table["rows"]] == ["B2", "B4"]
    for row, (first, second) in zip(table["rows"], measured.values(), strict=True):
        assert row["mAP"]["values"] == pytest.approx([first.mAP, second.mAP], abs=1e-6)
        assert row["mAP"]["mean"] == pytest.approx((first.mAP + second.mAP) / 2, abs=1e-6)
        assert row["mAP"]["spread"] == pytest.approx(abs(first.mAP - second.mAP) / 2**0.5, abs=1e-6)
        assert row["rank-1"]["values"] == pytest.approx([first.rank(1), second.rank(1)], abs=1e-6)
    differences = [ours.mAP - theirs.mAP for ours, theirs in zip(measured["B4"], measured["B2"], strict=True)]
    assert differences != [0, 0]
    assert table["rows"][0]["difference"] is None
    assert table["rows"][1]["difference"]["values"] == pytest.approx(differences, abs=1e-6)
    assert (table["rows"][0]["temporal"], table["rows"][1]["temporal"]) == (None, "x")
    assert load_model(tmp_path / "out/B4/seed-1234/weights.safetensors").temporal is not None
    assert load_model(tmp_path / "out/B2/seed-1234/weights.safetensors").temporal is None
    page = (tmp_path / "out/table.md").read_text()
    assert "Means over 2 seeds" in page
    assert "paper" not in page.split("\n\n")[1]  # a folder is not the paper's data set
    assert f"--root {people} --test {others}" in page

    other = run(app, "temporal-fusion", *arguments)
    assert other.exit_code == 2
    assert "experiment was 'components' and is 'temporal-fusion'" in other.stderr


def test_the_papers_figures_stand_beside_a_data_set_of_the_paper(app: Typer, tmp_path: Path) -> None:
    root, changes = write_mars(tmp_path / "MARS"), ("batches.identities=2", "network.camera_embedding=true")
    arguments = ["--config", "folder_tiny", "--set", "data_set=mars", "--root", root, "--out", tmp_path / "out"]
    more = ("--rows", "B2", "--seeds", "1", "--json")
    table = document_of(run(app, "components", *arguments, *more, changes=changes))
    (row,) = table["rows"]
    assert (row["paper_mAP"], row["paper_rank-1"], row["paper_rank-5"]) == (0.884, 0.916, 0.979)
    assert (row["paper_parameters"], row["paper_flops"]) == (86.94e6, 11.26e9)
    assert load_model(tmp_path / "out/B2/seed-1234/weights.safetensors").config.cameras == 6
    assert run(app, "components", *arguments, *more, "--test", root, changes=changes).exit_code == 2


def test_a_text_row_trains_from_clip_weights(app: Typer, people: Path, tmp_path: Path) -> None:
    torch.save(make_clip().state_dict(), tmp_path / "clip.pt")
    changes = (f"network.start={tmp_path / 'clip.pt'}", "network.overrides.heads=2", "memory.text={epochs: 1}")
    arguments = ["--config", "folder_tiny", "--root", people, "--out", tmp_path / "out", "--seeds", "1", "--json"]
    table = document_of(run(app, "components", *arguments, "--rows", "B1", changes=changes))
    assert [(row["title"], row["memory"]) for row in table["rows"]] == [("B1, text", None)]
    left_out = run(app, "components", *arguments, "--rows", "B1", "--no-text", changes=changes)
    assert left_out.exit_code == 2
    assert "no row B1" in left_out.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--rows", "B9"), "no row B9, choose of B2, B3"),
        (("--set", "memory.kind=none"), "memory.kind is none, expected a CLIP-Memory"),
        (("--set", "prompt.variant=released", "--set", "network.overrides.width=33"), "multiple of heads"),
        (("--root", "nowhere"), "nowhere does not exist"),
        (("--device", "abacus"), "abacus"),
        (
            ("--set", "optimiser.base_rate=1.0e+30", "--set", "clip_gradient=null"),
            "cell B2, seed 1234: the loss is not",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(
    app: Typer, people: Path, tmp_path: Path, more: tuple[str, ...], message: str
) -> None:
    arguments = ["--config", "folder_tiny", "--root", people, "--out", tmp_path / "out", "--seeds", "1"]
    options = [part for change in (*SMALL, *QUICK) for part in ("--set", change)]
    result = CliRunner().invoke(app, ["experiments", "components", *map(str, arguments), *options, *more])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr.splitlines()[-1]
    assert (tmp_path / "out").exists() is message.startswith("cell")  # what cannot begin takes no folder


def test_a_folder_with_something_else_in_it_is_left_alone(app: Typer, people: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    result = run(app, "ssp-depth", "--config", "folder_tiny", "--root", people, "--out", tmp_path)
    assert result.exit_code == 2
    assert "holds no experiment" in result.stderr
