"""`tfclip evaluate`: how well weights, or descriptors made elsewhere, find people again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from model.cli import CommandError, console, print_json
from training.commands.data import DataSetOption, RootOption, SplitOption
from training.commands.describing import (
    BatchClipsOption,
    DeviceOption,
    JsonOption,
    choose_device,
    clip_progress,
    open_network,
)

if TYPE_CHECKING:
    from torch import Tensor

    from training.datasets.tracklets import DataSet

ClipsOption = Annotated[
    Literal["dense", "rrs"],
    typer.Option(help="Clips of a tracklet: dense, every frame; rrs, one clip spread over it."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    dataset: DataSetOption,
    root: RootOption,
    weights: Annotated[
        Path | None,
        typer.Option(
            envvar="TFCLIP_WEIGHTS",
            help="A .safetensors weights file, or an .npz of descriptors as `tfclip embed` writes it.",
            show_default="the demo weights",
        ),
    ] = None,
    split: SplitOption = 0,
    clips: ClipsOption = "dense",
    rerank: Annotated[bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours.")] = False,
    use_cameras: Annotated[
        bool, typer.Option("--use-cameras", help="Give a model with a camera table the cameras of its own data set.")
    ] = False,
    batch_clips: BatchClipsOption = 16,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Rank the gallery of a data set for each of its queries: mAP, CMC, mINP, intervals, and pairs of cameras."""
    where = choose_device(device)
    from training.datasets.registry import read_data_set
    from training.datasets.tracklets import DataSetError
    from training.descriptor_files import DescriptorFileError

    from_file = weights is not None and weights.suffix.lower() == ".npz"
    if from_file and use_cameras:
        raise CommandError("--use-cameras: a file of descriptors was made with cameras or without, use weights")
    try:
        with console.status("Listing the frames ..."):
            data = read_data_set(dataset, root, split=split)
        if weights is not None and from_file:
            vectors, identifier = _from_file(data, weights)
        else:
            vectors, identifier = _from_network(data, weights, clips, where, batch_clips, use_cameras)
    except (DataSetError, DescriptorFileError) as error:
        raise CommandError(str(error)) from error
    document = {
        **_measure(data, vectors.to(where), rerank),
        "dataset": dataset,
        "split": split if dataset == "ilids_vid" else None,
        "clips": None if from_file else clips,
        "rerank": rerank,
        "use_cameras": None if from_file else use_cameras,
        "weights": None if weights is None else str(weights),
        "model_id": identifier,
    }
    if as_json:
        print_json(document)
    else:
        _show(document)
    if dataset == "ilids_vid":
        console.print(f"note: this is split {split} of ten; figures that are reported are the mean over splits 0 to 9.")


def _from_file(data: "DataSet", path: Path) -> "tuple[Tensor, str | None]":
    """Descriptors of the test tracklets out of a file, and the model that it names."""
    from training.descriptor_files import read_descriptors
    from training.evaluation import distinct_tracklets

    found = read_descriptors(path)
    return found.of(distinct_tracklets(data)), found.model_id


def _from_network(
    data: "DataSet",
    weights: Path | None,
    clips: Literal["dense", "rrs"],
    device: str,
    batch_clips: int,
    use_cameras: bool,
) -> "tuple[Tensor, str]":
    """Descriptors of the test tracklets, and the model that made them."""
    from model.checkpoint import model_id
    from training.evaluation import describe_tracklets, distinct_tracklets

    network = open_network(weights)
    if use_cameras and not network.config.cameras:
        raise CommandError("--use-cameras: these weights have no camera table")
    with clip_progress() as progress:
        vectors = describe_tracklets(
            network,
            distinct_tracklets(data),
            clips=clips,
            device=device,
            batch_clips=batch_clips,
            progress=progress,
            use_cameras=use_cameras,
        )
    return vectors, model_id(network)


def _measure(data: "DataSet", vectors: "Tensor", rerank: bool) -> dict[str, Any]:
    """Everything that is measured, under the names of the JSON document."""
    from model.camera_pairs import camera_pair_table
    from model.intervals import bootstrap_intervals
    from model.metrics import evaluate_distances
    from training.evaluation import rank

    try:
        with console.status("Ranking ..."):
            rankings = rank(data, vectors, rerank=rerank)
            metrics = evaluate_distances(*rankings)
            pairs = camera_pair_table(*rankings)
    except ValueError as error:
        raise CommandError(str(error)) from error
    return {
        **metrics.to_dict(),
        "skipped": metrics.skipped,
        "intervals": bootstrap_intervals(metrics, rankings.labels.query_identities).to_dict(),
        "camera_pairs": [
            {
                "query_camera": data.cameras[pair.query_camera],
                "gallery_camera": data.cameras[pair.gallery_camera],
                "queries": pair.queries,
                "mAP": pair.mAP,
                "rank-1": pair.rank_1,
            }
            for pair in pairs
        ],
    }


def _show(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    figures = Table(title="Found again", title_justify="left")
    for column in ("", "%", "95 % interval"):
        figures.add_column(column, justify="left" if not column else "right")
    intervals = document["intervals"]
    for name in ("mAP", "rank-1", "rank-5", "rank-10", "rank-20", "mINP"):
        ends = " - ".join(_percent(end) for end in intervals[name]) if name in intervals else ""
        figures.add_row(name, _percent(document[name]), ends)
    pairs = Table(title="Query camera to gallery camera", title_justify="left")
    for column in ("from", "to", "queries", "mAP %", "rank-1 %"):
        pairs.add_column(column, justify="left" if column in ("from", "to") else "right")
    for pair in document["camera_pairs"]:
        cameras = (Text(pair["query_camera"]), Text(pair["gallery_camera"]))
        pairs.add_row(*cameras, f"{pair['queries']:,}", _percent(pair["mAP"]), _percent(pair["rank-1"]))
    skipped = f", {document['skipped']:,} skipped for want of a match" if document["skipped"] else ""
    output = Console(highlight=False, markup=False)
    output.print(figures)
    output.print(pairs)
    output.print(f"{document['queries']:,} queries{skipped}, gallery of {document['gallery']:,} tracklets")
    output.print(f"model {document['model_id'] or 'not named in the file'}", soft_wrap=True)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"
