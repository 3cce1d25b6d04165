"""What the commands share that put tracklets through a network: their options, its weights, and a bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.cli import CommandError, console

if TYPE_CHECKING:
    from model.tfclip import TFCLIP

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
BatchClipsOption = Annotated[int, typer.Option(min=1, help="Clips that are computed at one time.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def choose_device(wanted: str) -> str:
    """Return the device to compute on, or end the command."""
    from model.devices import resolve_device

    try:
        return resolve_device(wanted)
    except ValueError as error:
        raise CommandError(f"--device: {error}") from error


def open_network(weights: Path | None) -> "TFCLIP":
    """Load the network, the service's default one when no weights are named, and say when nobody should rely on it."""
    from model.caution import caution
    from model.default_weights import open_model

    network, provenance = open_model(weights)
    said = caution(trained=bool(provenance.get("trained")), demo=bool(provenance.get("demo")))
    if said is not None:
        which = f"no --weights and no TFCLIP_WEIGHTS: {provenance['name']}" if weights is None else str(weights)
        console.print(f"note: {which}: {said}", highlight=False, markup=False, soft_wrap=True)
    return network


@contextmanager
def clip_progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error while clips are described."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Describing clips", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
