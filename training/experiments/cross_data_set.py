"""Networks that learned from one data set, measured on every other: how much of what is learned carries over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.checkpoint import describe_weights
from training.config import ConfigError, TrainingConfig
from training.datasets.tracklets import DataSetError
from training.evaluation import describe_tracklets, distinct_tracklets
from training.experiments.cells import TrainedCell, make_cell, measured, train_cell
from training.experiments.flops import multiply_adds_per_frame
from training.experiments.named_sets import NamedSet
from training.experiments.people import fingerprint
from training.experiments.query_figures import QueryFigures, summarise_seeds
from training.experiments.tables import Column, Table, Value, over_seeds
from training.progress import Progress

PAPER: Mapping[str, tuple[float | None, float]] = {
    "mars": (0.894, 0.930),
    "ls_vid": (0.838, 0.904),
    "ilids_vid": (None, 0.945),
}
"""The paper's mAP and rank-1 of TF-CLIP where it learned from the same data set; it crosses none."""


@dataclass(frozen=True)
class Crossing:
    """What there is when all is trained and measured.

    Attributes:
        trained: by the name of the data set that was learned from, a cell for each seed.
        figures: by the names of the data sets learned from and measured, the queries' figures for each seed.
    """

    trained: Mapping[str, Sequence[TrainedCell]]
    figures: Mapping[tuple[str, str], Sequence[QueryFigures]]


def without_cameras(config: TrainingConfig) -> TrainingConfig:
    """The config without a camera table: one data set's cameras are not another's."""
    network = config.network.model_copy(update={"camera_embedding": False})
    return config.model_copy(update={"network": network})


def cross(
    config: TrainingConfig,
    sets: Sequence[NamedSet],
    learned: Sequence[str],
    seeds: int,
    out: Path,
    device: torch.device,
    progress: Progress,
) -> Crossing:
    """Train a network for each data set and seed, and measure each on every data set; nothing is done twice.

    Args:
        config: what all trainings share; its data set is of no account.
        sets: all data sets.
        learned: names of those to learn from.
        seeds: trainings of each, from the config's seed on.
        out: folder of the experiment.
        device: where to compute.
        progress: where to show what happens.

    Raises:
        ConfigError: there is no data set of such a name, or another config or other people are in a cell's folder.
        CellError: a training failed.
        DataSetError: a frame cannot be read, or no query of a data set has a match.
    """
    if strange := set(learned) - {one.name for one in sets}:
        raise ConfigError(f"--train {min(strange)}: the data sets are {', '.join(one.name for one in sets)}")
    shared = without_cameras(config)
    trained: dict[str, list[TrainedCell]] = {}
    figures: dict[tuple[str, str], list[QueryFigures]] = {}
    for one in sets:
        if one.name not in learned:
            continue
        for seed in range(config.seed, config.seed + seeds):
            progress.note(f"{one.name}, seed {seed}")
            cell = make_cell(one.name, shared.model_copy(update={"data_set": one.layout}), seed)
            done = train_cell(cell, one.learned, out, device, progress)
            trained.setdefault(one.name, []).append(done)
            for other in sets:
                found = _measure(done, other, device, progress)
                figures.setdefault((one.name, other.name), []).append(found)
    return Crossing(trained, figures)


