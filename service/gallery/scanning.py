"""Exact ranking from any place on, of several queries at once, or of the best row of each identity.

One pass scores every row in float32, as blocks do; whatever their error leaves in question is scored again in float64.
The cost is that of one pass over the rows however far down the ranking the place is.
"""

import uuid
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.gallery.blocks import Block
from service.gallery.columns import NOBODY
from service.gallery.rows import Rows
from service.gallery.scoring import scores_of

_MARGIN = 32
_GROWTH = 4


@dataclass(frozen=True, eq=False)
class Scan:
    """What to rank, over the first N rows.

    Attributes:
        queries: (M, D) unit vectors; the score of a row is the highest of its cosines.
        ids: (N, 2) big-endian uint64.
        allowed: (N,) bool, rows that may answer.
        groups: (N,) int32, who each row is, `NOBODY` for each by itself; only the best row of each answers. None: all.
        after: score and id of the place after which the answer begins.
    """

    queries: NDArray[np.float32]
    ids: NDArray[np.uint64]
    allowed: NDArray[np.bool_]
    groups: NDArray[np.int32] | None = None
    after: tuple[float, uuid.UUID] | None = None


def scan(rows: Rows, sought: Scan, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k best rows and their scores, by (-score, id)."""
    approximate = _approximate(rows, sought)
    contending = leaders = _leaders(approximate, sought, rows.error)
    if sought.after is not None:
        # Rounded up: none that is exactly at the bound may be lost.
        bound = np.nextafter(np.float32(sought.after[0] + rows.error), np.float32(np.inf))
        contending = leaders[approximate[leaders] <= bound]
    size = k + _MARGIN
    chosen, ceiling = _highest(approximate, contending, size)
    while True:
        if sought.groups is not None:
            chosen = np.union1d(chosen, leaders[_rivals(sought.groups[leaders], sought.groups[chosen])])
        numbers, scores = _ranked(rows, sought, chosen)
        # Rows without a part in this score at most the ceiling and the blocks' error.
        if ceiling is None or (len(numbers) >= k and scores[k - 1] > ceiling + rows.error):
            return numbers[:k], scores[:k]
        if len(numbers) >= k:
            # All that can be as good as the k-th so far; rounded down, for the reason above.
            floor = np.nextafter(np.float32(scores[k - 1] - rows.error), np.float32(-np.inf))
            chosen, ceiling = contending[approximate[contending] >= floor], None
        else:
            # Too many were before the place, or not the best of their group.
            size *= _GROWTH
            chosen, ceiling = _highest(approximate, contending, size)


def _highest(
    approximate: NDArray[np.float32], contending: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], float | None]:
    """The `size` rows that score highest, and what one left out can score; None: none was left out."""
    if size >= len(contending):
        return contending, None
    near = approximate[contending]
    best = np.argpartition(-near, size - 1)[:size]
    return contending[best], float(near[best].min())


def _approximate(rows: Rows, sought: Scan) -> NDArray[np.float32]:
    """(N,) the highest of each row's scores by its block; -inf where a row may not answer."""

    def search(_: int, here: int, block: Block) -> NDArray[np.float32]:
        best: NDArray[np.float32] = block.scores(sought.queries, here).max(axis=0)
        return best

    scores = np.concatenate(rows.over_blocks(len(sought.allowed), search) or [np.empty(0, np.float32)])
    scores[~sought.allowed] = -np.inf
    return scores


def _leaders(approximate: NDArray[np.float32], sought: Scan, error: float) -> NDArray[np.int64]:
    """Rows that can be the best of their group, by row number."""
    allowed = np.flatnonzero(sought.allowed)
    if sought.groups is None:
        return allowed
    groups, near = sought.groups[allowed], approximate[allowed]
    known = groups != NOBODY
    best = np.full(int(groups.max(initial=0)) + 1, -np.inf, np.float32)
    np.maximum.at(best, groups[known], near[known])
    # Twice the error tells two scores apart; the rest is for rounding the bound itself.
    possible: NDArray[np.int64] = allowed[~known | (near >= best[groups] - np.float32(2.5 * error))]
    return possible


def _rivals(groups: NDArray[np.int32], asked: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which of `groups` are among those asked, nobody's apart."""
    return np.isin(groups, asked[asked != NOBODY])


def _ranked(rows: Rows, sought: Scan, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """These rows by (-score, id): the first of each group, and only those after the place."""
    scores = scores_of(rows, numbers, sought.queries[0])
    for query in sought.queries[1:]:
        scores = np.maximum(scores, scores_of(rows, numbers, query))
    ids = sought.ids[numbers]
    order = np.lexsort((ids[:, 1], ids[:, 0], -scores))
    numbers, scores, ids = numbers[order], scores[order], ids[order]
    keep = np.ones(len(numbers), np.bool_)
    if sought.groups is not None:
        groups = sought.groups[numbers]
        keep[:] = groups == NOBODY
        keep[np.unique(groups, return_index=True)[1]] = True
    if sought.after is not None:
        score, identifier = sought.after
        high, low = np.frombuffer(identifier.bytes, ">u8")
        later = (ids[:, 0] > high) | ((ids[:, 0] == high) & (ids[:, 1] > low))
        keep &= (scores < score) | ((scores == score) & later)
    return numbers[keep], scores[keep]
