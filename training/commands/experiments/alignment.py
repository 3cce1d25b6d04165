"""`tfclip experiments alignment`: do identity-level visual features stand in for text?"""

from pathlib import Path
from typing import Annotated

import typer

from model.cli import console
from training.commands.describing import DeviceOption, JsonOption, choose_device
from training.commands.experiments.options import (
    ChangesOption,
    ConfigOption,
    OutOption,
    RootOption,
    SeedsOption,
    claim,
    command_line,
    finish,
    one_line_errors,
)


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command("alignment")(alignment)


def alignment(
    config: ConfigOption,
    root: RootOption,
    out: OutOption,
    descriptions: Annotated[
        Path | None,
        typer.Option(help="JSON file: for each training identity a sentence, or a list of them.", show_default=False),
    ] = None,
    seeds: SeedsOption = 3,
    changes: ChangesOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Compare CLIP-Memory rows with text features of learned prompts, and of descriptions where there are some.

    The config's network must start from a whole CLIP. Leaves OUT/alignment.png beside the table.
    """
    import torch

    where = torch.device(choose_device(device))
    with one_line_errors():
        from training.config import load_config
        from training.datasets.registry import read_data_set
        from training.datasets.tracklets import label_map
        from training.experiments.alignment import make_sides, measure_sides, read_descriptions
        from training.experiments.alignment_report import alignment_table, plot_alignment
        from training.experiments.people import fingerprint
        from training.progress import Progress
        from training.start import clip_file

        settings = load_config(config, tuple(changes or ()))
        with console.status("Listing the frames ..."):
            data = read_data_set(settings.data_set, root, split=settings.split)
        labels = list(label_map(data.train))
        sentences = None if descriptions is None else read_descriptions(descriptions, labels)
        clip_file(settings.network)  # a start without text is said before the folder is taken
        claim(out, {"experiment": "alignment", "config": settings.to_dict(), "learned": fingerprint(data.train)})
        with Progress(console) as progress:
            sides = make_sides(
                settings, data.train, len(data.cameras), sentences, out, seeds=seeds, device=where, progress=progress
            )
        measures = measure_sides(sides)
        plot_alignment(sides, out / "alignment.png")
        command = command_line(
            "alignment", config=config, root=root, out=out, descriptions=descriptions, seeds=seeds, set=changes
        )
        finish(out, alignment_table(sides, measures, settings.network.start, command), as_json)
