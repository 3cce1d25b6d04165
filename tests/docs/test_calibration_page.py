"""The examples of the calibration page run as they stand: drawn people, uploaded, calibrated and searched."""

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.test_documented_commands import run
from tests.support import RunningService


@pytest.mark.timeout(180)
@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl, which is not installed")
def test_the_examples_of_the_calibration_page_run(running_service: RunningService, tmp_path: Path) -> None:
    page = blocks(ROOT / "docs/calibration.md")
    output = run(page, tmp_path, TFCLIP_URL=running_service.url, TFCLIP_API_KEY=running_service.admin_key)
    # As it was made, and as it is looked up.
    made, looked_up = re.findall(r"│ match +│ 0\.\d{4} +│ 0\.05 +│ 0\.\d{4} \(0\.\d{4} to 0\.\d{4}\)", output)
    assert made == looked_up
    assert "72 searches by 24 people, 72 pairs of one person, 24 people compared and 0 beyond" in output
    assert re.search(r"succeeded 0\.\d+ value=0\.\d+ low=0\.\d+ high=0\.\d+", output)
    assert re.search(r"(match|possible) id='[0-9a-f-]{36}' stale=False reason=None \[\(0\.\d+, ", output)
    with running_service.client() as client:
        page_of = client.get("/calibrations", params={"gallery": "people"}).json()
    # The command, and Python.
    assert len(page_of["items"]) == 2
    assert page_of["current"]["labels"]["tracklets_compared"] == 72
