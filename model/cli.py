"""The `tfclip` command. Its groups are entry points: `model`, `training` and `service` each register their own.

An entry point of the group `tfclip.commands` is a callable `register(app: typer.Typer) -> None`. Nothing here imports
torch, so that `--help` answers at once; commands import what they need when they run.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup
from typer.exceptions import TyperException

from model.errors import WeightsError

console = Console(stderr=True)
"""Where progress and remarks go: standard error."""


class CommandError(Exception):
    """A command cannot do what was asked; the message is one line and says what to do. Exit code 2."""


class _Commands(TyperGroup):
    """Turns known errors of every command into one line on standard error, whoever invokes the group."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _errors_in_one_line():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _errors_in_one_line():
            return super().invoke(ctx)


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Print what a command cannot do, or what is wrong with its options, and leave with exit code 2."""
    cause: Exception
    try:
        yield
    except (CommandError, WeightsError) as error:
        fault, cause = str(error), error
    except TyperException as error:
        # A command that is called with nothing at all has printed its help by now; typer knows this error by its name.
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        fault, cause = _with_way_to_help(error), error
    else:
        return
    typer.echo(f"error: {' '.join(fault.split())}", err=True)
    raise typer.Exit(2) from cause


def _with_way_to_help(error: TyperException) -> str:
    fault = error.format_message().removesuffix(".")
    context = getattr(error, "ctx", None)
    return f"{fault} (see {context.command_path} --help)" if context is not None else fault


def print_json(document: Any) -> None:
    """Print one JSON document, and nothing else, on standard output."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def build_app() -> typer.Typer:
    """Build the command with every group that is installed; one that cannot be imported is named and left out."""
    app = typer.Typer(
        name="tfclip",
        cls=_Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        help="Video person re-identification: a tracklet goes in, a ranking comes out.",
    )
    app.callback()(_root)
    for entry_point in sorted(entry_points(group="tfclip.commands"), key=lambda found: found.name):
        try:
            entry_point.load()(app)
        except Exception as error:
            # Whatever is wrong with one room must not take the others' commands away.
            typer.echo(f"warning: commands of {entry_point.value} are not available: {error}", err=True)
    return app


def main() -> None:
    """Run the `tfclip` command on the arguments of the process."""
    build_app()(prog_name="tfclip")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tfclip {version('tfclip')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of `tfclip` itself."""


if __name__ == "__main__":
    # By its name, so that `python -m model.cli` and the commands mean the same CommandError.
    from model.cli import main as run

    run()
