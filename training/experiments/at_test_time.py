"""How many frames of a tracklet are enough: one network, the same queries, other frames."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.checkpoint import describe_weights, load_model
from model.tfclip import TFCLIP
from training.datasets.tracklets import DataSet, DataSetError
from training.evaluation import distinct_tracklets
from training.experiments.cells import measured
from training.experiments.flops import multiply_adds_per_frame
from training.experiments.people import fingerprint
from training.experiments.query_figures import QueryFigures, mean_of, summarise_seeds
from training.experiments.samplings import Sampling, describe_by_samplings
from training.experiments.tables import Column, Figure, Table, Value, over_seeds
from training.progress import Progress

CAPS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Most frames of a tracklet. A cap that no tracklet is longer than is left out."""

DRAWS = 5
"""Restricted random clips of each tracklet; a figure is the mean over them."""

TOLERANCE = 0.005
"""A cap that loses no more mAP than this is as good as all frames."""

DENSE, FIRST = Sampling("dense"), Sampling("first")


@dataclass(frozen=True)
class Found:
    """What one network was worth under one sampling.

    Attributes:
        figures: of the queries.
        frames, clips: used for a tracklet, means.
        milliseconds: of the network for a tracklet, the median.
    """

    figures: QueryFigures
    frames: float
    clips: float
    milliseconds: float


Findings = Mapping[Sampling, Found]
"""Of one network, under every sampling."""


def samplings_for(data: DataSet) -> tuple[Sampling, ...]:
    """The samplings that differ on a data set's test tracklets: all frames, caps, and single clips."""
    longest = max(len(one.frames) for one in distinct_tracklets(data))
    caps = (Sampling("capped", cap) for cap in CAPS if cap < longest)
    return (DENSE, *caps, *(Sampling("drawn", number) for number in range(DRAWS)), FIRST)


def measure_samplings(weights: Path, data: DataSet, path: Path, device: torch.device, progress: Progress) -> Findings:
    """Measure a network under every sampling, or read what was measured before.

    Args:
        weights: of the network.
        data: its `query` and `gallery` are measured.
        path: JSON file to keep the result in.
        device: where to compute.
        progress: where to show what happens.

    Raises:
        WeightsError: the weights cannot be used.
        DataSetError: a frame cannot be read, or no query has a match.
    """
    samplings = samplings_for(data)
    key = {
        "model_id": describe_weights(weights).model_id,
        "measured": fingerprint(data.query, data.gallery),
        "samplings": [[one.kind, one.number] for one in samplings],
        "machine": name_of(device),
    }
    document = measured(path, key, lambda: _measure(load_model(weights), data, samplings, device, progress))
    return {
        one: Found(QueryFigures.from_dict(found["queries"]), *(found[name] for name in _COSTS))
        for one, found in zip(samplings, document["samplings"], strict=True)
    }


