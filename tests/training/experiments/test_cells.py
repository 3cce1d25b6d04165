"""Cells: trained once, continued, refused when they are not the same."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from rich.console import Console

from tests.training.small_run import coloured_people, small_config
from training.config import ConfigError
from training.experiments.cells import Cell, CellError, is_trained, make_cell, measured, train_cell
from training.experiments.people import People, read_people
from training.fit import Run
from training.progress import Progress

CONFIG = small_config("schedule.epochs=2", "memory.first_epoch=1", "held_out=0.25")
QUIET = Progress(Console(quiet=True))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured_people(tmp_path_factory.mktemp("people"), people=6)


@pytest.fixture(scope="module")
def people(root: Path) -> People:
    return read_people(CONFIG, root, None)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The optimiser steps that are made while the test lasts."""
    steps: list[int] = []
    original = Run._step

    def counted(self: Run, *arguments: Any) -> dict[str, float]:
        steps.append(self.position.step)
        return original(self, *arguments)

    monkeypatch.setattr(Run, "_step", counted)
    return steps


def train(cell: Cell, people: People, out: Path) -> Any:
    return train_cell(cell, people.data, out, torch.device("cpu"), QUIET)


def test_a_cell_learns_from_everybody_it_is_given_and_is_trained_once(
    people: People, tmp_path: Path, calls: list[int]
) -> None:
    cell = make_cell("B2", CONFIG, 7)
    assert (cell.config.seed, cell.config.held_out, cell.config.keep) == (7, 0.0, "last")
    assert not is_trained(cell, tmp_path)
    first = train(cell, people, tmp_path)
    assert is_trained(cell, tmp_path)
    steps = len(calls)
    assert steps > 0
    assert json.loads((tmp_path / "B2/seed-7/labels.json").read_text()) == sorted(
        {one.identity for one in people.data.train}
    )
    written = first.weights.stat().st_mtime_ns
    again = train(cell, people, tmp_path)
    assert len(calls) == steps
    assert again.weights.stat().st_mtime_ns == written
    assert again.seconds == first.seconds > 0
    assert again.load().config == cell.config.network.architecture(0)


def test_a_cell_that_was_cut_off_goes_on(people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make_cell("B2", CONFIG, 7)
    whole = train(cell, people, tmp_path / "whole").load().state_dict()
    original, done = Run._epoch, []

    def cut(self: Run, epoch: int, *arguments: Any) -> None:
        done.append(epoch)
        if done == [1, 2]:
            raise KeyboardInterrupt
        original(self, epoch, *arguments)

    monkeypatch.setattr(Run, "_epoch", cut)
    with pytest.raises(KeyboardInterrupt):
        train(cell, people, tmp_path / "cut")
    assert not is_trained(cell, tmp_path / "cut")
    again = train(cell, people, tmp_path / "cut").load().state_dict()
    assert done == [1, 2, 2]
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_another_config_or_other_people_are_refused(root: Path, people: People, tmp_path: Path) -> None:
    train(make_cell("B2", CONFIG, 7), people, tmp_path)
    other = CONFIG.model_copy(update={"clip_gradient": 1.0})
    with pytest.raises(ConfigError, match=r"clip_gradient was 5\.0 and is 1\.0"):
        train(make_cell("B2", other, 7), people, tmp_path)
    everybody = read_people(CONFIG, root, coloured_people(tmp_path / "others", people=2))
    with pytest.raises(ConfigError, match=r"other people to learn from: learned\.identities was 4 and is 6"):
        train(make_cell("B2", CONFIG, 7), everybody, tmp_path)


def test_people_drawn_again_under_the_same_names_are_other_people(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "again")
    before = read_people(CONFIG, tmp_path / "again", None)
    assert before.fingerprint == read_people(CONFIG, root, None).fingerprint
    train(make_cell("B2", CONFIG, 7), before, tmp_path / "out")
    for path in (tmp_path / "again").rglob("0.png"):
        Image.effect_noise((16, 32), 60).convert("RGB").save(path)
    after = read_people(CONFIG, tmp_path / "again", None)
    assert [one.name for one in after.data.query] == [one.name for one in before.data.query]
    assert after.fingerprint != before.fingerprint
    with pytest.raises(ConfigError, match=r"other people to learn from: learned\.pictures was"):
        train(make_cell("B2", CONFIG, 7), after, tmp_path / "out")


def test_a_cell_that_fails_is_named(people: People, tmp_path: Path) -> None:
    hopeless = small_config("schedule.epochs=1", "optimiser.base_rate=1.0e+30", "clip_gradient=null")
    with pytest.raises(CellError, match=r"cell B4, seed 3: the loss is not finite .*\. Cells that are done stay in"):
        train(make_cell("B4", hopeless, 3), people, tmp_path)


def test_a_fifth_of_the_people_is_kept_from_training_whatever_the_seed(root: Path, tmp_path: Path) -> None:
    kept = []
    for seed in (1, 2):
        data = read_people(CONFIG.model_copy(update={"seed": seed}), root, None).data
        learned = {one.identity for one in data.train}
        kept.append({one.identity for one in data.query})
        assert learned | kept[-1] == {f"person-{number}" for number in range(6)}
        assert not learned & kept[-1]
        assert data.query == data.gallery
    assert kept[0] == kept[1]
    assert len(kept[0]) == 2  # at least two, or nothing could be mistaken


def test_another_folder_is_measured_whole_and_its_cameras_are_strange(root: Path, tmp_path: Path) -> None:
    others = coloured_people(tmp_path / "others", people=3)
    people = read_people(CONFIG, root, others)
    assert len({one.identity for one in people.data.train}) == 6
    assert {one.frames[0].is_relative_to(others) for one in people.data.query} == {True}
    assert not people.cameras_known
    with pytest.raises(ConfigError, match="--test is --root"):
        read_people(CONFIG, root, root)


def test_what_was_measured_is_measured_again_only_under_another_key(tmp_path: Path) -> None:
    path, made = tmp_path / "measured.json", []

    def measure() -> dict[str, Any]:
        made.append(len(made))
        return {"mAP": 0.5 + len(made)}

    assert measured(path, {"model": "a"}, measure) == measured(path, {"model": "a"}, measure) == {"mAP": 1.5}
    assert measured(path, {"model": "b"}, measure) == {"mAP": 2.5}
    path.write_text("{")
    assert measured(path, {"model": "b"}, measure) == {"mAP": 3.5}
    assert os.listdir(tmp_path) == ["measured.json"]  # noqa: PTH208
