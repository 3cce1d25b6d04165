"""The examples of the page about searching run as they stand."""

import csv
import json
from pathlib import Path

from PIL import Image

from model.data.scene import write_scene
from tests.docs.pages import ROOT, blocks
from tests.docs.test_documented_commands import run
from tests.service.searching.sheets import height
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
    assert len(json.loads((tmp_path / "by_frames.json").read_text())["results"]) == 5
    # Eight tracklets, less three examples, and the header.
    assert len((tmp_path / "by_examples.csv").read_text().splitlines()) == 6
    for name in ("by_frames.png", "by_examples.png"):
        assert Image.open(tmp_path / name).height == height(1 + 5)
    assert "4 lines by examples" in output
    assert "4 lines by frames" in output
