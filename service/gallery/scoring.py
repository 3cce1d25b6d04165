"""Scores that depend on nothing but two vectors, and which rows are worth one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.gallery.blocks import error_bound
from service.gallery.rows import Rows

_SCORED_ROWS = 256
"""Rows scored at a time: their products stay near the processor."""

_COMPARED_ROWS = 2048


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its L2 norm: (N, D) float32 -> (N, D) float32, each row independent of the others.

    Raises:
        ValueError: a row is zero or not finite, so it has no direction.
    """
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.add.reduce(wide * wide, axis=1))
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError("a descriptor is zero or not finite")
    unit: NDArray[np.float32] = (wide / norms[:, None]).astype(np.float32)
    return unit


def cosine_scores(rows: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row with the query: (N, D) and (D,) float32 -> (N,) float64.

    A sum's order depends on D alone (NumPy's pairwise summation along a contiguous row; no BLAS), so a score is the
    same bit for bit whichever rows are scored with it.
    """
    sought = query.astype(np.float64)
    squares = np.add.reduce(np.multiply(rows, rows, dtype=np.float64), axis=1)
    products = np.add.reduce(np.multiply(rows, sought, dtype=np.float64), axis=1)
    norms = np.sqrt(squares) * np.sqrt(np.add.reduce(sought * sought))
    scores: NDArray[np.float64] = np.clip(products / norms, -1.0, 1.0)
    return scores


def scores_of(rows: Rows, numbers: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """`cosine_scores` of the rows with these numbers: (N,) float64."""
    scores = np.empty(len(numbers))
    for start in range(0, len(numbers), _SCORED_ROWS):
        part = slice(start, start + _SCORED_ROWS)
        scores[part] = cosine_scores(rows.gather(numbers[part]), query)
    return scores


def narrowed(rows: Rows, numbers: NDArray[np.int64], query: NDArray[np.float32], size: int) -> NDArray[np.int64]:
    """Of these rows, those that can be among the query's best `size` by `cosine_scores`; seldom many more."""
    if len(numbers) <= size:
        return numbers
    scores = rows.gather(numbers) @ query
    least = np.partition(scores, -size)[-size]
    # Twice the error separates the two; the rest is for rounding the bound itself.
    possible: NDArray[np.int64] = numbers[scores >= least - np.float32(2.5 * error_bound(rows.dimension, half=False))]
    return possible


def contenders(
    rows: Rows, numbers: Sequence[NDArray[np.int64]], queries: NDArray[np.float32], sizes: Sequence[int]
) -> list[NDArray[np.int64]]:
    """For each query, those of its rows that can be among its best `size` by `cosine_scores`; seldom many more.

    One matrix product in float64 for all queries (32 queries and 20,000 rows of 2048: scoring each pair by itself took
    twelve seconds). Its cosine and `cosine_scores` are each wrong by at most 2 D u, u = 2^-53: D u for the product and
    half as much for each norm.

    Args:
        numbers: for each query, row numbers.
        queries: (B, D) unit vectors.
        sizes: for each query, at least 1.
    """
    every = np.unique(np.concatenate(numbers))
    sought = queries.astype(np.float64)
    sought /= np.linalg.norm(sought, axis=1, keepdims=True)
    cosines = np.empty((len(every), len(queries)))
    for start in range(0, len(every), _COMPARED_ROWS):
        part = slice(start, start + _COMPARED_ROWS)
        wide = rows.gather(every[part]).astype(np.float64)
        cosines[part] = wide @ sought.T / np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    error = 4 * (rows.dimension + 16) * 2.0**-53
    chosen = []
    for n, (mine, size) in enumerate(zip(numbers, sizes, strict=True)):
        cosine = cosines[np.searchsorted(every, mine), n]
        if len(mine) > size:
            least = -np.partition(-cosine, size - 1)[size - 1]
            mine = mine[cosine >= least - 2 * error]
        chosen.append(mine)
    return chosen
