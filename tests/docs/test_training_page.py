"""The example of the training page runs as it stands."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.test_documented_commands import run


@pytest.mark.timeout(240)
def test_the_example_of_the_training_page_runs(tmp_path: Path) -> None:
    output = run(blocks(ROOT / "docs/training.md"), tmp_path)
    assert "32 queries, gallery of 32 tracklets" in output
    assert {"weights.safetensors", "config.yaml", "log.jsonl", "curves.png"} <= {
        one.name for one in (tmp_path / "run").iterdir()
    }
