"""The commands that talk to a running service."""

import typer

from service.commands import admin, demo, ingest, search, tracklets


def register(app: typer.Typer) -> None:
    """Add the service's client commands to `tfclip`."""
    ingest.register(app)
    search.register(app)
    admin.register(app)
    tracklets.register(app)
    demo.register(app)
