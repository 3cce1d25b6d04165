"""`tfclip experiments components`: what each part of the method is worth."""

from typing import TYPE_CHECKING, Annotated

import typer

from training.commands.describing import DeviceOption, JsonOption
from training.commands.experiments.grid import Asked, run_rows
from training.commands.experiments.options import (
    ChangesOption,
    ConfigOption,
    OutOption,
    RootOption,
    RowsOption,
    SeedsOption,
    TestOption,
    one_line_errors,
)

if TYPE_CHECKING:
    from training.config import TrainingConfig
    from training.experiments.rows import Row

NAME = "components"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(NAME)(components)


def components(
    config: ConfigOption,
    root: RootOption,
    out: OutOption,
    test: TestOption = None,
    seeds: SeedsOption = 3,
    changes: ChangesOption = None,
    rows: RowsOption = None,
    text: Annotated[
        bool, typer.Option("--text/--no-text", help="Rows B1 and B5, where the config starts from a whole CLIP.")
    ] = True,
    plus: Annotated[
        bool, typer.Option("--plus/--no-plus", help="Rows of the better recipe too, one for each part of tfclip_plus.")
    ] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train with and without CLIP-Memory, SSP, TMD and the text branch: the paper's B1 to B6."""
    with one_line_errors():
        from training.experiments.components import PARTS, REFERENCE, component_rows

    def rows_of(shared: "TrainingConfig") -> "tuple[tuple[Row, ...], tuple[str, ...]]":
        return component_rows(shared, text=text, plus=plus)

    asked = Asked(config, root, out, test, seeds, changes, rows, device, as_json)
    run_rows(NAME, "Components", asked, rows_of, PARTS, REFERENCE, no_text=not text, plus=plus)
