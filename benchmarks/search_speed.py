"""`GET /search` of the running service beside bare FAISS over the same rows, and beside pgvector in its PostgreSQL.

Every side is measured in turns within one run and medians are compared. FAISS is tuned: with
`distance_compute_blas_threshold` at its default, batches are several times slower.
"""

import argparse
import json
import statistics
import time
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch  # noqa: F401 - must be loaded before faiss
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import faiss  # isort: skip

from benchmarks import made_up, pgvector
from benchmarks.load import offer
from benchmarks.serving import ADMIN_KEY, cpu_seconds, data_folder, log_events, served
from service.store.database import conninfo
from service.store.embedded import EmbeddedPostgres

PLACES = 20
CLIENTS = 32
GALLERY = "made-up"
_THREADS = 2
_QUERIES = 512


@dataclass
class Side:
    """One of what is compared, and what was measured of it, a value a round.

    Attributes:
        over: the side that it is measured against.
    """

    name: str
    measure: Callable[[], tuple[list[float], float]]
    over: str | None = None
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Measure once more; the answers' latencies and the seconds that all took."""
        latencies, seconds = self.measure()
        self.rates.append(len(latencies) / seconds)
        self.latencies.append(1000 * statistics.median(latencies))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="tracklets in the gallery")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5, help="times that every side is measured")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each measurement")
    chosen = parser.parse_args(arguments)

    vectors = made_up.descriptors(chosen.rows, chosen.dimension)
    with data_folder() as folder:
        data = folder / "data"
        with made_up.embedded_database(data) as connection:
            ids = made_up.fill(connection, GALLERY, vectors)
            pgvector.fill(connection, ids, vectors)
        with (
            served(data) as (process, url),
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        ):
            postgres = conninfo(EmbeddedPostgres(data / "postgres").url())
            queries = list(range(0, len(ids), max(1, len(ids) // _QUERIES)))
            sides = [
                *bare_sides(vectors, queries, chosen.seconds),
                *served_sides(lambda paths, n: ask(pool, url, paths, n, chosen.seconds), [ids[q] for q in queries]),
                *pgvector_sides(postgres, [ids[q] for q in queries], chosen.seconds),
            ]
            agreement = compare_answers(url, postgres, vectors, ids, queries[:16])
            offer(pool, url, [f"/search?gallery={GALLERY}&query_id={ids[0]}"], 1, 1.0)
            for _ in range(chosen.rounds):
                for side in sides:
                    side.run()
            costs = cost_of_one(pool, url, process.pid, folder, ids)
        (loaded,) = [one["seconds"] for one in log_events(data, "gallery loaded") if one["gallery"] == GALLERY]
    console = Console(width=140)
    console.print(
        f"{chosen.rows} rows of {chosen.dimension}, k = {PLACES}; FAISS {faiss.__version__}, {_THREADS} threads; "
        f"the service loaded the gallery from PostgreSQL in {loaded:.1f} s"
    )
    console.print(report(sides))
    console.print(agreement)
    console.print(costs)


def bare_sides(vectors: NDArray[np.float32], queries: Sequence[int], seconds: float) -> list[Side]:
    """FAISS alone over the same matrix, one query at a time and in batches."""
    faiss.cvar.distance_compute_blas_threshold = 1
    faiss.omp_set_num_threads(_THREADS)

    def search_for(size: int) -> tuple[list[float], float]:
        latencies: list[float] = []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            chosen = [queries[(len(latencies) + number) % len(queries)] for number in range(size)]
            asked = time.perf_counter()
            faiss.knn(vectors[chosen], vectors, PLACES, faiss.METRIC_INNER_PRODUCT)
            latencies += [time.perf_counter() - asked] * size
        return latencies, time.perf_counter() - began

    return [Side("bare FAISS, 1", lambda: search_for(1)), Side(f"bare FAISS, {CLIENTS}", lambda: search_for(CLIENTS))]


def served_sides(
    measure: Callable[[Sequence[str], int], tuple[list[float], float]], ids: Sequence[uuid.UUID]
) -> list[Side]:
    """`GET /search` without a mask, and with masks that let half or 1 % through: the same for all, or each its own."""

    def later_than(part: float) -> list[str]:
        # Starts are spread evenly, so a moment lets a known part through; each query gets a moment of its own.
        seconds = made_up.SPAN_SECONDS * (1 - part)
        moments = (made_up.FIRST_START + timedelta(seconds=seconds + number) for number in range(len(ids)))
        return [f"&started_after={moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments]

    masks = {
        "no mask": [""] * len(ids),
        "half, equal masks": ["&camera_id=half"] * len(ids),
        "half, all different": later_than(0.5),
        "1 %, equal masks": ["&camera_id=percent"] * len(ids),
        "1 %, all different": later_than(0.01),
    }
    sides = []
    for clients in (1, CLIENTS):
        for name, options in masks.items():
            paths = [
                f"/search?gallery={GALLERY}&k={PLACES}&query_id={one}{option}"
                for one, option in zip(ids, options, strict=True)
            ]
            over = f"bare FAISS, {clients}" if name == "no mask" else f"GET /search, {clients}, no mask"
            side = Side(f"GET /search, {clients}, {name}", lambda p=paths, n=clients: measure(p, n), over)
            sides.append(side)
    return sides


def pgvector_sides(postgres: str, ids: Sequence[uuid.UUID], seconds: float) -> list[Side]:
    """pgvector's exact scan by one client and by eight."""
    return [
        Side(
            f"pgvector halfvec, {clients}",
            lambda n=clients: pgvector.search_for(postgres, ids, n, seconds),
            f"bare FAISS, {min(clients, 1)}",
        )
        for clients in (1, 8)
    ]


def ask(
    pool: ProcessPoolExecutor, url: str, paths: Sequence[str], clients: int, seconds: float
) -> tuple[list[float], float]:
    """What clients of the service got."""
    load = offer(pool, url, paths, clients, seconds)
    return load.latencies, load.seconds


def compare_answers(
    url: str, postgres: str, vectors: NDArray[np.float32], ids: Sequence[uuid.UUID], queries: Sequence[int]
) -> str:
    """How many of the service's 20 places FAISS and pgvector have as well."""
    import psycopg

    _, found = faiss.knn(vectors[queries], vectors, PLACES + 1, faiss.METRIC_INNER_PRODUCT)
    same_as_faiss, same_as_pgvector = 0, 0
    with psycopg.connect(postgres, autocommit=True) as connection:
        for query, rows in zip(queries, found, strict=True):
            path = f"{url}/search?gallery={GALLERY}&k={PLACES}&query_id={ids[query]}"
            request = urllib.request.Request(path, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
            with urllib.request.urlopen(request) as answer:
                ours = {uuid.UUID(place["tracklet_id"]) for place in json.load(answer)["results"]}
            same_as_faiss += len(ours & {ids[row] for row in rows if row != query})
            same_as_pgvector += len(ours & set(pgvector.nearest(connection, ids[query])))
    of = PLACES * len(queries)
    return f"of {of} places, the same as bare FAISS's: {same_as_faiss}, as pgvector's: {same_as_pgvector}"


def cost_of_one(pool: ProcessPoolExecutor, url: str, service: int, folder: Path, ids: Sequence[uuid.UUID]) -> str:
    """CPU of one search of which the ranking is next to nothing: 1 % of the rows, one client."""
    paths = [f"/search?gallery={GALLERY}&k={PLACES}&query_id={one}&camera_id=nowhere" for one in ids[:_QUERIES]]
    before = cpu_seconds(service, folder)
    load = offer(pool, url, paths, 1, 3.0)
    after = cpu_seconds(service, folder)
    spent = {name: 1000 * (after[name] - before[name]) / len(load.latencies) for name in ("service", "PostgreSQL")}
    return (
        f"CPU of a search that no row passes: service {spent['service']:.2f} ms, PostgreSQL "
        f"{spent['PostgreSQL']:.2f} ms, the client {1000 * load.cpu / len(load.latencies):.2f} ms"
    )


def report(sides: Sequence[Side]) -> Table:
    """Medians over the rounds, and ratios of those taken in the same round."""
    table = Table(title="Searches, medians over the rounds")
    for column in ("measured", "ms", "per second", "spread", "rate over", "ratio"):
        table.add_column(column, justify="left" if column in ("measured", "rate over") else "right")
    by_name = {side.name: side for side in sides}
    for side in sides:
        ratio = ""
        if side.over is not None:
            pairs = zip(side.rates, by_name[side.over].rates, strict=True)
            ratio = f"{statistics.median(own / other for own, other in pairs):.2f}"
        table.add_row(
            side.name,
            f"{statistics.median(side.latencies):.1f}",
            f"{statistics.median(side.rates):.1f}",
            f"{min(side.rates):.1f}-{max(side.rates):.1f}",
            side.over or "",
            ratio,
        )
    return table


if __name__ == "__main__":
    main()
