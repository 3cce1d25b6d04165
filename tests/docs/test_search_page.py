"""The examples of the page about searching run as they stand."""

import csv
from pathlib import Path

from model.data.scene import write_scene
from tests.docs.pages import ROOT, blocks
from tests.docs.test_documented_commands import run
from tests.support import RunningService


def test_the_examples_of_the_search_page_run(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene", people=4, cameras=2, frames=8)
    page = blocks(ROOT / "docs/search.md")
    output = run(page, tmp_path, TFCLIP_URL=running_service.url, TFCLIP_API_KEY=running_service.admin_key)
    assert '"rerank":{"method":"k_reciprocal","expand":2,"top":7,' in output
    assert "7 places, three at a time" in output
    assert '"code":"not_found"' in output
    assert len(list(csv.reader((tmp_path / "ranking.csv").read_text().splitlines()))) == 8
    assert (tmp_path / "ranking.png").read_bytes().startswith(b"\x89PNG")
