"""Commands that run in this process, against a service that does too: test modules use the fixture `silent_service`."""

import json
from typing import Any

from typer.testing import CliRunner, Result

from model.cli import build_app
from tests.support import ADMIN_KEY, RunningService


def tfclip(running: RunningService, *arguments: object, key: str = ADMIN_KEY) -> Result:
    """Run a command."""
    environment = {"TFCLIP_URL": running.url, "TFCLIP_API_KEY": key}
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments], env=environment)


def answer(running: RunningService, *arguments: object, code: int = 0) -> Any:
    """Run with --json; standard output must be one JSON document."""
    result = tfclip(running, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)
