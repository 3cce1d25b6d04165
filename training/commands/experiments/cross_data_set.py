"""`tfclip experiments cross-dataset`: learned from one data set, measured on every other."""

from typing import Annotated

import typer

from model.cli import console
from training.commands.describing import DeviceOption, JsonOption, choose_device
from training.commands.experiments.options import (
    ChangesOption,
    ConfigOption,
    OutOption,
    SeedsOption,
    claim,
    command_line,
    finish,
    one_line_errors,
)


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("cross-dataset")(cross_data_set)


def cross_data_set(
    config: ConfigOption,
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            metavar="NAME=LAYOUT:ROOT",
            help="A data set, at least two: mars, ls_vid, ilids_vid, or folder, whose ROOT holds train/ and val/.",
        ),
    ],
    out: OutOption,
    learned: Annotated[
        list[str] | None,
        typer.Option("--train", metavar="NAME", help="Learn from this data set only. Repeatable.", show_default=False),
    ] = None,
    seeds: SeedsOption = 3,
    changes: ChangesOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Learn from each data set, measure on all of them: what carries over, and what is lost."""
    with one_line_errors():
        import torch

        from training.config import load_config
        from training.experiments.cross_data_set import cross, crossing_table
        from training.experiments.named_sets import read_named_sets
        from training.progress import Progress

        where = torch.device(choose_device(device))
        settings = load_config(config, tuple(changes or ()))
        with console.status("Listing the frames ..."):
            sets = read_named_sets(data, split=settings.split)
        # The data sets are no part of it: one more is measured on beside what is there, and each cell knows its people.
        claim(out, {"experiment": "cross-dataset", "config": settings.to_dict()})
        names = learned or [one.name for one in sets]
        with Progress(console) as progress:
            crossing = cross(settings, sets, names, seeds, out, where, progress)
        command = command_line(
            "cross-dataset", config=config, data=data, out=out, train=learned, seeds=seeds, set=changes
        )
        finish(out, crossing_table(crossing, sets, settings, command), as_json)
