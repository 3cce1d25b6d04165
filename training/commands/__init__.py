"""The commands of this room: `tfclip train`, `whiten`, `evaluate`, `embed`, `data` and `experiments`."""

from importlib import import_module

import typer

_MODULES = ("train", "whiten", "evaluate", "embed", "data", "experiments")


def register(app: typer.Typer) -> None:
    """Add this room's commands to `tfclip`."""
    for name in _MODULES:
        import_module(f"training.commands.{name}").register(app)
