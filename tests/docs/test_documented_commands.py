"""Blocks marked `sh run`, `python run` and `sh serve` do what the pages say: they are run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from model.checkpoint import describe_weights
from model.cli import build_app
from model.data.scene import write_scene
from model.default_weights import DEMO_WEIGHTS
from tests.docs.pages import ROOT, Block, blocks
from tests.support import RunningService, wait_until

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl, which is not installed"),
]


def test_the_sequence_of_the_readme_ends_with_a_ranking(data_folder: Path) -> None:
    page = blocks(ROOT / "README.md")
    (serve,) = [block for block in page if block.info == "sh serve"]
    before = page[: page.index(serve)]
    after = [block for block in page[page.index(serve) :] if block.info == "sh run"]
    run(before, data_folder)
    with served(serve, data_folder) as (url, key):
        output = run(after, data_folder, TFCLIP_URL=url, TFCLIP_API_KEY=key)
    assert re.search(r"stored +│ +│ 8 ", output)
    # Several are sent at a time: which one is the newest differs from run to run.
    newest = re.search(r"│ [0-9a-f-]{36} +│ camera-\d +│ (person-\d{3})", output)
    assert newest, output
    assert re.search(rf"│ 1 +│ -?\d\.\d{{4}} +│ {newest[1]} │ camera-", output), f"{newest[1]} is found first"
    assert '"results":[{"rank":1,' in output


def test_the_weights_page_and_the_library_example_of_the_readme_run(tmp_path: Path) -> None:
    page = blocks(ROOT / "docs/weights.md")
    commands = [block for block in page if block.info == "sh run"]
    (example,) = [block for block in page if block.info == "python run"]
    library = [block for block in blocks(ROOT / "README.md") if block.info == "python run"][-1]
    write_scene(tmp_path / "scene", people=1, cameras=1, frames=8)
    # One process for both: they share an import that takes seconds.
    output = run([*commands, Block("python run", library.text + example.text)], tmp_path)
    length = describe_weights(DEMO_WEIGHTS).config.descriptor_dim
    assert f"tfclip-demo torch.Size([1, {length}])\n320 0." in output


def test_what_the_weights_page_says_that_show_prints_is_printed(tmp_path: Path) -> None:
    weights = tmp_path / "tiny.safetensors"
    (shown,) = [block for block in blocks(ROOT / "docs/weights.md") if block.text.startswith("model_id: ")]
    for arguments in (["init", "--preset", "tiny", "--clip", "none", "--out", str(weights)], ["show", str(weights)]):
        result = CliRunner().invoke(build_app(), ["weights", *arguments])
        assert result.exit_code == 0, result.output
    # The numbers that a seed draws, and so the model id, are PyTorch's affair; all else is ours.
    assert set(shown.text.splitlines()[1:]) <= set(result.stdout.splitlines())


def test_the_examples_of_the_http_page_run(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene", people=4, cameras=2, frames=8)
    page = blocks(ROOT / "docs/http-api.md")
    output = run(page, tmp_path, TFCLIP_URL=running_service.url, TFCLIP_API_KEY=running_service.admin_key)
    assert '"status":"queued"' in output or '"status":"running"' in output or '"status":"succeeded"' in output
    assert "tfclip_index_tracklets" in output
    assert (tmp_path / "frame.jpg").read_bytes() == (tmp_path / "scene/person-001/camera-1/001/0001.jpg").read_bytes()


def test_the_examples_of_the_galleries_page_run(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene", people=2, cameras=2, frames=2)
    page = blocks(ROOT / "docs/galleries.md")
    output = run(page, tmp_path, TFCLIP_URL=running_service.url, TFCLIP_API_KEY=running_service.admin_key)
    assert '"kind":"delete_gallery"' in output
    # The matrix comes back with its cameras ordered by name.
    assert "Finding lost children 2\n[[0.0, 50.0], [45.0, 0.0]]\n1\n" in output


def test_the_examples_of_the_evidence_page_run(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene", people=2, cameras=2, frames=8, height=64)
    page = blocks(ROOT / "docs/evidence.md")
    output = run(page, tmp_path, TFCLIP_URL=running_service.url, TFCLIP_API_KEY=running_service.admin_key)
    assert '"best_pair":{"position":' in output
    assert re.search(r'"purity":0\.\d+,"possible_identity_switch":false$', output, re.MULTILINE)
    assert "no sign of an identity switch" in output
    for name in ("attention.png", "sheet.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_examples_of_the_identities_page_run(running_service: RunningService, tmp_path: Path) -> None:
    write_scene(tmp_path / "scene", people=2, cameras=2, frames=2)
    page = blocks(ROOT / "docs/identities.md")
    output = run(page, tmp_path, TFCLIP_URL=running_service.url, TFCLIP_API_KEY=running_service.admin_key)
    assert '"name":"Ann Example"' in output
    assert '"elsewhere":[],"gone":[]' in output
    assert "Ben 2 [('camera-1', datetime.datetime(2026, 11, 23, 8, 20" in output


def run(page: list[Block], folder: Path, **variables: str) -> str:
    """Run a page's marked blocks in `folder` as one shell script, in order; returns what they printed."""
    script = ["set -eu"]
    for block in page:
        if block.info == "sh run":
            script.append(block.text)
        elif block.info == "python run":
            script.append(f"python - <<'END OF BLOCK'\n{block.text}END OF BLOCK")
    assert len(script) > 1
    ended = subprocess.run(
        ["sh", "-c", "\n".join(script)],
        cwd=folder,
        env=environment(folder) | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def served(block: Block, folder: Path) -> Iterator[tuple[str, str]]:
    """Run the block that starts the service until the `with` ends; yields its address and the key that it printed."""
    log = folder / "service.log"
    with log.open("wb") as output:
        # `exec`, so that the process is the service and not a shell that waits for it.
        process = subprocess.Popen(
            ["sh", "-c", f"exec {block.text}"],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def find(pattern: str) -> str:
        assert process.poll() is None, log.read_text()
        found = re.search(pattern, log.read_text())
        return found[1] if found else ""

    try:
        wait_until(lambda: find(r"running on (http://[\d.:]+)"))
        url, key = find(r"running on (http://[\d.:]+)"), find(r"\n +(tfclip_\S+)\n")
        wait_until(lambda: httpx.get(f"{url}/readyz", timeout=10).status_code == 200)
        yield url, key
    finally:
        process.terminate()
        process.wait(60)


def environment(folder: Path) -> dict[str, str]:
    """What a user has who activated the virtual environment, with a data directory and a port of the test's own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TFCLIP_")}
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return inherited | {"PATH": path, "TFCLIP_DATA_DIR": str(folder / "data"), "TFCLIP_PORT": "0"}
