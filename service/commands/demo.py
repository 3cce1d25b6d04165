"""`tfclip demo`: the whole path on one machine, in a folder of its own that is gone afterwards."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, console, print_json

if TYPE_CHECKING:
    from types import FrameType

    from service.client import TfclipClient

_START_SECONDS = 90.0
_STOP_SECONDS = 60.0
_LOG_LINES = 30
# Everything else in the environment that speaks to the service speaks to another one than the demo's.
_KEPT_SETTINGS = ("TFCLIP_WEIGHTS", "TFCLIP_DEVICE")


def register(app: typer.Typer) -> None:
    """Add `tfclip demo`."""
    app.command("demo")(demo)


def demo(
    leave: Annotated[bool, typer.Option("--exit", help="End after the table, even at a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and end.")] = False,
) -> None:
    """Start a service, store a scene of people drawn by code, and search it. Nothing is downloaded, nothing is kept."""
    from service.client import TfclipClient
    from service.client.errors import ClientError
    from service.commands.demo_run import DemoError, run_demo, show

    with _own_folder() as folder, _running_service(folder) as (service, url, key), TfclipClient(url, key) as client:
        _wait_until_ready(service, client, folder / "service.log")
        console.print(f"The service answers at {url}")
        try:
            result = run_demo(client, folder / "scene")
        except (ClientError, DemoError) as error:
            _say_tail(folder / "service.log")
            raise CommandError(str(error)) from error
        if as_json:
            print_json(result.to_dict())
            return
        show(result)
        if leave or not sys.stdin.isatty():
            return
        typer.echo(f"The service stays up at {url} until Ctrl-C. Its key: {key}")
        try:
            service.wait()
        except KeyboardInterrupt:
            return
        _say_tail(folder / "service.log")
        raise CommandError("the service ended by itself")


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Make a folder that other users can pass but not list: an embedded PostgreSQL started by root is another user."""
    folder = Path(tempfile.mkdtemp(prefix="tfclip-demo-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running_service(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str, str]]:
    """Start `tfclip serve` on a free port with a data directory of its own, and stop it at the end, SIGTERM included.

    Yields:
        The process, its address and its admin key.
    """
    port, key = _free_port(), secrets.token_hex(24)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TFCLIP_") or name in _KEPT_SETTINGS
    }
    environment |= {"TFCLIP_DATA_DIR": str(folder / "data"), "TFCLIP_ADMIN_KEY": key}
    code = "from model.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--host", "127.0.0.1", "--port", str(port)]
    previous = signal.signal(signal.SIGTERM, _leave)
    # A session of its own: Ctrl-C reaches this process alone, which then stops the service once and in order.
    with (folder / "service.log").open("wb") as log:
        service = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield service, f"http://127.0.0.1:{port}", key
    finally:
        _stop(service)
        signal.signal(signal.SIGTERM, previous)


def _wait_until_ready(service: "subprocess.Popen[bytes]", client: "TfclipClient", log: Path) -> None:
    from service.client.errors import UnreachableError

    deadline = time.monotonic() + _START_SECONDS
    with console.status(f"Starting the service at {client.url}"):
        while time.monotonic() < deadline:
            if service.poll() is not None:
                _say_tail(log)
                raise CommandError(f"the service ended with code {service.returncode} while starting")
            try:
                if client.ready().ready:
                    return
            except UnreachableError:
                pass
            time.sleep(0.1)
    _say_tail(log)
    raise CommandError(f"the service was not ready after {_START_SECONDS:g} s")


def _stop(service: "subprocess.Popen[bytes]") -> None:
    service.terminate()
    try:
        service.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()


def _say_tail(log: Path) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    console.print("The end of the service's log:", *lines, sep="\n", markup=False, highlight=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _leave(number: int, _: "FrameType | None") -> None:
    raise SystemExit(128 + number)
