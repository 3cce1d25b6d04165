"""Ways to search the blocks of an index: which is the fastest for how many questions, under which mask.

The first table is one search of all rows, a block on each core; the second is the same questions beside a program that
keeps one core busy, in one product that all cores share, and a block on each core.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import made_up
from service.gallery import blocks
from service.gallery.blocks import Block, FloatBlock, Found
from service.gallery.drafts import DraftSearch
from service.gallery.rows import Rows

QUESTIONS = (1, 2, 4, 8, 32)
SIZE = 53
"""Rows proposed for each question: 20 places, the query's own, and the margin."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args(arguments)
    vectors = made_up.descriptors(chosen.rows, chosen.dimension)
    rows = Rows(chosen.dimension, "float32", "cpu", None, drafts=True)
    rows.append(vectors)
    console = Console(width=140)
    title = f"{chosen.rows} rows of {chosen.dimension}, ms, medians of {chosen.rounds}"
    console.print(
        report(f"A block on each core: {title}", {n: ways(rows, vectors[:n]) for n in QUESTIONS}, chosen.rounds)
    )
    with busy_core():
        shared = {n: shared_ways(rows, vectors, vectors[:n]) for n in QUESTIONS}
        console.print(report(f"Beside a busy program: {title}", shared, chosen.rounds))


def ways(rows: Rows, queries: NDArray[np.float32]) -> dict[str, Callable[[], object]]:
    """Every way to answer the queries, by name."""
    count, rng = rows.count, np.random.default_rng(0)
    half = rng.random(count) < 0.5
    each = rng.random((len(queries), count)) < 0.5

    def gathered(first: int, here: int, block: Block) -> Found:
        assert isinstance(block, FloatBlock)
        return blocks.nearest(queries, block.vectors[:here][half[first : first + here]], SIZE)

    def by_matrix(first: int, here: int, block: Block) -> Found:
        return block.nearest(queries, SIZE, here, np.ascontiguousarray(each[:, first : first + here]))

    def scanned(allowed: NDArray[np.bool_] | None) -> Callable[[int, int, Block], Found]:
        def act(first: int, here: int, block: Block) -> Found:
            assert isinstance(block, FloatBlock)
            mask = None if allowed is None else allowed[first : first + here]
            return blocks.scanned(queries, block.vectors[:here], SIZE, mask)

        return act

    sought = DraftSearch(queries, [None] * len(queries), [21] * len(queries))
    return {
        "no mask: BLAS": lambda: rows.over_blocks(count, products(queries)),
        "no mask: loop": lambda: rows.over_blocks(count, scanned(None)),
        "half: loop": lambda: rows.over_blocks(count, scanned(half)),
        "half: gathered": lambda: rows.over_blocks(count, gathered),
        "a mask for each: matrix": lambda: rows.over_blocks(count, by_matrix),
        "drafts": lambda: sought.candidates(rows.over_drafts(count, sought.score_block)),
    }


def shared_ways(
    rows: Rows, vectors: NDArray[np.float32], queries: NDArray[np.float32]
) -> dict[str, Callable[[], object]]:
    """One product that all cores share, and a block on each core."""
    return {
        "one product": lambda: blocks.nearest(queries, vectors, SIZE),
        "a block on each core": lambda: rows.over_blocks(rows.count, products(queries)),
        "drafts, a block on each core": ways(rows, queries)["drafts"],
    }


def products(queries: NDArray[np.float32]) -> Callable[[int, int, Block], Found]:
    """The nearest rows of a block by a matrix product."""

    def act(_: int, here: int, block: Block) -> Found:
        assert isinstance(block, FloatBlock)
        return blocks.nearest(queries, block.vectors[:here], SIZE)

    return act


@contextmanager
def busy_core() -> Iterator[None]:
    """A program that computes without pause."""
    program = multiprocessing.get_context("spawn").Process(target=_spin, daemon=True)
    program.start()
    try:
        yield
    finally:
        program.terminate()
        program.join()


def _spin() -> None:
    while True:
        pass


def report(title: str, measured: dict[int, dict[str, Callable[[], object]]], rounds: int) -> Table:
    """A row for each number of questions, a column for each way; ways take turns."""
    names = list(next(iter(measured.values())))
    table = Table(title=title)
    for column in ("questions", *names):
        table.add_column(column, justify="right")
    for number, acts in measured.items():
        taken: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(rounds + 1):
            for name, act in acts.items():
                began = time.perf_counter()
                act()
                if turn:  # the first ones are slower
                    taken[name].append(1000 * (time.perf_counter() - began))
        table.add_row(str(number), *(f"{statistics.median(taken[name]):.0f}" for name in names))
    return table


if __name__ == "__main__":
    main()
