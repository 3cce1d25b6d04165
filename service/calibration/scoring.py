"""Scores of labelled tracklets with each other and with strangers, in passes over blocks of rows.

Compared are tracklets of other cameras where it is about the same person: two tracklets of one person from one camera
often share background and minute, and score higher than any question across cameras will. Strangers are compared in
every camera, as a search does it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.calibration.curve import BINS, bins_of
from service.calibration.rates import Searches

KEPT = 12
"""Best strangers kept of each search: those that the tail is fitted to, and some to spare."""

_BLOCK_ROWS = 2048
_QUERIES_AT_A_TIME = 256

Gather = Callable[[NDArray[np.int64]], NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Labelled:
    """The rows of a gallery that a calibration looks at.

    Attributes:
        rows: (L,) row numbers, ordered by person.
        person: (L,) whose each is, 0 to G - 1, ascending. The first P are those whose tracklets search; rows that
            nobody labelled, where they count as strangers, are a person each.
        camera: (L,) which camera saw each.
        searching: P.
    """

    rows: NDArray[np.int64]
    person: NDArray[np.int64]
    camera: NDArray[np.int64]
    searching: int

    @property
    def people(self) -> int:
        """G."""
        return int(self.person[-1]) + 1


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Pairs of tracklets from two cameras, counted by score for each person who searches.

    Attributes:
        same: (P, BINS) pairs of the person's own tracklets, each once.
        searching: (P, BINS) pairs with another person who searches; so each such pair is with both.
        others: (P, BINS) pairs with everybody else.
    """

    same: NDArray[np.int64]
    searching: NDArray[np.int64]
    others: NDArray[np.int64]


def score(
    labelled: Labelled, gather: Gather, beyond: float, on_rows: Callable[[int], None] = lambda done: None
) -> tuple[Searches, PairCounts]:
    """Search with every tracklet of the people who search.

    Args:
        labelled: rows.
        gather: unit vectors of row numbers, (n,) to (n, D) float32.
        beyond: people in the gallery beyond those labelled.
        on_rows: called with the number of rows done; may raise.
    """
    count = int(np.searchsorted(labelled.person, labelled.searching))
    queries = gather(labelled.rows[:count])
    best = np.full((count, KEPT), -np.inf, np.float32)
    people = np.zeros((count, KEPT), np.int64)
    mate = np.full(count, np.nan, np.float32)
    pairs = PairCounts(*(np.zeros((labelled.searching, BINS), np.int64) for _ in range(3)))
    # Blocks end where a person does: then each person's best score is known within one.
    starts = np.flatnonzero(np.diff(labelled.person, prepend=-1))
    for block in _blocks(starts, len(labelled.rows)):
        vectors = gather(labelled.rows[block])
        for first in range(0, count, _QUERIES_AT_A_TIME):
            part = slice(first, min(first + _QUERIES_AT_A_TIME, count))
            scores = np.clip(queries[part] @ vectors.T, -1.0, 1.0)
            _count_pairs(pairs, labelled, part, block, scores)
            _note_mates(mate, labelled, part, block, scores)
            _note_strangers(best, people, labelled, part, block, scores)
        on_rows(block.stop)
    searches = Searches(
        labelled.person[:count], best.astype(np.float64), people, mate.astype(np.float64), labelled.people - 1, beyond
    )
    return searches, pairs


def _blocks(starts: NDArray[np.int64], count: int) -> list[slice]:
    blocks, first = [], 0
    while first < count:
        # The last person that begins within the block's size ends it; one with more tracklets has a block alone.
        later = np.append(starts[starts > first], count)
        within = later[later <= first + _BLOCK_ROWS]
        stop = int(within[-1] if len(within) else later[0])
        blocks.append(slice(first, stop))
        first = stop
    return blocks


def _count_pairs(pairs: PairCounts, labelled: Labelled, part: slice, block: slice, scores: NDArray[np.float32]) -> None:
    mine, theirs = labelled.person[part, None], labelled.person[None, block]
    apart = labelled.camera[part, None] != labelled.camera[None, block]
    same, searching = mine == theirs, theirs < labelled.searching
    # One of the two directions of a pair of the same person.
    forward = np.arange(part.start, part.stop)[:, None] < np.arange(block.start, block.stop)[None, :]
    first = int(labelled.person[part.start])
    places = (mine - first) * BINS + bins_of(scores)
    size = int(labelled.person[part.stop - 1]) - first + 1
    kinds = ((pairs.same, same & forward), (pairs.searching, ~same & searching), (pairs.others, ~same & ~searching))
    for counts, chosen in kinds:
        counted = np.bincount(places[chosen & apart], minlength=size * BINS)
        counts[first : first + size] += counted.reshape(size, BINS)


def _note_mates(
    mate: NDArray[np.float32], labelled: Labelled, part: slice, block: slice, scores: NDArray[np.float32]
) -> None:
    own = labelled.person[part, None] == labelled.person[None, block]
    mates = own & (labelled.camera[part, None] != labelled.camera[None, block])
    found = mates.any(axis=1)
    best = np.where(mates, scores, -np.inf).max(axis=1)
    mate[part] = np.where(found, np.fmax(mate[part], best), mate[part])


def _note_strangers(
    best: NDArray[np.float32],
    people: NDArray[np.int64],
    labelled: Labelled,
    part: slice,
    block: slice,
    scores: NDArray[np.float32],
) -> None:
    here = labelled.person[block]
    starts = np.flatnonzero(np.diff(here, prepend=-1))
    of_each = np.maximum.reduceat(scores, starts, axis=1)
    of_each[labelled.person[part, None] == here[starts][None, :]] = -np.inf
    all_scores = np.concatenate([best[part], of_each], axis=1)
    all_people = np.concatenate([people[part], np.broadcast_to(here[starts], of_each.shape)], axis=1)
    order = np.argsort(-all_scores, axis=1, kind="stable")[:, :KEPT]
    best[part] = np.take_along_axis(all_scores, order, 1)
    people[part] = np.take_along_axis(all_people, order, 1)
