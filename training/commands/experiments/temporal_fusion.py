"""`tfclip experiments temporal-fusion`: how frames become one vector."""

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

NAME = "temporal-fusion"


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(NAME)(temporal_fusion)


def temporal_fusion(
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
    """Train with the mean over frames, a convolution, transformers and TMD, on CLIP-Memory alone."""
    with one_line_errors():
        from training.experiments.temporal_fusion import REFERENCE, fusion_rows

    asked = Asked(config, root, out, test, seeds, changes, rows, device, as_json)
    run_rows(NAME, "Temporal fusion", asked, lambda shared: (fusion_rows(shared), ()), (), REFERENCE)
