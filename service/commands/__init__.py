"""The commands that talk to a running service."""

import typer

from service.commands import (
    archives,
    calibration,
    cameras,
    changes,
    demo,
    evidence,
    galleries,
    generations,
    identities,
    ingest,
    integrity,
    keys,
    models,
    search,
    tracklets,
    verify,
)

_COMMANDS = (
    ingest,
    archives,
    search,
    verify,
    calibration,
    evidence,
    identities,
    galleries,
    cameras,
    generations,
    models,
    integrity,
    keys,
    tracklets,
    changes,
    demo,
)


def register(app: typer.Typer) -> None:
    """Add the service's client commands to `tfclip`."""
    for command in _COMMANDS:
        command.register(app)
