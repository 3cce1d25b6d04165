"""`tfclip embed`: a folder of tracklets to a file of descriptors."""

from pathlib import Path
from typing import Annotated

import typer

from model.cli import CommandError, print_json
from training.commands.describing import (
    BatchClipsOption,
    DeviceOption,
    JsonOption,
    choose_device,
    clip_progress,
    open_network,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("embed")(embed)


def embed(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of IDENTITY/CAMERA/TRACKLET/FRAME.{jpg,png}.")],
    out: Annotated[Path, typer.Option("--out", help="File to write (.npz); one of that name is replaced.")],
    weights: Annotated[
        Path | None,
        typer.Option(envvar="TFCLIP_WEIGHTS", help="A .safetensors weights file.", show_default="the demo weights"),
    ] = None,
    batch_clips: BatchClipsOption = 16,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Describe every tracklet of a folder by its dense clips and write the descriptors, each of length 1."""
    if out.is_dir() or not out.parent.is_dir():
        raise CommandError(f"--out: {out} is a folder" if out.is_dir() else f"--out: there is no folder {out.parent}")
    where = choose_device(device)
    from model.checkpoint import model_id
    from training.datasets.folder import read_folder
    from training.datasets.tracklets import DataSetError
    from training.descriptor_files import write_descriptors
    from training.evaluation import describe_tracklets

    try:
        tracklets = read_folder(root).gallery
        network = open_network(weights)
        with clip_progress() as progress:
            vectors = describe_tracklets(network, tracklets, device=where, batch_clips=batch_clips, progress=progress)
    except DataSetError as error:
        raise CommandError(str(error)) from error
    identifier = model_id(network)
    try:
        write_descriptors(out, [one.name for one in tracklets], vectors, identifier)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from error
    if as_json:
        print_json(
            {
                "path": str(out),
                "tracklets": len(tracklets),
                "descriptor_dim": vectors.shape[1],
                "model_id": identifier,
            }
        )
        return
    typer.echo(f"wrote {out}: {len(tracklets):,} descriptors of {vectors.shape[1]:,} numbers, model {identifier}")
