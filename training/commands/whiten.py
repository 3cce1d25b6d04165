"""`tfclip whiten`: a linear map of descriptors, learned from labelled tracklets in one pass."""

from pathlib import Path
from typing import Annotated

import typer

from model.cli import CommandError, print_json
from training.commands.data import DataSetOption, RootOption, SplitOption
from training.commands.describing import BatchClipsOption, DeviceOption, JsonOption, choose_device, clip_progress


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("whiten")(whiten)


def whiten(
    dataset: DataSetOption,
    root: RootOption,
    weights: Annotated[Path, typer.Option("--weights", help="A .safetensors weights file.")],
    out: Annotated[Path, typer.Option("--out", help="Weights file to write (.safetensors).")],
    split: SplitOption = 0,
    shrinkage: Annotated[
        float, typer.Option(help="How far the covariance is drawn towards that of equal directions, over 0.")
    ] = 0.1,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Let the network describe mirror images too; twice the cost.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
    batch_clips: BatchClipsOption = 16,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Whiten the descriptors of a network: what varies between tracklets of the same person counts for less.

    Learned from the training half of a data set, in one pass and without a gradient.
    """
    if out.is_dir() or not out.parent.is_dir():
        raise CommandError(f"--out: {out} is a folder" if out.is_dir() else f"--out: there is no folder {out.parent}")
    if out.exists() and not force:
        raise CommandError(f"{out} exists: choose another --out, or overwrite it with --force.")
    where = choose_device(device)
    from model.checkpoint import describe_weights, load_model, save_model
    from training.datasets.registry import read_data_set
    from training.datasets.tracklets import DataSetError
    from training.whiten import learn_whitening

    try:
        learned_from = read_data_set(dataset, root, split=split).train
        model, provenance = load_model(weights), describe_weights(weights).provenance
        with clip_progress() as progress:
            model = learn_whitening(
                model,
                learned_from,
                shrinkage=shrinkage,
                mirrored=mirror,
                device=where,
                batch_clips=batch_clips,
                progress=progress,
            )
    except (DataSetError, ValueError) as error:
        raise CommandError(str(error)) from error
    identities = len({one.identity for one in learned_from})
    provenance["whitening"] = {
        "data_set": dataset,
        "identities": identities,
        "tracklets": len(learned_from),
        "shrinkage": shrinkage,
    }
    identifier = save_model(model, out, provenance)
    if as_json:
        print_json({"path": str(out), "model_id": identifier, **provenance["whitening"], "mirrored": mirror})
        return
    typer.echo(
        f"wrote {out}: model {identifier}, whitened by {len(learned_from):,} tracklets of {identities:,} identities"
    )
