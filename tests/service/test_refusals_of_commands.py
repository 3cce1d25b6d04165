"""Where the service refuses, a command says what to do in words of the shell, once, and in one line."""

import ast
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from model.cli import build_app
from service import errors
from service.client import TfclipClient, TooLongError
from service.client.options import SearchOptions
from service.commands.remedies import in_commands
from tests.commands import tfclip
from tests.support import RunningService

pytestmark = pytest.mark.usefixtures("silent_service")

REQUEST = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) /\S*")
SERVICE = Path(errors.__file__).parent
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}


def words_of(node: ast.AST) -> str:
    """A text in source as it is at run time, with `X` for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(words_of(part) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return ""


def texts_that_name_requests() -> Iterator[str]:
    """What errors of the service say, where it names a request."""
    for file in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
                text = words_of(node.args[0])
                if REQUEST.search(text):
                    yield text


def test_requests_that_an_error_names_are_commands_in_the_shell() -> None:
    texts = list(texts_that_name_requests())
    assert len(texts) > 15
    for text in texts:
        said = in_commands(text)
        assert not REQUEST.search(said), said
        for line in re.findall(r"`tfclip ([^`]*)`", said):
            command, rest = get_command(build_app()), line.split()
            while hasattr(command, "commands"):
                command = command.commands[rest.pop(0)]
            options = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= options, said


def test_an_error_about_two_arguments_says_each_once(running_service: RunningService) -> None:
    refused = tfclip(running_service, "evidence", "a", "b")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert [refused.stderr.count(f"{field}: ") for field in ("tracklet_id", "against")] == [1, 1]


def test_a_gallery_that_is_there_is_changed_by_the_command_that_the_error_names(
    running_service: RunningService,
) -> None:
    name = f"g{uuid.uuid4().hex}"
    assert tfclip(running_service, "galleries", "create", name).exit_code == 0
    refused = tfclip(running_service, "galleries", "create", name)
    assert f"`tfclip galleries set {name}` changes it" in refused.stderr


def test_options_that_do_not_fit_an_address_are_said_to_be_too_long(running_service: RunningService) -> None:
    query, names = str(uuid.uuid4()), [f"camera {number:04} {'x' * 100}" for number in range(700)]
    with (
        TfclipClient(running_service.url, running_service.admin_key) as client,
        pytest.raises(TooLongError, match="too long for the address"),
    ):
        client.search(query, SearchOptions(camera_id=names))
    refused = tfclip(running_service, "search", query, *(part for name in names for part in ("--camera", name)))
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "name fewer cameras" in refused.stderr


def test_a_key_gets_another_name(running_service: RunningService) -> None:
    made = tfclip(running_service, "keys", "create", "old", "--scope", "read")
    key = made.stderr.split()[1]
    assert "name new, " in tfclip(running_service, "keys", "change", key, "--name", "new").stdout
    (line,) = [line for line in tfclip(running_service, "keys", "list").stdout.splitlines() if key in line]
    assert (" new " in line, " old " in line) == (True, False)
