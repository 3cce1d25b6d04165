"""The `tfclip` command itself, and `tfclip weights`."""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from model import load_model
from model.cli import build_app
from model.identity import model_id

ROOM = """
import typer
from model.cli import CommandError

def register(app: typer.Typer) -> None:
    @app.command()
    def fail() -> None:
        raise CommandError("first line\\n   second line")

    @app.command()
    def interrupt() -> None:
        raise KeyboardInterrupt

def broken(app: typer.Typer) -> None:
    raise RuntimeError("no such room")
"""

ENTRY_POINTS = """
[tfclip.commands]
aaa = tfclip_test_room_that_is_not_there:register
bbb = tfclip_test_room:broken
ccc = tfclip_test_room:register
"""


@pytest.fixture
def app_with_rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typer:
    """The command beside an installed distribution that has one good room, one that fails, and one that is missing."""
    (tmp_path / "tfclip_test_room.py").write_text(ROOM)
    metadata = tmp_path / "tfclip_test_room-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tfclip-test-room\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    return build_app()


def run(app: Typer, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_known_error_is_one_line_on_stderr_and_exit_code_2(app_with_rooms: Typer) -> None:
    result = run(app_with_rooms, "fail")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: first line second line\n"


def test_an_interrupt_is_exit_code_130(app_with_rooms: Typer) -> None:
    result = run(app_with_rooms, "interrupt")
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_a_room_that_cannot_be_loaded_is_named_and_takes_nothing_away(
    app_with_rooms: Typer, capsys: pytest.CaptureFixture[str]
) -> None:
    build_app()
    warnings = capsys.readouterr().err
    assert "tfclip_test_room_that_is_not_there" in warnings
    assert "no such room" in warnings
    help_text = run(app_with_rooms, "--help").stdout
    assert "weights" in help_text
    assert "interrupt" in help_text


def test_the_version_is_the_installed_one(app: Typer) -> None:
    assert run(app, "--version").stdout == f"tfclip {version('tfclip')}\n"


def test_help_needs_no_torch() -> None:
    program = (
        "import sys, typer, model, model.cli, model.commands\n"
        "model.commands.register(typer.Typer())\n"
        "assert 'ModelConfig' in model.__all__\n"
        "print(sorted({'torch', 'numpy', 'open_clip'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_every_name_that_the_room_exports_is_there() -> None:
    import model

    assert all(getattr(model, name).__name__ == name for name in model.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing


def test_init_makes_weights_that_show_describes(app: Typer, tmp_path: Path) -> None:
    out = tmp_path / "W.safetensors"
    made = run(app, "weights", "init", "--preset", "tiny", "--clip", "none", "--seed", "4", "--out", out, "--json")
    assert made.exit_code == 0, made.output
    shown = run(app, "weights", "show", out, "--json")
    assert shown.exit_code == 0, shown.output
    document = json.loads(shown.stdout)
    assert document["model_id"] == json.loads(made.stdout)["model_id"] == model_id(load_model(out))
    assert document["provenance"]["trained"] is False
    assert document["provenance"]["source"] == {"preset": "tiny", "clip": "none", "seed": 4}
    assert document["descriptor_dim"] == 320
    plain = run(app, "weights", "show", out).stdout
    assert document["model_id"] in plain
    assert "trained: false" in plain


def test_the_same_seed_makes_the_same_model(app: Typer, tmp_path: Path) -> None:
    identifiers = []
    for number, seed in enumerate(["1", "1", "2"]):
        out = tmp_path / f"{number}.safetensors"
        made = run(app, "weights", "init", "--preset", "tiny", "--clip", "none", "--seed", seed, "--out", out, "--json")
        identifiers.append(json.loads(made.stdout)["model_id"])
    assert identifiers[0] == identifiers[1] != identifiers[2]


def test_init_says_that_weights_are_untrained(app: Typer, tmp_path: Path) -> None:
    result = run(app, "weights", "init", "--preset", "tiny", "--clip", "none", "--out", tmp_path / "W.safetensors")
    assert "not been trained" in result.stdout


def test_an_existing_file_is_overwritten_only_by_force(app: Typer, tmp_path: Path) -> None:
    out = tmp_path / "W.safetensors"
    out.write_text("mine")
    arguments = ["weights", "init", "--preset", "tiny", "--clip", "none", "--out", out]
    refused = run(app, *arguments)
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert out.read_text() == "mine"
    assert run(app, *arguments, "--force").exit_code == 0
    load_model(out)


def test_a_folder_that_is_not_there_is_refused(app: Typer, tmp_path: Path) -> None:
    result = run(
        app, "weights", "init", "--preset", "tiny", "--clip", "none", "--out", tmp_path / "a" / "W.safetensors"
    )
    assert result.exit_code == 2
    assert "no folder" in result.stderr


@pytest.mark.parametrize("content", [None, b"", b"not weights at all"])
def test_show_refuses_what_is_no_weights_file(app: Typer, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "W.safetensors"
    if content is not None:
        path.write_bytes(content)
    result = run(app, "weights", "show", path, "--json")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("error: ")
