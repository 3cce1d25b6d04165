"""Seconds and memory of measuring rankings at the size of MARS, from descriptors, beside the plain loop.

The descriptors are drawn: 1,980 queries that are in a gallery of 11,310, 625 people before 6 cameras and distractors,
2,048 numbers each. The plain loop sorts the gallery for one query after another and walks down the ranking; it is
measured on some queries and its time scaled to all. Run it alone: `python -m benchmarks.evaluation_speed`.
"""

import argparse
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from model.camera_pairs import camera_pair_table
from model.intervals import bootstrap_intervals
from model.metrics import RetrievalLabels, evaluate_distances
from model.retrieval import CosineDistances, k_reciprocal_distances, unit_length

Result = TypeVar("Result")


@dataclass
class Measured:
    """Seconds of a step, and the most memory (MiB) that its process had held by then; 0 where it is not told."""

    step: str
    seconds: float
    peak: float


def drawn(queries: int, gallery: int, dimension: int) -> tuple[Tensor, RetrievalLabels]:
    """Descriptors of a gallery (G, D) whose first rows are the queries, and labels; a third are distractors."""
    rng = torch.Generator().manual_seed(0)
    identities = torch.randint(1, 626, (gallery,), generator=rng)
    identities[queries:][torch.rand(gallery - queries, generator=rng) < 0.33] = 0
    cameras = torch.randint(0, 6, (gallery,), generator=rng)
    centres = torch.randn(626, dimension, generator=rng)
    descriptors = 0.25 * centres[identities] + torch.randn(gallery, dimension, generator=rng)
    return descriptors, RetrievalLabels(identities[:queries], identities, cameras[:queries], cameras)


def plain_loop(query: Tensor, gallery: Tensor, labels: RetrievalLabels) -> tuple[float, float]:
    """mAP and rank-1 with loops and lists: sort, drop, walk."""
    precisions, firsts = [], []
    people, cameras = labels.gallery_identities.tolist(), labels.gallery_cameras.tolist()
    unit = unit_length(gallery)
    for row, descriptor in enumerate(unit_length(query)):
        distances = (1 - unit @ descriptor).tolist()
        person, camera = int(labels.query_identities[row]), int(labels.query_cameras[row])
        rank, hits, total, first = 0, 0, 0.0, 0
        for entry in sorted(range(len(distances)), key=distances.__getitem__):
            if people[entry] == person and cameras[entry] == camera:
                continue
            rank += 1
            if people[entry] == person:
                hits += 1
                first = first or rank
                total += hits / rank
        if hits:
            precisions.append(total / hits)
            firsts.append(first == 1)
    return sum(precisions) / len(precisions), sum(firsts) / len(firsts)


def measure(queries: int, gallery: int, dimension: int, plain_queries: int) -> list[Measured]:
    """Time each step once, the plain loop on fewer queries, in this process."""
    descriptors, labels = drawn(queries, gallery, dimension)
    query = descriptors[:queries]
    found = [Measured("the descriptors alone", 0.0, _peak())]

    def step(name: str, work: Callable[[], Result]) -> Result:
        began = time.perf_counter()
        result = work()
        found.append(Measured(name, time.perf_counter() - began, _peak()))
        return result

    metrics = step(
        "mAP, CMC, mINP from descriptors",
        lambda: evaluate_distances(CosineDistances(query, descriptors), labels),
    )
    step("intervals, 2,000 draws", lambda: bootstrap_intervals(metrics, labels.query_identities))
    step("pairs of cameras", lambda: camera_pair_table(CosineDistances(query, descriptors), labels))
    step(
        "re-ranked distances",
        lambda: k_reciprocal_distances(query, descriptors, copies=torch.arange(queries)),
    )
    some = slice(0, plain_queries)
    part = labels.select(queries=some)
    m_ap, rank_1 = step("", lambda: plain_loop(query[some], descriptors, part))
    same = evaluate_distances(CosineDistances(query[some], descriptors), part)
    assert abs(m_ap - same.mAP) < 1e-4
    assert abs(rank_1 - same.rank(1)) < 1e-9
    seconds = found.pop().seconds * queries / plain_queries
    found.append(Measured(f"plain loop, {plain_queries} queries scaled to {queries:,}", seconds, 0.0))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1980)
    parser.add_argument("--gallery", type=int, default=11310, help="entries, queries included")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--plain-queries", type=int, default=100, help="queries that the plain loop is measured on")
    chosen = parser.parse_args(arguments)

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        found = child.submit(
            measure, chosen.queries, chosen.gallery, chosen.dimension, min(chosen.queries, chosen.plain_queries)
        ).result()
    console = Console(width=100)
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}; "
        f"{chosen.queries:,} queries x {chosen.gallery:,} entries x {chosen.dimension:,} numbers, float32, CPU"
    )
    table = Table(title="Evaluation from descriptors")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("peak memory so far, MiB", justify="right")
    for one in found:
        table.add_row(one.step, f"{one.seconds:.2f}", f"{one.peak:,.0f}" if one.peak else "")
    console.print(table)


def _peak() -> float:
    """MiB that this process has held at most, PyTorch's own included (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
