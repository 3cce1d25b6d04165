"""The examples of the evaluation page run as they stand."""

import json
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.test_documented_commands import run


@pytest.mark.timeout(180)
def test_the_examples_of_the_evaluation_page_run(tmp_path: Path) -> None:
    output = run(blocks(ROOT / "docs/evaluation.md"), tmp_path)
    assert "18 queries, gallery of 18 tracklets" in output
    assert (tmp_path / "people.npz").exists()
    document = json.loads(output[output.index("{\n") : output.index("\n}\n") + 2])
    assert document["queries"] == 18
    assert output.splitlines()[-1].startswith("0.8333333333333334 0.75 {'mAP': 0.83")
