"""The commands that talk to a running service."""

import typer

from service.commands import cameras, demo, galleries, generations, ingest, integrity, keys, models, search, tracklets


def register(app: typer.Typer) -> None:
    """Add the service's client commands to `tfclip`."""
    ingest.register(app)
    search.register(app)
    galleries.register(app)
    cameras.register(app)
    generations.register(app)
    models.register(app)
    integrity.register(app)
    keys.register(app)
    tracklets.register(app)
    demo.register(app)
