"""Milliseconds that re-ranking adds to a search, by the number of rows that take part, on one core.

The descriptors are drawn, around a centre for each person: `python -m benchmarks.rerank_speed`.
"""

import argparse
import statistics
import uuid
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from service.gallery.index import GalleryIndex
from service.gallery.reranking import RerankOptions, rerank
from service.store.changes import IndexRow

_EACH = 8
_WAYS = {
    "k_reciprocal": RerankOptions("k_reciprocal"),
    "expand=5": RerankOptions(expand=5),
}


def drawn(rows: int, dimension: int) -> GalleryIndex:
    """An index of people who were seen eight times each."""
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(-(-rows // _EACH), dimension)), _EACH, axis=0)[:rows]
    vectors = (centres + 0.5 * rng.normal(size=(rows, dimension))).astype("<f4")
    index = GalleryIndex(dimension)
    ids = [uuid.UUID(bytes=rng.bytes(16)) for _ in range(rows)]
    index.add(
        [
            IndexRow(one, "c", None, None, vector.tobytes(), None, {}, 1)
            for one, vector in zip(ids, vectors, strict=True)
        ]
    )
    return index


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 200, 500, 1000, 2000], help="rows re-ranked")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    index = drawn(max(chosen.rows), chosen.dimension)
    query = np.random.default_rng(1).normal(size=chosen.dimension).astype(np.float32)
    table = Table("rows", *(f"{name} (ms)" for name in _WAYS))
    for rows in chosen.rows:
        hits = index.search(query, rows)
        cells = []
        for options in _WAYS.values():
            seconds = [rerank(index, query, hits, options)[1].seconds for _ in range(chosen.rounds)]
            cells.append(f"{statistics.median(seconds) * 1000:.0f}")
        table.add_row(str(rows), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
