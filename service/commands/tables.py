"""Tables on standard output."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from model.cli import print_json

if TYPE_CHECKING:
    from pydantic import BaseModel

Item = TypeVar("Item", bound="BaseModel")

_WIDTH_WITHOUT_TERMINAL = 200


def output() -> Console:
    """Return a console on standard output; without a terminal it is wide, so that ids stay whole."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print rows of plain text; square brackets in an identity are no markup."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    output().print(table)


def print_list(
    items: Iterable[Item],
    as_json: bool,
    columns: Sequence[str],
    row: Callable[[Item], Sequence[object]],
    leave_out: set[str] | None = None,
) -> None:
    """Print what a command lists: one JSON document, without the fields to leave out, or a table.

    Args:
        row: the values of an item, one for each column; None is shown as "-".
    """
    if as_json:
        print_json({"items": [item.model_dump(mode="json", exclude=leave_out) for item in items]})
    else:
        print_table(columns, ([_cell(value) for value in row(item)] for item in items))


def print_fields(document: Mapping[str, Any], as_json: bool) -> None:
    """Print what a command shows: one JSON document, or a line for each field; None is shown as "-"."""
    if as_json:
        print_json(document)
        return
    width = max(map(len, document))
    for name, value in document.items():
        typer.echo(f"{name.replace('_', ' '):{width}}  {'-' if value is None else value}")


def moment(time: datetime | None) -> str:
    """Return a time as a table cell."""
    return time.isoformat(sep=" ", timespec="seconds") if time else "-"


def _cell(value: object) -> str:
    return moment(value) if isinstance(value, datetime) else "-" if value is None else str(value)
