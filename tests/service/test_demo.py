"""`tfclip demo` as a user runs it: a process of its own, with a service and a PostgreSQL of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from model import ModelConfig, new_model, save_model
from service.commands.demo_scene import RETURNING, passings
from tests.docs.pages import ROOT, blocks

QUERIES = sum(person < RETURNING for person, _ in passings())
COMMAND = [sys.executable, "-c", "from model.cli import main; main()", "demo"]


@pytest.mark.timeout(240)
def test_the_demo_answers_searches_says_that_its_weights_are_a_demo_and_leaves_nothing_behind(
    data_folder: Path,
) -> None:
    # Settings of another service are no business of the demo's.
    environment = {**os.environ, "TMPDIR": str(data_folder), "TFCLIP_DATABASE_URL": "postgresql://nowhere.invalid/x"}
    run = subprocess.run(
        [*COMMAND, "--exit"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "same person" in run.stdout
    found = re.search(rf"Of {QUERIES} queries, (\d+) had the same person first .*: ([\d.]+); ", run.stdout)
    assert found
    assert found[2] == f"{int(found[1]) / QUERIES:.2f}"
    assert "The service answers at http://127.0.0.1:" in run.stderr
    assert "tfclip-demo: demo weights, trained on drawn people only and not for use on people" in run.stdout
    assert list(data_folder.iterdir()) == []
    (shown,) = [block for block in blocks(ROOT / "README.md") if "Where else was" in block.text]
    assert sentences(shown.text) == sentences(run.stdout)


def sentences(printed: str) -> list[str]:
    """What the demo prints around its table. What was measured is the weights' affair; all else is ours."""
    lines = [line.strip() for line in printed.splitlines() if line.strip() and line[0] not in "┏┃┡│└"]
    return [re.sub(r"\d+ had the same(.*): [\d.]+;", r"N had the same\1: N;", line) for line in lines]


@pytest.mark.timeout(240)
def test_the_demo_prints_one_json_document_and_takes_weights_of_ones_own(data_folder: Path, tmp_path: Path) -> None:
    config = ModelConfig(
        image_height=32, image_width=16, patch_size=8, width=32, layers=1, heads=2, projection=16, clip_length=4
    )
    identifier = save_model(new_model(config), tmp_path / "own.safetensors", {"trained": False})
    weights = {"TFCLIP_WEIGHTS": str(tmp_path / "own.safetensors")}
    environment = {**os.environ, "TMPDIR": str(data_folder), **weights}
    run = subprocess.run(
        [*COMMAND, "--json"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    document = json.loads(run.stdout)
    assert (document["tracklets"], document["queries"]) == (len(passings()), QUERIES)
    assert document["share"] == document["first_right"] / QUERIES
    named = {name: document["model"][name] for name in ("id", "name", "trained", "demo")}
    assert named == {"id": identifier, "name": "own", "trained": False, "demo": False}
    assert document["ranking"]["model"] == document["model"]
    assert all(match["camera_id"] != document["query"]["camera_id"] for match in document["ranking"]["results"])
