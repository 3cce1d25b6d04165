"""`tfclip data`: look a data set over before training does, and draw one of people who do not exist."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from model.cli import CommandError, console, print_json

DataSetOption = Annotated[
    Literal["mars", "ls_vid", "ilids_vid", "folder"],
    typer.Option("--dataset", help="Layout that the files are in, see docs/datasets.md."),
]
RootOption = Annotated[Path, typer.Option("--root", help="Folder that the data set lies in.")]
SplitOption = Annotated[int, typer.Option("--split", min=0, help="Of ilids_vid, 0 to 9.")]


def register(app: typer.Typer) -> None:
    """Add the group `data` to the command."""
    data = typer.Typer(no_args_is_help=True, help="Check data sets, and draw one of people who do not exist.")
    data.command("check")(check)
    data.command("synthesize")(synthesize)
    app.add_typer(data, name="data")


def check(
    dataset: DataSetOption,
    root: RootOption,
    split: SplitOption = 0,
    frames: Annotated[
        Literal["all", "sample", "none"],
        typer.Option(help="Frames to open: every one, 2,000 spread over the data set, or none."),
    ] = "sample",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Compare a data set with what it should be. Exit code 1: something differs; 2: it cannot be read."""
    from rich.console import Console
    from rich.progress import Progress

    from training.datasets.check import check_data_set
    from training.datasets.registry import read_data_set
    from training.datasets.report import data_document, data_table
    from training.datasets.tracklets import DataSetError

    try:
        with console.status("Listing the frames ..."):
            data = read_data_set(dataset, root, split=split)
    except DataSetError as error:
        raise CommandError(str(error)) from error
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("Opening frames", total=None)
        findings = check_data_set(
            data,
            read_frames=frames,
            progress=lambda opened, of: bar.update(task, completed=opened, total=of),
        )
    if as_json:
        print_json(data_document(data, findings))
    else:
        Console().print(data_table(data, findings))
    if not all(one.ok for one in findings):
        raise typer.Exit(1)


def synthesize(
    out: Annotated[Path, typer.Option("--out", help="Folder to write, in the layout of the data set `folder`.")],
    people: Annotated[int, typer.Option(min=1, help="Identities.")] = 500,
    cameras: Annotated[int, typer.Option(min=1, help="Cameras; every person passes every one, or --passes.")] = 6,
    passes: Annotated[
        int | None, typer.Option(min=1, help="Cameras that each person passes.", show_default="all of them")
    ] = None,
    tracklets: Annotated[int, typer.Option(min=1, help="Tracklets of each person before each camera.")] = 2,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each tracklet.")] = 16,
    height: Annotated[int, typer.Option(min=32, help="Pixels of a frame; its width is half of that.")] = 256,
    difficulty: Annotated[
        float, typer.Option(min=0, max=1, help="1: a street. 0: good cameras, nothing in the way.")
    ] = 1.0,
    easiest: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Draw each camera's difficulty between this and --difficulty.",
            show_default="--difficulty",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=(1 << 29) - 1, help="Another seed draws other people before other cameras.")
    ] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw.", show_default="one for each CPU")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not empty.")] = False,
    descriptions: Annotated[
        Path | None,
        typer.Option(help="JSON file to write besides: a sentence about each person.", show_default=False),
    ] = None,
) -> None:
    """Draw tracklets of people who do not exist; the same for the same numbers."""
    if out.exists() and not out.is_dir():
        raise CommandError(f"{out} is a file: choose a folder for --out.")
    if not force and out.is_dir() and any(out.iterdir()):
        raise CommandError(f"{out} is not empty: choose another --out, or write into it with --force.")
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from model.data.descriptions import describe_person
    from model.data.scene import scene_people, write_scene

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Drawing tracklets", total=people * (passes or cameras) * tracklets)
        try:
            written = write_scene(
                out,
                people=people,
                cameras=cameras,
                tracklets=tracklets,
                frames=frames,
                seed=seed,
                height=height,
                difficulty=difficulty,
                passes=passes,
                easiest=easiest,
                workers=workers or os.cpu_count() or 1,
                progress=lambda written: bar.update(task, completed=written),
            )
            if descriptions is not None:
                said = {name: describe_person(person) for name, person in scene_people(people, seed).items()}
                descriptions.write_text(json.dumps(said, indent=2) + "\n")
        except ValueError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename or out} cannot be written: {error.strerror}.") from error
    passed = len({tracklet.camera for tracklet in written})
    sizes = f"{len(written):,} tracklets, {len(written) * frames:,} frames"
    typer.echo(f"wrote {out}: {people:,} people before {passed:,} cameras, {sizes}")
