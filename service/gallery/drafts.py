"""Drafts: unit vectors in bfloat16, from which the few rows are chosen that can be the best.

Processors that multiply bfloat16 themselves (AVX-512 BF16, AMX, Arm BF16) score a draft several times faster than the
vectors, and its error is bounded: every row that the error leaves in question is chosen, so no second pass is needed.
"""

import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from service.gallery.blocks import error_bound

_HALF_STEP = 2.0**-8
"""Rounding to bfloat16, which has 8 significant bits, moves a number by at most this part of itself."""

_SPARE = 32
"""Rows looked at in each block beyond those wanted: seldom are more in question."""

_PAYS = 1.5
"""Drafts take half as much memory again: they are worth it where they are faster by this factor."""

_WRITTEN_ROWS = 256
"""Rows rounded at a time: they stay near the processor."""

_TRIED_ROWS, _TRIED_DIMENSION = 4096, 512
_TRIES = 12


@functools.cache
def pay() -> bool:
    """Whether this processor scores drafts so much faster that they are worth their memory, and as exactly as it must.

    Tried out, on one core, in less than a tenth of a second, once in a process: no list of processors tells.
    """
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as thread:
        return thread.submit(_pay).result()


def _pay() -> bool:
    rng = np.random.default_rng(0)
    # All positive: sums that were kept in bfloat16 would come out far too small.
    vectors = np.abs(rng.normal(size=(_TRIED_ROWS, _TRIED_DIMENSION))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    draft, exact = Draft(_TRIED_ROWS, _TRIED_DIMENSION), torch.from_numpy(vectors)
    draft.write(0, vectors)
    for size in (1, 32):
        queries = exact[:size]
        drafted, rounding = rounded(vectors[:size])
        error = float((draft.products(drafted, _TRIED_ROWS).float() - queries @ exact.T).abs().max())
        if error > draft.rounding + rounding + 2 * _HALF_STEP + error_bound(_TRIED_DIMENSION, False):
            return False
        ours, theirs = [], []
        for _ in range(_TRIES):
            ours.append(_seconds(lambda q=drafted: draft.products(q, _TRIED_ROWS)))  # type: ignore[misc]
            theirs.append(_seconds(lambda q=queries: q @ exact.T))  # type: ignore[misc]
        if min(theirs) < _PAYS * min(ours):
            return False
    return True


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
        """Write rows from `offset` on."""
        for start in range(0, len(vectors), _WRITTEN_ROWS):
            part = vectors[start : start + _WRITTEN_ROWS]
            drafted, rounding = rounded(part)
            self.rounding = max(self.rounding, rounding)
            self._rows[offset + start : offset + start + len(part)] = drafted

    def products(self, queries: torch.Tensor, count: int) -> torch.Tensor:
        """Scores of the first `count` rows, themselves in bfloat16: (B, D) -> (B, count)."""
        return queries @ self._rows[:count].T


class Sought:
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

    def look(self, first: int, count: int, draft: Draft) -> "Glance":
        """Score the `count` rows of one block, `first` being the number of its first row."""
        products = draft.products(self._queries, count)
        if self._masked:
            every = np.ones(count, np.bool_)
            masks = [every if mask is None else mask[first : first + count] for mask in self._allowed]
            products.masked_fill_(~torch.from_numpy(np.stack(masks)), -torch.inf)
        best = products.topk(min(max(self._sizes) + _SPARE, count), dim=1)
        return Glance(first, products, best.values.float().numpy(), best.indices.numpy() + first, draft.rounding)

    def chosen(self, glances: Sequence["Glance"]) -> list[NDArray[np.int64]]:
        """For each query the numbers of all rows that can be among its best; seldom many more than that."""
        scores = np.concatenate([one.scores for one in glances], axis=1)
        numbers = np.concatenate([one.numbers for one in glances], axis=1)
        ordered = np.sort(scores, axis=1)
        lowest = ordered[np.arange(len(scores)), [-size for size in self._sizes]].astype(np.float64)
        rounding = self._rounding + max(one.rounding for one in glances) + self._arithmetic
        # A draft's score s is wrong by `rounding`, and by its own rounding, a part of |s|. What scores less than the
        # lowest wanted one by twice that does not score more exactly; |s| is not much larger so near to it.
        floors = lowest - 2 * (rounding + _HALF_STEP * (np.abs(lowest) + 2.0**-4))
        found = []
        for n, floor in enumerate(floors):
            parts = [numbers[n][scores[n] >= floor]]
            for one in glances:
                if one.scores[n, -1] >= floor and one.scores.shape[1] < one.products.shape[1]:
                    # More of this block may be in question than were looked at.
                    reaching = np.flatnonzero((one.products[n].float() >= float(floor)).numpy()) + one.first
                    parts.append(np.setdiff1d(reaching, one.numbers[n], assume_unique=True))
            found.append(np.concatenate(parts))
        return found


class Glance:
    """What one block's draft says: all products, and the best of each query with their row numbers, best first."""

    def __init__(
        self,
        first: int,
        products: torch.Tensor,
        scores: NDArray[np.float32],
        numbers: NDArray[np.int64],
        rounding: float,
    ) -> None:
        self.first = first
        self.products = products
        self.scores = scores
        self.numbers = numbers
        self.rounding = rounding


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
