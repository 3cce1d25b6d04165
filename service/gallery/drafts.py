"""Drafts: unit vectors in bfloat16, from which the few rows are chosen that can be the best.

Processors that multiply bfloat16 themselves (AVX-512 BF16, AMX, Arm BF16) score a draft several times faster than the
vectors, and its error is bounded: every row that the error leaves in question is chosen, so no second pass is needed.
Where too many are in question, since all rows are alike, the vectors themselves are read.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from service.gallery.blocks import error_bound

_HALF_STEP = 2.0**-8
"""Rounding to bfloat16, which has 8 significant bits, moves a number by at most this part of itself."""

_SPARE = 64
"""Rows looked at in each block beyond those wanted."""

_DOUBTED = 100
"""Passes without drafts after one in which they settled little."""

_PAYS = 1.5
"""Drafts take half as much memory again: they are worth it where they are faster by this factor."""

_WRITTEN_ROWS = 256
"""Rows rounded at a time: they stay near the processor."""

_TRIED_ROWS, _TRIED_DIMENSION = 4096, 512
_TRIES = 12


def are_faster() -> bool:
    """Whether this processor scores drafts so much faster that they are worth their memory.

    Tried out on this core, in less than a tenth of a second: no list of processors tells.
    """
    vectors, draft = _tried()
    exact = torch.from_numpy(vectors)
    for size in (1, 32):
        queries, drafted = exact[:size], rounded(vectors[:size])[0]
        ours, theirs = [], []
        for _ in range(_TRIES):
            ours.append(_seconds(lambda q=drafted: draft.products(q, _TRIED_ROWS)))  # type: ignore[misc]
            theirs.append(_seconds(lambda q=queries: q @ exact.T))  # type: ignore[misc]
        if min(theirs) < _PAYS * min(ours):
            return False
    return True


def are_exact_enough() -> bool:
    """Whether products of bfloat16 are as exact on this processor as answers need: summed in float32."""
    vectors, draft = _tried()
    for size in (1, 32):
        drafted, rounding = rounded(vectors[:size])
        exact = vectors[:size].astype(np.float64) @ vectors.T.astype(np.float64)
        error = np.abs(draft.products(drafted, _TRIED_ROWS).double().numpy() - exact).max()
        if error > draft.rounding + rounding + _HALF_STEP + error_bound(_TRIED_DIMENSION, False):
            return False
    return True


def _tried() -> tuple[NDArray[np.float32], "Draft"]:
    """Vectors to try it with, all positive: sums that were kept in bfloat16 would come out far too small."""
    drawn = np.abs(np.random.default_rng(0).normal(size=(_TRIED_ROWS, _TRIED_DIMENSION))).astype(np.float32)
    vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    draft = Draft(_TRIED_ROWS, _TRIED_DIMENSION)
    draft.write(0, vectors)
    return vectors, draft


class DraftUse:
    """Whether drafts are worth reading where they are kept: not where rows are so alike that they tell few apart."""

    def __init__(self) -> None:
        self._doubted = 0

    def is_worthwhile(self) -> bool:
        """Whether the next pass should read them; now and then it should, to see."""
        self._doubted = max(0, self._doubted - 1)
        return self._doubted == 0

    def note(self, settled: int, asked: int) -> None:
        """A pass read them, and they settled so many of the questions that it asked."""
        if 2 * settled < asked:
            self._doubted = _DOUBTED


class Draft:
    """Consecutive rows in bfloat16; written once, and then only read.

    Attributes:
        rounding: length of the longest difference between a row and its draft.
    """

    def __init__(self, capacity: int, dimension: int) -> None:
        # Pages of torch.empty take memory only once they are written.
        self._rows = torch.empty((capacity, dimension), dtype=torch.bfloat16)
        self.rounding = 0.0

    def write(self, offset: int, vectors: NDArray[np.float32]) -> None:
        """Write unit vectors from row `offset` on: (N, D) float32."""
        for start in range(0, len(vectors), _WRITTEN_ROWS):
            part = vectors[start : start + _WRITTEN_ROWS]
            drafted, rounding = rounded(part)
            self.rounding = max(self.rounding, rounding)
            self._rows[offset + start : offset + start + len(part)] = drafted

    def products(self, queries: torch.Tensor, count: int) -> torch.Tensor:
        """Scores of the first `count` rows, themselves in bfloat16: (B, D) -> (B, count)."""
        return queries @ self._rows[:count].T


class DraftSearch:
    """What to look for in drafts: the best rows of each query that its mask allows.

    Args:
        queries: (B, D) unit vectors.
        allowed: for each query, (N,) bool; None: all N rows.
        sizes: rows wanted for each, no more than it allows.
    """

    def __init__(
        self,
        queries: NDArray[np.float32],
        allowed: Sequence[NDArray[np.bool_] | None],
        sizes: Sequence[int],
    ) -> None:
        self._queries, rounding = rounded(queries)
        self._rounding = rounding * (1 + _HALF_STEP)
        # Drafts may be a little longer than 1.
        self._arithmetic = error_bound(queries.shape[1], False) * (1 + 4 * _HALF_STEP)
        self._allowed = allowed
        self._masked = any(mask is not None for mask in allowed)
        self._sizes = sizes

    def score_block(self, first: int, count: int, draft: Draft) -> "BlockCandidates":
        """Score the `count` rows of one block, `first` being the number of its first row."""
        products = draft.products(self._queries, count)
        if self._masked:
            every = np.ones(count, np.bool_)
            masks = [every if mask is None else mask[first : first + count] for mask in self._allowed]
            products.masked_fill_(~torch.from_numpy(np.stack(masks)), -torch.inf)
        best = products.topk(min(max(self._sizes) + _SPARE, count), dim=1)
        numbers = best.indices.numpy() + first
        return BlockCandidates(best.values.float().numpy(), numbers, numbers.shape[1] == count, draft.rounding)

    def candidates(self, blocks_found: Sequence["BlockCandidates"]) -> list[NDArray[np.int64] | None]:
        """For each query the numbers of all rows that can be among its best, seldom many more; None: too many can."""
        scores = np.concatenate([one.scores for one in blocks_found], axis=1)
        numbers = np.concatenate([one.numbers for one in blocks_found], axis=1)
        ordered = np.sort(scores, axis=1)
        lowest = ordered[np.arange(len(scores)), [-size for size in self._sizes]].astype(np.float64)
        rounding = self._rounding + max(one.rounding for one in blocks_found) + self._arithmetic
        # A draft's score s is wrong by `rounding`, and by its own rounding, a part of |s|. What scores less than the
        # lowest wanted one by twice that does not score more exactly; |s| is not much larger so near to it.
        floors = lowest - 2 * (rounding + _HALF_STEP * (np.abs(lowest) + 2.0**-4))
        # More of a block may be in question than were looked at.
        beyond = np.zeros(len(floors), np.bool_)
        for one in blocks_found:
            beyond |= (one.scores[:, -1] >= floors) & (not one.whole)
        return [None if beyond[n] else numbers[n][scores[n] >= floor] for n, floor in enumerate(floors)]


class BlockCandidates(NamedTuple):
    """What one block's draft says: the best of each query, (B, S) scores and row numbers, best first.

    Attributes:
        whole: whether they are all rows of the block.
        rounding: as of `Draft`.
    """

    scores: NDArray[np.float32]
    numbers: NDArray[np.int64]
    whole: bool
    rounding: float


def rounded(vectors: NDArray[np.float32]) -> tuple[torch.Tensor, float]:
    """Vectors (N, D) to the nearest in bfloat16, and the length of the longest difference, rounded up.

    On this core alone: PyTorch would spread it, and wait for cores that are busy with something else.
    """
    bits = np.ascontiguousarray(vectors).view(np.uint32)
    # To the nearest; of two equally near, to the one whose last bit is 0.
    kept = (bits + np.uint32(0x7FFF) + ((bits >> 16) & np.uint32(1))) >> 16
    differences = vectors - (kept << 16).view(np.float32)
    longest = float(np.einsum("nd,nd->n", differences, differences).max(initial=0.0)) ** 0.5
    return torch.from_numpy(kept.astype(np.uint16)).view(torch.bfloat16), longest * (1 + 2.0**-10)


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
