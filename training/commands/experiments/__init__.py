"""`tfclip experiments`: many trainings, each done once, and a table of what came out."""

from importlib import import_module

import typer

_MODULES = ("components", "temporal_fusion", "ssp_depth")


def register(app: typer.Typer) -> None:
    """Add the group `experiments` to the command."""
    group = typer.Typer(no_args_is_help=True, help="Train variants side by side and measure them on the same people.")
    for name in _MODULES:
        import_module(f"training.commands.experiments.{name}").register(group)
    app.add_typer(group, name="experiments")
