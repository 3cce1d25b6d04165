"""`tfclip serve`: the service as a command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError

if TYPE_CHECKING:
    from service.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to `tfclip`."""
    app.command()(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on [TFCLIP_HOST, 127.0.0.1].")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on [TFCLIP_PORT, 8000]; 0 takes a free one.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A .safetensors weights file [TFCLIP_WEIGHTS]; see `tfclip weights`.")
    ] = None,
) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    Out of the box it starts its own PostgreSQL in the data directory (TFCLIP_DATA_DIR) and prints an admin key once.
    Every setting is an environment variable TFCLIP_...; see docs/settings.md.
    """
    import asyncio

    from pydantic import ValidationError

    from service.api.values import message_of
    from service.settings import read_settings

    try:
        settings = read_settings(host=host, port=port, weights=weights)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        setting = f"TFCLIP_{name.upper()}: " if name else ""
        raise CommandError(f"{setting}{message_of(first)}") from None
    asyncio.run(_run(settings))


async def _run(settings: "Settings") -> None:
    from service.app import create_app
    from service.http_server import make_server
    from service.logs import configure_logs

    configure_logs(settings)
    app = create_app(settings)
    server = make_server(app, settings)
    try:
        await server.serve()
    except SystemExit:
        # uvicorn's way of saying that it could not bind.
        if app.state.startup_error is None:
            raise CommandError(f"cannot listen on {settings.host} port {settings.port}: is it in use?") from None
    if app.state.startup_error is not None:
        raise CommandError(str(app.state.startup_error))
