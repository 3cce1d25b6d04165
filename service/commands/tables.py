"""Tables on standard output."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def moment(time: datetime | None) -> str:
    """Return a time as a table cell."""
    return time.isoformat(sep=" ", timespec="seconds") if time else "-"
