"""What a gallery costs a service: memory per row, and how long it starts, from PostgreSQL and from a snapshot.

Each case is a `tfclip serve` of its own, so that its memory is its own; what one without tracklets takes is subtracted.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import made_up
from benchmarks.serving import data_folder, log_events, served
from service.gallery import snapshot
from service.gallery.rows import RowType

GALLERY = "made-up"


class Kind(NamedTuple):
    """Values of TFCLIP_INDEX_ROWS and TFCLIP_INDEX_DRAFTS, and the bytes of one number of a vector in memory."""

    row_type: RowType
    drafts: Literal["on", "off"]
    width: int


KINDS = [Kind("float32", "off", 4), Kind("float32", "on", 6), Kind("float16", "off", 2)]

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Boot:
    """One start: where the gallery came from, how long that took, and the memory of the process afterwards.

    Attributes:
        own: bytes in memory that are the process's alone.
        mapped: bytes in memory of files that it reads, which the system takes back when it needs them.
    """

    source: str
    seconds: float
    own: int
    mapped: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="tracklets in the gallery")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3, help="starts of each kind")
    chosen = parser.parse_args(arguments)

    with data_folder() as folder:
        empty, data = folder / "empty", folder / "data"
        with made_up.embedded_database(data) as connection:
            made_up.fill(connection, GALLERY, made_up.descriptors(chosen.rows, chosen.dimension))
        found: dict[tuple[Kind, str], list[Boot]] = {}
        alone = [boot(empty, KINDS[0]) for _ in range(chosen.rounds)]
        for _ in range(chosen.rounds):
            for kind in KINDS:
                # The first start finds no snapshot; when it ends, it leaves one for the second.
                for path in data.glob("index/*.snapshot"):
                    path.unlink()
                for _ in range(2):
                    one = boot(data, kind)
                    found.setdefault((kind, one.source), []).append(one)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            files = [process.submit(snapshot_seconds, data, kind).result() for kind in KINDS]
    nothing = alone[0].own
    table = Table(title=f"A gallery of {chosen.rows} rows of {chosen.dimension}, medians of {chosen.rounds} starts")
    for column in (
        "rows",
        "drafts",
        "from",
        "seconds",
        "spread",
        "bytes a row",
        "of them the vector",
        "files mapped, MiB",
    ):
        table.add_column(column, justify="left" if column in ("rows", "drafts", "from") else "right")
    for (kind, source), boots in found.items():
        seconds = [one.seconds for one in boots]
        table.add_row(
            kind.row_type,
            kind.drafts,
            source,
            f"{statistics.median(seconds):.1f}",
            f"{min(seconds):.1f}-{max(seconds):.1f}",
            f"{(statistics.median(one.own for one in boots) - nothing) / chosen.rows:,.0f}",
            f"{kind.width * chosen.dimension:,}",
            f"{statistics.median(one.mapped for one in boots) / _MEBIBYTE:.0f}",
        )
    console = Console(width=140)
    console.print(table)
    console.print(f"a service without tracklets: {nothing / _MEBIBYTE:.0f} MiB of its own")
    for kind, (read, written) in zip(KINDS, files, strict=True):
        name = f"{kind.row_type}, drafts {kind.drafts}"
        console.print(f"a snapshot alone, {name}: read and checked in {read:.1f} s, written in {written:.1f} s")


def snapshot_seconds(data: Path, kind: Kind) -> tuple[float, float]:
    """How long the gallery's snapshot takes to be read and checked, and to be written and synced."""
    # The empty default gallery has one too.
    path = max(data.glob("index/*.snapshot"), key=lambda one: one.stat().st_size)
    began = time.perf_counter()
    manifest, index = snapshot.read(path, row_type=kind.row_type, drafts=kind.drafts == "on", scratch=data / "index")
    read = time.perf_counter()
    snapshot.write(data / "copy.snapshot", index.freeze(), manifest.gallery_id, manifest.generation, manifest.model_id)
    written = time.perf_counter()
    return read - began, written - read


def boot(data: Path, kind: Kind) -> Boot:
    """Start the service over this folder, see what it takes, and stop it."""
    with served(data, TFCLIP_INDEX_ROWS=kind.row_type, TFCLIP_INDEX_DRAFTS=kind.drafts) as (process, _):
        memory = psutil.Process(process.pid).memory_info()
    loaded = [event for event in log_events(data, "gallery loaded") if event["gallery"] == GALLERY]
    source, seconds = (loaded[0]["source"], float(loaded[0]["seconds"])) if loaded else ("nothing", 0.0)
    return Boot(source, seconds, memory.rss - memory.shared, memory.shared)


if __name__ == "__main__":
    main()
