"""The table that an experiment ends in, as Markdown to read and as JSON to compute with."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any, Literal

from training.run_folder import write_text

Kind = Literal["text", "mark", "percent", "difference", "millions", "giga", "minutes", "count", "number"]
"""How a column is shown.

`percent` and `difference` are fractions in JSON and per cent in Markdown, the second with its sign; `mark` is a bool
and an x; `millions`, `giga` and `minutes` (of seconds) are divided, and have more decimals below 1; `count` is whole;
`number` has three decimals.
"""

_DIVISORS = {"percent": 0.01, "difference": 0.01, "millions": 1e6, "giga": 1e9, "minutes": 60.0}
_DECIMALS = {"percent": 1, "difference": 1, "millions": 2, "giga": 2, "minutes": 1, "count": 0, "number": 3}


@dataclass(frozen=True)
class Figure:
    """A measured number.

    Attributes:
        mean: the number that is shown.
        spread: standard deviation over seeds (n - 1); None for one seed, which says nothing about it.
        values: the single values, one a seed.
        interval: lower and upper end of an interval, where one was computed.
    """

    mean: float
    spread: float | None = None
    values: tuple[float, ...] = ()
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that there are, as JSON types."""
        document: dict[str, Any] = {"mean": self.mean, "spread": self.spread, "values": list(self.values)}
        if self.interval is not None:
            document["interval"] = list(self.interval)
        return document


def over_seeds(values: Sequence[float]) -> Figure:
    """Mean and standard deviation of the values of several seeds.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("there is no value to take the mean of")
    mean = sum(values) / len(values)
    spread = sqrt(sum((one - mean) ** 2 for one in values) / (len(values) - 1)) if len(values) > 1 else None
    return Figure(mean, spread, tuple(values))


Value = str | bool | int | float | Figure | None


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in the rows and in the JSON document.
        title: its head in Markdown.
        kind: how its values are shown.
    """

    key: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Table:
    """What came out of an experiment.

    Attributes:
        title: one line.
        command: the command line that made it.
        columns: in their order.
        rows: a value for each column's key; a key that is missing is an empty cell.
        notes: what the reader must know to read it, a sentence or two each.
    """

    title: str
    command: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Value], ...]
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types; fractions stay fractions, seconds seconds."""
        return {
            "title": self.title,
            "command": self.command,
            "columns": [{"key": one.key, "title": one.title, "kind": one.kind} for one in self.columns],
            "rows": [{one.key: _plain(row.get(one.key)) for one in self.columns} for row in self.rows],
            "notes": list(self.notes),
        }

    def to_markdown(self) -> str:
        """Return the page: title, table, notes, command."""
        lines = [f"# {self.title}", ""]
        lines.append("| " + " | ".join(one.title for one in self.columns) + " |")
        lines.append("|" + "|".join("---" if one.kind == "text" else "---:" for one in self.columns) + "|")
        lines += [
            "| " + " | ".join(_shown(row.get(one.key), one.kind) for one in self.columns) + " |" for row in self.rows
        ]
        for note in self.notes:
            lines += ["", note]
        return "\n".join([*lines, "", "```sh", self.command, "```", ""])


def write_table(out: Path, table: Table) -> None:
    """Write `table.md` and `table.json` into a folder; each appears whole or not at all."""
    write_text(out / "table.json", json.dumps(table.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    write_text(out / "table.md", table.to_markdown())


def _plain(value: Value) -> Any:
    return value.to_dict() if isinstance(value, Figure) else value


def _shown(value: Value, kind: Kind) -> str:
    if value is None:
        return ""
    if kind == "mark":
        return "x" if value else ""
    if isinstance(value, str):
        return value.replace("|", "\\|")
    if isinstance(value, Figure):
        shown = _number(value.mean, kind)
        if value.spread is not None:
            shown += f" ± {_number(value.spread, kind).lstrip('+')}"
        if value.interval is not None:
            shown += " (" + " to ".join(_number(end, kind) for end in value.interval) + ")"
        return shown
    return _number(float(value), kind)


def _number(value: float, kind: Kind) -> str:
    value /= _DIVISORS.get(kind, 1.0)
    if kind in ("millions", "giga", "minutes") and 0 < abs(value) < 1:
        return f"{value:.2g}"
    sign = "+" if kind == "difference" else ""
    return f"{value:{sign},.{_DECIMALS.get(kind, 3)}f}"
