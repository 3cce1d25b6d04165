"""Which rows could be the best: masks, and the cheapest way to search under each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.gallery.blocks import Block, Found
from service.gallery.rows import Rows

FEW_EXCLUDED = 64
"""Up to so many excluded rows are asked for in addition and dropped: any mask costs more."""

_SHARED_QUESTIONS = 3
"""Questions with one mask cost about as many single ones at most, since they share the reading of rows."""

_QUESTIONS_A_PASS = 20
"""So many questions add to one pass with a mask for each as much as the reading of all rows costs."""


class Mask:
    """Rows that may answer: (N,) bool, with their number."""

    def __init__(self, allowed: NDArray[np.bool_]) -> None:
        self.allowed = allowed
        self.total = int(np.count_nonzero(allowed))

    @property
    def excluded(self) -> int:
        """Rows that may not."""
        return len(self.allowed) - self.total


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
    masked = [group for group in groups.values() if masks[group[0]].excluded > FEW_EXCLUDED]
    together = [n for group in masked for n in group] if _cheaper_together(masked, masks) else []
    if together:
        size = max(sizes[n] for n in together) + 1
        _note(proposals, together, _over_blocks(rows, queries[together], size, _stacked(masks, together)))
    for group in groups.values():
        mask = masks[group[0]]
        # One more, since the query's own row may be among them.
        size = max(sizes[n] for n in group) + 1
        if mask.excluded <= FEW_EXCLUDED:
            found = _over_blocks(rows, queries[group], size + mask.excluded, len(mask.allowed))
            _note(proposals, group, found, mask.allowed)
        elif not together:
            _note(proposals, group, _over_blocks(rows, queries[group], size, mask.allowed))
    return [proposals[n] for n in range(len(masks))]


def at_least(
    rows: Rows, queries: NDArray[np.float32], floors: Sequence[float], masks: Sequence[Mask]
) -> list[NDArray[np.int64]]:
    """For each query all allowed rows whose score in their block is not below the query's floor, by row number."""
    # Rounded down: none that is exactly at the floor may be lost.
    bounds = np.nextafter(np.array(floors, np.float32), np.float32(-np.inf))
    parts: list[list[NDArray[np.int64]]] = [[] for _ in masks]
    allowed = _stacked(masks, range(len(masks)))
    for first, here, block in rows.blocks(allowed.shape[1]):
        hits = block.at_least(queries, bounds, here) & allowed[:, first : first + here]
        for part, hit in zip(parts, hits, strict=True):
            part.append(np.flatnonzero(hit) + first)
    return [np.concatenate(part) for part in parts]


def _cheaper_together(groups: Sequence[Sequence[int]], masks: Sequence[Mask]) -> bool:
    """Whether one pass over all rows with a mask for each question beats a pass over the allowed rows for each mask.

    Counted in the reading of all rows: 32 questions with a mask each, measured as in `blocks`, take 107 ms in one pass;
    in a pass each 32 x 19 ms where half of the rows are allowed, 32 x 5 ms for a tenth, and 32 x 1 ms for a hundredth.
    """
    if len(groups) < 2:
        return False
    count = len(masks[groups[0][0]].allowed)
    apart = sum(masks[group[0]].total / count * min(len(group), _SHARED_QUESTIONS) for group in groups)
    return apart > 1 + sum(len(group) for group in groups) / _QUESTIONS_A_PASS


def _stacked(masks: Sequence[Mask], chosen: Sequence[int]) -> NDArray[np.bool_]:
    return np.stack([masks[n].allowed for n in chosen])


def _over_blocks(
    rows: Rows, queries: NDArray[np.float32], size: int, allowed: NDArray[np.bool_] | int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Search every block and keep the best `size`; `allowed` is (N,), (B, N), or N when all N rows are."""
    count = allowed if isinstance(allowed, int) else allowed.shape[-1]

    def search(one: tuple[int, int, Block]) -> Found:
        first, here, block = one
        mask = None if isinstance(allowed, int) else np.ascontiguousarray(allowed[..., first : first + here])
        scores, found = block.nearest(queries, size, here, mask)
        return np.where(found < 0, -np.inf, scores), np.where(found < 0, -1, found + first)

    # One question is computed on one core in each block, several on all of them.
    parts = rows.over_blocks(count, search, spread=len(queries) == 1)
    all_scores = np.concatenate([scores for scores, _ in parts], axis=1)
    all_found = np.concatenate([found for _, found in parts], axis=1)
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
        # Places without a row: another question of the group asked for more rows than this one's mask allows.
        found, lowest = found[found >= 0], float(scores[-1])
        proposals[n] = Proposal(found if allowed is None else found[allowed[found]], lowest)