def crossing_table(crossing: Crossing, sets: Sequence[NamedSet], config: TrainingConfig, command: str) -> Table:
    """A row for each data set learned from and each measured on.

    Args:
        crossing: what was trained and measured.
        sets: all data sets.
        config: that all trainings shared, as it was given.
        command: that made the table.
    """
    rows: list[Mapping[str, Value]] = []
    for name, cells in crossing.trained.items():
        model = cells[0].load()
        costs: dict[str, Value] = {
            "parameters": sum(one.numel() for one in model.parameters()),
            "flops": multiply_adds_per_frame(model),
            "seconds": over_seeds([one.seconds for one in cells]),
        }
        rows += [{"learned": name, **_measured_row(crossing, name, other), **costs} for other in sets]
    papers = any(row.get("paper_rank-1") is not None for row in rows)
    columns = [
        Column("learned", "learned from"),
        Column("measured", "measured on"),
        Column("mAP", "mAP %", "percent"),
        Column("rank-1", "R1 %", "percent"),
        Column("drop_mAP", "drop in mAP", "difference"),
        Column("drop_rank-1", "drop in R1", "difference"),
        *([Column("paper_mAP", "paper: mAP %", "percent")] if papers else []),
        *([Column("paper_rank-1", "paper: R1 %", "percent")] if papers else []),
        Column("parameters", "parameters, M", "millions"),
        Column("flops", "FLOPs a frame, G", "giga"),
        Column("seconds", "training, min", "minutes"),
    ]
    return Table("Across data sets", command, tuple(columns), tuple(rows), _notes(crossing, sets, config))


def _measured_row(crossing: Crossing, learned: str, other: NamedSet) -> dict[str, Value]:
    found = crossing.figures[learned, other.name]
    precision, hit = summarise_seeds(found)
    row: dict[str, Value] = {"measured": other.name, "mAP": precision, "rank-1": hit}
    if learned == other.name:
        row["paper_mAP"], row["paper_rank-1"] = PAPER.get(other.layout, (None, None))
    elif other.name in crossing.trained:
        own = crossing.figures[other.name, other.name]
        losses = [at_home.minus(away) for at_home, away in zip(own, found, strict=True)]
        row["drop_mAP"], row["drop_rank-1"] = summarise_seeds(losses)
    return row


def _notes(crossing: Crossing, sets: Sequence[NamedSet], config: TrainingConfig) -> tuple[str, ...]:
    seeds = len(next(iter(crossing.trained.values())))
    notes = [
        f"Mean over {seeds} training{'s' if seeds > 1 else ''} of each data set, ± the standard deviation over their "
        "seeds where there are several. In brackets the interval of the mean: between its ends lie 95 % of 2,000 "
        "draws, in which the identities that are asked for are drawn again, the same for all seeds. It says nothing "
        "about training again.",
        "Drop: the figure of the networks that learned from the data set that is measured, less that of the row, in "
        "points. Its interval draws the same identities for both. Where 0 lies within, these people do not tell the "
        "two apart.",
        *(one.in_words() for one in sets),
        "FLOPs are multiply-adds, as the paper counts them.",
    ]
    public = {one.layout for one in sets if one.name in crossing.trained} & PAPER.keys()
    if public:
        notes.append("The paper's figures are of ViT-B/16 that started from CLIP and knew the data set's cameras.")
    if "ilids_vid" in public:
        notes.append(f"Split {config.split} of iLIDS-VID; the paper's figure is the mean over ten.")
    if config.network.camera_embedding:
        notes.append("The config's camera embedding was switched off: one data set's cameras are not another's.")
    if absent := [one.name for one in sets if one.name not in crossing.trained]:
        notes.append(f"Nothing was learned from {', '.join(absent)}, so there is no drop to state for it.")
    return tuple(notes)


def _measure(trained: TrainedCell, other: NamedSet, device: torch.device, progress: Progress) -> QueryFigures:
    path = trained.folder.root / f"on-{other.name}.json"
    key = {
        "model_id": describe_weights(trained.weights).model_id,
        "measured": fingerprint(other.asked.query, other.asked.gallery),
    }

    def measure() -> dict[str, Any]:
        told = progress.bar(f"{trained.cell.name} on {other.name}")
        vectors = describe_tracklets(trained.load(), distinct_tracklets(other.asked), device=device, progress=told)
        try:
            return QueryFigures.of(other.asked, vectors.to(device)).to_dict()
        except ValueError as error:
            raise DataSetError(f"{other.name}: {error}") from error

    found = QueryFigures.from_dict(measured(path, key, measure))
    precision, hit = found.means
    progress.note(f"{trained.cell.name} on {other.name}: mAP {precision:.3f}, rank-1 {hit:.3f}")
    return found
