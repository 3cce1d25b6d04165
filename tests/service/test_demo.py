"""`tfclip demo` as a user runs it: a process of its own, with a service and a PostgreSQL of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(240)
def test_the_demo_answers_searches_says_that_weights_are_untrained_and_leaves_nothing_behind(data_folder: Path) -> None:
    # Settings of another service are no business of the demo's.
    environment = {**os.environ, "TMPDIR": str(data_folder), "TFCLIP_DATABASE_URL": "postgresql://nowhere.invalid/x"}
    command = [sys.executable, "-c", "from model.cli import main; main()", "demo"]
    run = subprocess.run(
        [*command, "--exit"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "same person" in run.stdout
    assert "Of 36 queries" in run.stdout
    assert "The service answers at http://127.0.0.1:" in run.stderr
    assert "untrained" in run.stdout
    assert list(data_folder.iterdir()) == []


@pytest.mark.timeout(240)
def test_the_demo_prints_one_json_document(data_folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(data_folder)}
    command = [sys.executable, "-c", "from model.cli import main; main()", "demo", "--json"]
    run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    document = json.loads(run.stdout)
    assert document["queries"] == 36
    assert document["share"] == document["first_right"] / 36
    assert document["model"]["trained"] is False
    assert all(match["camera_id"] != document["query"]["camera_id"] for match in document["ranking"]["results"])
