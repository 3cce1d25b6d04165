"""Tables: what is shown, and what is computed with."""

import json
from pathlib import Path
from statistics import mean, stdev

import pytest

from training.experiments.tables import Column, Figure, Table, over_seeds, write_table

TABLE = Table(
    "Parts",
    "tfclip experiments components --config c",
    (
        Column("name", "row"),
        Column("ssp", "SSP", "mark"),
        Column("mAP", "mAP %", "percent"),
        Column("gain", "over B2", "difference"),
        Column("parameters", "params M", "millions"),
        Column("flops", "FLOPs G", "giga"),
        Column("seconds", "minutes", "minutes"),
        Column("queries", "queries", "count"),
    ),
    (
        {"name": "B2", "ssp": False, "mAP": over_seeds([0.5, 0.52, 0.54]), "parameters": 86_940_000, "seconds": 90},
        {
            "name": "B3|x",
            "ssp": True,
            "mAP": over_seeds([0.5]),
            "gain": Figure(-0.01, 0.002, interval=(-0.02, 0.001)),
            "flops": 12.53e9,
            "queries": 1980,
        },
    ),
    ("One seed has no spread.",),
)


def test_markdown_shows_mean_and_spread_and_no_spread_of_one_seed() -> None:
    lines = TABLE.to_markdown().splitlines()
    assert lines[:4] == [
        "# Parts",
        "",
        "| row | SSP | mAP % | over B2 | params M | FLOPs G | minutes | queries |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    assert lines[4] == "| B2 |  | 52.0 ± 2.0 |  | 86.94 |  | 1.5 |  |"
    assert lines[5] == "| B3\\|x | x | 50.0 | -1.0 ± 0.2 (-2.0 to +0.1) |  | 12.53 |  | 1,980 |"
    assert lines[6:] == ["", "One seed has no spread.", "", "```sh", TABLE.command, "```"]


def test_json_holds_the_single_values(tmp_path: Path) -> None:
    write_table(tmp_path, TABLE)
    document = json.loads((tmp_path / "table.json").read_text())
    assert document == TABLE.to_dict()
    first, second = document["rows"]
    assert first["mAP"] == {"mean": pytest.approx(0.52), "spread": pytest.approx(0.02), "values": [0.5, 0.52, 0.54]}
    assert second["mAP"] == {"mean": 0.5, "spread": None, "values": [0.5]}
    assert second["gain"]["interval"] == [-0.02, 0.001]
    assert first["gain"] is None
    assert (tmp_path / "table.md").read_text() == TABLE.to_markdown()


def test_the_spread_is_the_standard_deviation_of_a_sample() -> None:
    values = [0.31, 0.35, 0.30, 0.4]
    figure = over_seeds(values)
    assert figure.mean == pytest.approx(mean(values))
    assert figure.spread == pytest.approx(stdev(values))
    with pytest.raises(ValueError, match="no value"):
        over_seeds([])
