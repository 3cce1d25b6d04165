"""The examples of the page about archives, descriptors and changes run as they stand."""

from pathlib import Path

from model.data.scene import write_scene
from tests.docs.pages import ROOT, blocks
from tests.docs.test_documented_commands import run
from tests.support import RunningService


def test_the_examples_of_the_bulk_page_run(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene", people=3, cameras=2, frames=4)
    page = blocks(ROOT / "docs/bulk.md")
    output = run(page, tmp_path, TFCLIP_URL=running_service.url, TFCLIP_API_KEY=running_service.admin_key)
    assert "scene.tar: 6 tracklets, 24 frames" in output
    assert '"created":1,"existing":0,"failed":0,"complete":true' in output
    assert "created 3 failed 0\n[]" in output
    assert "person-001/camera-1/001 1.0" in output
    assert '"next":2,"change":11' in output
    assert "seen up to 5" in output