def name_of(device: torch.device) -> str:
    """In words, what computes: times mean nothing without it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, threads: {torch.get_num_threads()}"


def sampling_table(
    seeds: Sequence[Findings],
    seconds: Sequence[float],
    model: TFCLIP,
    data: DataSet,
    machine: str,
    command: str,
) -> Table:
    """A row for each sampling.

    Args:
        seeds: findings of each network, one for each seed.
        seconds: of their trainings; none when nothing was trained.
        model: one of the networks.
        data: that was measured.
        machine: that computed.
        command: that made the table.
    """
    lengths = np.array([len(one.frames) for one in distinct_tracklets(data)])
    flops = multiply_adds_per_frame(model)
    shared: dict[str, Value] = {
        "parameters": sum(one.numel() for one in model.parameters()),
        "flops": flops,
        "seconds": over_seeds(seconds) if seconds else None,
    }
    rows = []
    for name, group in _groups(list(seeds[0])).items():
        found = [_over_draws([findings[one] for one in group]) for findings in seeds]
        precision, hit = summarise_seeds([one.figures for one in found])
        row: dict[str, Value] = {"sampling": name, "mAP": precision, "rank-1": hit}
        if group[0] != DENSE:
            gains = [one.figures.minus(findings[DENSE].figures) for one, findings in zip(found, seeds, strict=True)]
            row["difference"] = summarise_seeds(gains)[0]
        if group[0].kind == "capped":
            row["cap"], row["longer"] = group[0].number, float((lengths > group[0].number).mean())
        row["frames"], row["clips"] = found[0].frames, found[0].clips
        row["flops_per_tracklet"] = found[0].clips * model.config.clip_length * flops
        row["milliseconds"] = over_seeds([one.milliseconds for one in found])
        rows.append(row | shared)
    return Table("Frames of a tracklet", command, _COLUMNS, tuple(rows), _notes(rows, lengths, seeds, machine))


def smallest_cap(accuracies: Mapping[int, float], least: float) -> int | None:
    """The smallest cap from which on every cap reaches an accuracy; None when the largest does not."""
    found = None
    for cap in sorted(accuracies, reverse=True):
        if accuracies[cap] < least:
            break
        found = cap
    return found


_COSTS = ("frames", "clips", "milliseconds")

_COLUMNS = (
    Column("sampling", "frames that are used"),
    Column("cap", "cap", "count"),
    Column("longer", "longer tracklets %", "percent"),
    Column("mAP", "mAP %", "percent"),
    Column("rank-1", "R1 %", "percent"),
    Column("difference", "mAP over all frames", "difference"),
    Column("frames", "frames a tracklet", "number"),
    Column("clips", "clips a tracklet", "number"),
    Column("flops_per_tracklet", "FLOPs a tracklet, G", "giga"),
    Column("milliseconds", "ms a tracklet", "number"),
    Column("parameters", "parameters, M", "millions"),
    Column("flops", "FLOPs a frame, G", "giga"),
    Column("seconds", "training, min", "minutes"),
)


def _measure(
    model: TFCLIP, data: DataSet, samplings: Sequence[Sampling], device: torch.device, progress: Progress
) -> dict[str, Any]:
    found = describe_by_samplings(
        model, distinct_tracklets(data), samplings, device=device, progress=progress.bar("tracklets, every sampling")
    )
    documents = []
    for one in samplings:
        described = found[one]
        try:
            figures = QueryFigures.of(data, described.descriptors.to(device))
        except ValueError as error:
            raise DataSetError(f"{data.root}: {error}") from error
        costs = (described.frames.mean(), described.clips.mean(), 1000 * np.median(described.seconds))
        documents.append(
            {"queries": figures.to_dict(), **{name: float(cost) for name, cost in zip(_COSTS, costs, strict=True)}}
        )
        precision, hit = figures.means
        progress.note(f"{one.kind} {one.number or ''}: mAP {precision:.3f}, rank-1 {hit:.3f}")
    return {"samplings": documents}


def _groups(samplings: Sequence[Sampling]) -> dict[str, list[Sampling]]:
    """Samplings by the name of their row: draws share one."""
    groups: dict[str, list[Sampling]] = {}
    for one in samplings:
        name = {
            "dense": "all",
            "capped": f"at most {one.number}, spread evenly",
            "drawn": f"one clip, restricted random, {DRAWS} draws",
            "first": "one clip, first of each chunk",
        }[one.kind]
        groups.setdefault(name, []).append(one)
    return groups


def _over_draws(found: Sequence[Found]) -> Found:
    costs = ([getattr(one, name) for one in found] for name in _COSTS)
    return Found(mean_of([one.figures for one in found]), *(float(np.mean(values)) for values in costs))


def _notes(
    rows: Sequence[Mapping[str, Value]], lengths: NDArray[np.int64], seeds: Sequence[Findings], machine: str
) -> tuple[str, ...]:
    draws = [[one.figures.means[0] for way, one in found.items() if way.kind == "drawn"] for found in seeds]
    spread = np.mean(np.std(draws, axis=1, ddof=1))
    return (
        f"Mean over {len(seeds)} network{'s' if len(seeds) > 1 else ''}, ± the standard deviation over their seeds "
        "where there are several. In brackets the interval: between its ends lie 95 % of 2,000 draws, in which the "
        "identities that are asked for are drawn again, the same for all seeds, and for both sides of a difference.",
        f"Queries and gallery are described alike. The {len(lengths):,} tracklets have {lengths.min()} to "
        f"{lengths.max():,} frames, {lengths.mean():.1f} in the mean.",
        f"ms: what the network alone takes for a tracklet, the median, on: {machine}; one tracklet at a time, decoding "
        "left out. FLOPs are multiply-adds, as the paper counts them. No camera is told to the network.",
        f"mAP of single draws of restricted random clips differs by {100 * spread:.2f} points (standard deviation).",
        *_caps_in_words(rows, int(lengths.max())),
    )


def _caps_in_words(rows: Sequence[Mapping[str, Value]], longest: int) -> list[str]:
    """What the caps that were measured say, and which were not."""
    dense, *others = ((row.get("cap"), row["mAP"]) for row in rows)
    whole = dense[1]
    assert isinstance(whole, Figure)
    assert whole.interval is not None
    accuracies = {cap: found.mean for cap, found in others if isinstance(cap, int) and isinstance(found, Figure)}
    low, high = whole.interval
    said = []
    for what, least in (
        (f"within the interval of all frames, {100 * low:.1f} to {100 * high:.1f}", low),
        (f"within {100 * TOLERANCE:.1f} points of all frames, {100 * whole.mean:.1f}", whole.mean - TOLERANCE),
    ):
        if accuracies:
            cap = smallest_cap(accuracies, least)
            found = f"from a cap of {cap} on" if cap else f"with no cap up to {max(accuracies)}"
            said.append(f"mAP is {what}: {found}.")
    if absent := [str(cap) for cap in CAPS if cap not in accuracies]:
        said.append(f"No row for a cap of {', '.join(absent)}: no tracklet is longer than {longest} frames.")
    return said
