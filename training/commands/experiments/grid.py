"""What the experiments of rows times seeds have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from model.cli import console
from training.commands.experiments.options import command_line, finish, one_line_errors, open_setting

if TYPE_CHECKING:
    from training.config import TrainingConfig
    from training.experiments.rows import Row
    from training.experiments.tables import Column

    RowsOf = Callable[[TrainingConfig], tuple[tuple[Row, ...], tuple[str, ...]]]
    """From what all rows share to the rows, and notes about them all."""


@dataclass(frozen=True)
class Asked:
    """The options of the command, as they were given."""

    config: str
    root: Path
    out: Path
    test: Path | None
    seeds: int
    changes: list[str] | None
    rows: str | None
    device: str
    as_json: bool


def run_rows(
    name: str,
    title: str,
    asked: Asked,
    rows_of: "RowsOf",
    parts: "tuple[Column, ...]",
    reference: str,
    **flags: bool,
) -> None:
    """Make an experiment of rows times seeds and print its table.

    Args:
        name: of the command.
        title: of the table.
        asked: the options.
        rows_of: the rows, given the config that they share.
        parts: the experiment's own columns.
        reference: name of the row that the others are compared with.
        flags: further options, by name, that the table's command line shows.
    """
    with one_line_errors():
        from training.config import load_config
        from training.experiments.grid import run_grid
        from training.experiments.row_table import row_table
        from training.experiments.rows import select_rows
        from training.progress import Progress

        setting = open_setting(asked.config, asked.changes, asked.root, asked.test, asked.device)
        rows, notes = rows_of(setting.config)
        rows = select_rows(rows, asked.rows)
        setting.claim(name, asked.out)  # not before the rows are known: what cannot be made takes no folder
        with Progress(console) as progress:
            results = run_grid(
                rows,
                lambda row: load_config(asked.config, (*(asked.changes or ()), *row.changes)),
                asked.seeds,
                setting.people,
                asked.out,
                setting.device,
                progress,
            )
        command = command_line(
            name,
            config=asked.config,
            root=asked.root,
            test=asked.test,
            out=asked.out,
            seeds=asked.seeds,
            rows=asked.rows,
            set=asked.changes,
            **flags,
        )
        table = row_table(
            results,
            title=title,
            command=command,
            parts=parts,
            reference=reference,
            people=setting.people,
            notes=notes,
        )
    finish(asked.out, table, asked.as_json)
