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
    matches,
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
    matches,
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
