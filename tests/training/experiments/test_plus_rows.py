"""Rows of the better recipe: what each changes, on configs that have none, some or all of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from model import load_model
from model.cli import build_app
from tests.training.small_run import SMALL, coloured_people
from training.config import load_config, shipped_configs
from training.experiments.components import component_rows
from training.experiments.plus_rows import PLUS_ROWS
from training.experiments.rows import Row

TMD = "network.overrides"


def rows_of(name: str, *changes: str) -> dict[str, Row]:
    rows, _ = component_rows(load_config(name, changes), text=False, plus=True)
    return {row.name: row for row in rows}


def flat(values: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return found


def differences(name: str, rows: dict[str, Row], row: str) -> dict[str, Any]:
    """Fields in which a row's config is not its base's, with their values."""
    base, changed = (flat(load_config(name, rows[one].changes).to_dict()) for one in (rows[row].reference, row))
    return {key: value for key, value in changed.items() if base.get(key) != value}


MOMENTUM = {"memory.kind": "momentum", "memory.normalise": True, "memory.temperature": 0.05, "prompt.variant": "none"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("normalised", {"memory.normalise": True, "memory.temperature": 0.05}),
        ("momentum-mean", MOMENTUM),
        ("momentum-mean-hardest", MOMENTUM | {"memory.proxies": "mean_hardest"}),
        ("crop", {"augmentation.crop_padding": 10}),
        ("rates", {"optimiser.classifier_factor": 10}),
        ("positions", {f"{TMD}.temporal_positions": True}),
        ("gradient-tenth", {f"{TMD}.detach_temporal_input": False, f"{TMD}.temporal_gradient": 0.1}),
        ("gradient-all", {f"{TMD}.detach_temporal_input": False, f"{TMD}.temporal_gradient": 1.0}),
    ],
)
def test_a_row_is_the_papers_recipe_with_one_thing_changed(row: str, expected: dict[str, Any]) -> None:
    rows = rows_of("mars_vit_b16")
    assert rows[row].reference == "B6"
    assert differences("mars_vit_b16", rows, row) == expected
    assert ("prompt" in rows[row].parts) is not row.startswith("momentum")


def test_all_of_them_together_are_the_shipped_config() -> None:
    shipped = load_config("tfclip_plus")
    together = load_config("mars_vit_b16", rows_of("mars_vit_b16")["plus"].changes)
    assert together.network.architecture(6) == shipped.network.architecture(6)
    assert (together.memory, together.prompt.variant) == (shipped.memory, shipped.prompt.variant)
    assert (together.augmentation, together.optimiser) == (shipped.augmentation, shipped.optimiser)


def test_what_a_config_has_already_is_taken_away_and_the_title_says_so() -> None:
    rows = rows_of("folder_small")
    assert {one: rows[one].title for one in ("normalised", "crop", "positions", "gradient-tenth", "gradient-all")} == {
        "normalised": "B4 without normalised memory",
        "crop": "B4 without random crop",
        "positions": "B4 with frame positions in TMD",
        "gradient-tenth": "B4 with a tenth of TMD's gradient",
        "gradient-all": "B4 without TMD's gradient",
    }
    assert differences("folder_small", rows, "crop") == {"augmentation.crop_padding": 0}
    assert differences("folder_small", rows, "gradient-all")[f"{TMD}.detach_temporal_input"] is True
    assert differences("folder_small", rows, "momentum-mean") == {"memory.kind": "momentum"}
    assert "plus" not in rows, "it has all of those together already, or all of them but one"


def test_on_a_config_that_has_them_rows_take_something_away() -> None:
    has = ("memory.kind=momentum", "memory.proxies=mean_hardest", "prompt.variant=none", "augmentation.crop_padding=10")
    rows = rows_of("tfclip_plus", *has)
    assert "plus" not in rows
    taken = {"normalised", "momentum-mean-hardest", "crop", "gradient-tenth"}
    assert all(("without" in rows[one.name].title) == (one.name in taken) for one in PLUS_ROWS)
    assert rows["normalised"].title == "B4 without normalised memory and momentum memory"
    raw = load_config("tfclip_plus", (*has, *rows["normalised"].changes)).memory
    assert (raw.kind, raw.normalise) == ("clip", False)
    assert not {"B3", "B6"} & rows.keys(), "a momentum memory has no prompt"
    small = rows_of("folder_tiny", "memory.kind=momentum")
    assert "memory.kind=rebuilt" in small["momentum-mean"].changes, "a memory of random numbers would be noise"


@pytest.mark.parametrize("name", [name for name in shipped_configs() if load_config(name).memory.kind != "none"])
def test_every_row_of_every_shipped_config_with_a_memory_can_be_trained(name: str) -> None:
    rows = rows_of(name)
    for row in rows.values():
        load_config(name, row.changes)
        if row.reference is not None:
            assert differences(name, rows, row.name), f"{row.name} changes nothing"


def test_the_better_recipe_is_measured_against_its_base(tmp_path: Path) -> None:
    people = coloured_people(tmp_path / "people", people=6, frames=2)
    options = [part for change in (*SMALL, "schedule.epochs=2", "memory.first_epoch=1") for part in ("--set", change)]
    arguments = ["experiments", "components", "--config", "folder_tiny", "--root", str(people), "--seeds", "1"]
    arguments += ["--plus", "--out", str(tmp_path / "out"), "--device", "cpu", "--json", *options]
    result = CliRunner().invoke(build_app(), [*arguments, "--rows", "B4,momentum-mean-hardest,positions"])
    assert result.exit_code == 0, result.output
    table = json.loads(result.stdout)
    assert [row["title"] for row in table["rows"]] == [
        "B4",
        "B4 with momentum memory (mean, hardest)",
        "B4 with frame positions in TMD",
    ]
    base, *others = table["rows"]
    assert base["difference_base"] is None
    for row in others:
        expected = row["mAP"]["mean"] - base["mAP"]["mean"]
        assert row["difference_base"]["mean"] == pytest.approx(expected, abs=1e-9)
    assert "mAP over B4" in (tmp_path / "out/table.md").read_text()
    assert "--plus" in table["command"]
    assert load_model(tmp_path / "out/positions/seed-1234/weights.safetensors").config.temporal_positions
