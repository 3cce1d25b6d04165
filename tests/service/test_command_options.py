"""What is wrong with the options of a command is one line, whichever room the command is of."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from model.cli import build_app

WRONG = {
    "--nowhere": ("No such option: --nowhere", "tfclip"),
    "serach": ("No such command 'serach'. Did you mean 'search'?", "tfclip"),
    "tracklets shwo": ("No such command 'shwo'. Did you mean 'show'?", "tfclip tracklets"),
    "tracklets list --limt 3": ("No such option: --limt", "tfclip tracklets list"),
    "tracklets list --limit many": ("Invalid value for '--limit'", "tfclip tracklets list"),
    "tracklets list --limit 0": ("Invalid value for '--limit'", "tfclip tracklets list"),
    "tracklets show": ("Missing argument 'ID'", "tfclip tracklets show"),
    "galleries list winter": ("Got unexpected extra argument", "tfclip galleries list"),
    "galleries set winter": ("nothing to change", "tfclip galleries set"),
    "galleries set winter --clear name": ("'name' is not one of", "tfclip galleries set"),
    "keys create reader": ("Missing option '--scope'", "tfclip keys create"),
    "search x --started-after noon": ("is no ISO 8601 time", "tfclip search"),
    "serve --port http": ("Invalid value for '--port'", "tfclip serve"),
    "weights init --seed x": ("Invalid value for '--seed'", "tfclip weights init"),
    "train": ("Missing option '--config'", "tfclip train"),
    "evaluate": ("Missing option '--dataset'. Choose from: mars", "tfclip evaluate"),
    "experiments compare": ("No such command 'compare'", "tfclip experiments"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_option_is_one_line_that_names_the_help(line: str) -> None:
    fault, command = WRONG[line]
    result = CliRunner().invoke(build_app(), line.split())
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert result.stderr.startswith("error: ")
    assert fault in result.stderr
    assert result.stderr.endswith(f" (see {command} --help)\n")


def test_the_line_stays_whole_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "model.cli", "search", "x", "--combine", "least"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "'least' is not one of 'mean', 'max'" in result.stderr


@pytest.mark.parametrize(("line", "code"), [("galleries set --help", 0), ("galleries", 2), ("", 2)])
def test_help_is_as_it_was(line: str, code: int) -> None:
    result = CliRunner().invoke(build_app(), line.split())
    assert (result.exit_code, result.stderr) == (code, "")
    assert "Usage: tfclip" in result.stdout
    assert "╭─ Options" in result.stdout
