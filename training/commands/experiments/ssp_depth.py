"""`tfclip experiments ssp-depth`: how deep the Sequence-Specific Prompt should be."""

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

NAME = "ssp-depth"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(NAME)(ssp_depth)


def ssp_depth(
    config: ConfigOption,
    root: RootOption,
    out: OutOption,
    test: TestOption = None,
    seeds: SeedsOption = 3,
    changes: ChangesOption = None,
    rows: RowsOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train SSP with one to four layers, `paper` and `released`, on CLIP-Memory without TMD."""
    with one_line_errors():
        from training.experiments.ssp_depth import PARTS, REFERENCE, depth_rows

    asked = Asked(config, root, out, test, seeds, changes, rows, device, as_json)
    run_rows(NAME, "Depth of SSP", asked, lambda shared: (depth_rows(shared), ()), PARTS, REFERENCE)
