"""What every command that talks to the service shares: where it is, which key, how failures look."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.cli import CommandError
from service.commands.remedies import in_commands

if TYPE_CHECKING:
    from service.client import TfclipClient

Url = Annotated[str, typer.Option("--url", envvar="TFCLIP_URL", help="Where the service is.")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key", envvar="TFCLIP_API_KEY", help="The key; other users of the machine do not see the variable."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")]
Gallery = Annotated[
    str | None, typer.Option("--gallery", help="The set of tracklets searched together.", show_default="default")
]

LOCAL_URL = "http://127.0.0.1:8000"
_INTERACTIVE_ATTEMPTS = 4


@contextmanager
def service_at(url: str, api_key: str | None, *, patient: bool = False) -> Iterator["TfclipClient"]:
    """Open a client whose failures end the command with one line.

    Args:
        url: the service's address.
        api_key: the key, if any.
        patient: for long work: sit out a restart of the service instead of giving up after a few seconds.

    Raises:
        CommandError: in place of every `ClientError`, and of an argument that is not UTF-8.
    """
    from service.client import PATIENT, TfclipClient
    from service.client.errors import ApiProblem, ClientError
    from service.client.retries import RetryPolicy

    try:
        client = TfclipClient(url, api_key, retries=PATIENT if patient else RetryPolicy(attempts=_INTERACTIVE_ATTEMPTS))
    except ValueError as error:
        raise CommandError(str(error)) from error
    try:
        with client:
            yield client
    except ApiProblem as problem:
        if problem.status == 401:
            fault = "the key is wrong or revoked" if api_key else "a key is needed"
            raise CommandError(f"{url}: {fault}; set TFCLIP_API_KEY or --api-key") from problem
        faults = [f"{error.get('location')}: {error.get('message')}" for error in problem.errors]
        # The first fault is in the problem's own words already, and so may others be.
        others = [f"; {fault}" for fault in faults[1:] if fault not in str(problem)]
        raise CommandError(in_commands(f"{problem}{''.join(others)}")) from problem
    except ClientError as error:
        raise CommandError(str(error)) from error
    except UnicodeEncodeError as error:
        raise CommandError(f"what is sent must be UTF-8, and {error.object!r} is not") from error


def parse_time(text: str | None) -> datetime | None:
    """Read an ISO 8601 time for an option; without an offset it is UTC.

    Raises:
        typer.BadParameter: it is no such time.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 time such as 2025-11-03T14:30:00+01:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_labels(given: Sequence[str]) -> dict[str, Any]:
    """Read labels, `KEY=VALUE` each, for an option `--label`; what is not JSON, or no finite number, is a text.

    Raises:
        typer.BadParameter: one is no such pair.
    """
    labels: dict[str, Any] = {}
    for one in given:
        key, separator, value = one.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{one!r}: expected KEY=VALUE", param_hint="--label")
        try:
            labels[key] = json.loads(value)
            json.dumps(labels[key], allow_nan=False)
        except ValueError:
            labels[key] = value
    return labels
