"""Which rows could be the best: masks, and the cheapest way to search under each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.gallery.blocks import nearest
from service.gallery.rows import Rows

FEW_EXCLUDED = 64
"""Up to so many excluded rows are asked for in addition and dropped: any mask costs more."""

NARROW = 8
"""A mask that lets at most one row in so many through is searched over the gathered rows."""

MANY_MASKS = 6
"""From so many different wide masks on, one pass with a mask for each question beats a pass for each mask."""


class Mask:
    """Rows that may answer: (N,) bool, with their number."""

    def __init__(self, allowed: NDArray[np.bool_]) -> None:
        self.allowed = allowed
        self.total = int(np.count_nonzero(allowed))

    @property
    def excluded(self) -> int:
        """Rows that may not."""
        return len(self.allowed) - self.total

    @property
    def narrow(self) -> bool:
        """Whether few rows are left."""
        return self.total * NARROW <= len(self.allowed)


@dataclass(frozen=True, eq=False)
class Proposal:
    """Allowed rows that score highest, and the highest score that one left out can have; None: none was left out."""

    rows: NDArray[np.int64]
    ceiling: float | None


def propose(rows: Rows, queries: NDArray[np.float32], masks: Sequence[Mask], sizes: Sequence[int]) -> list[Proposal]:
    """For each query at least `size` allowed rows that score highest, or all.

    Args:
        queries: (B, D) unit vectors.
        masks: one for each query; those that share one object share a pass.
        sizes: rows wanted for each query.
    """
    proposals: dict[int, Proposal] = {}
    groups: dict[int, list[int]] = {}
    for n, mask in enumerate(masks):
        if sizes[n] + 1 >= mask.total:
            proposals[n] = Proposal(np.flatnonzero(mask.allowed), None)
        else:
            groups.setdefault(id(mask), []).append(n)
    wide = [group for group in groups.values() if _is_wide(masks[group[0]])]
    if len(wide) >= MANY_MASKS:
        together = [n for group in wide for n in group]
        allowed = np.stack([masks[n].allowed for n in together])
        size = max(sizes[n] for n in together) + 1
        _note(proposals, together, _over_blocks(rows, queries[together], size, allowed))
    for group in groups.values():
        mask = masks[group[0]]
        # One more, since the query's own row may be among them.
        size = max(sizes[n] for n in group) + 1
        if mask.narrow:
            numbers = np.flatnonzero(mask.allowed)
            scores, offsets = nearest(queries[group], rows.gather(numbers), size)
            _note(proposals, group, (scores, numbers[offsets]))
        elif not _is_wide(mask):
            found = _over_blocks(rows, queries[group], size + mask.excluded, len(mask.allowed))
            _note(proposals, group, found, mask.allowed)
        elif len(wide) < MANY_MASKS:
            _note(proposals, group, _over_blocks(rows, queries[group], size, mask.allowed))
    return [proposals[n] for n in range(len(masks))]


def _is_wide(mask: Mask) -> bool:
    return not mask.narrow and mask.excluded > FEW_EXCLUDED


def _over_blocks(
    rows: Rows, queries: NDArray[np.float32], size: int, allowed: NDArray[np.bool_] | int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Search every block and keep the best `size`; `allowed` is (N,), (B, N), or N when all N rows are."""
    count = allowed if isinstance(allowed, int) else allowed.shape[-1]
    scores, found = [], []
    for first, here, block in rows.blocks(count):
        mask = None if isinstance(allowed, int) else np.ascontiguousarray(allowed[..., first : first + here])
        block_scores, block_found = block.nearest(queries, size, here, mask)
        scores.append(np.where(block_found < 0, -np.inf, block_scores))
        found.append(np.where(block_found < 0, -1, block_found + first))
    all_scores, all_found = np.concatenate(scores, axis=1), np.concatenate(found, axis=1)
    best = np.argsort(-all_scores, axis=1, kind="stable")[:, :size]
    return np.take_along_axis(all_scores, best, 1), np.take_along_axis(all_found, best, 1)


def _note(
    proposals: dict[int, Proposal],
    group: Sequence[int],
    result: tuple[NDArray[np.float32], NDArray[np.int64]],
    allowed: NDArray[np.bool_] | None = None,
) -> None:
    """Write down what was found for each query of the group; rows that `allowed` does not name are dropped."""
    for n, scores, found in zip(group, *result, strict=True):
        kept = found if allowed is None else found[allowed[found]]
        proposals[n] = Proposal(kept, float(scores[-1]))
