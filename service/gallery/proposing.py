"""Which rows could be the best: masks, and the cheapest way to search under each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.gallery.blocks import Block, Found
from service.gallery.drafts import DraftSearch
from service.gallery.rows import Rows
from service.gallery.scoring import narrowed

FEW_EXCLUDED = 64
"""Up to so many excluded rows are asked for in addition and dropped: any mask costs more."""

MARGIN = 32
"""Rows proposed beyond those wanted, where one more pass might be needed without."""

_PASS_COST = 16
"""What a pass over all drafts costs by itself, in units of what each question adds to it."""

_NARROW_COST = 60
"""What reading all rows in float32 costs, in the same unit."""

_SHARED_QUESTIONS = 3
"""Questions with one mask cost about as many single ones at most, since they share the reading of rows."""

_QUESTIONS_A_PASS = 8
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


def propose(rows: Rows, queries: NDArray[np.float32], masks: Sequence[Mask], wanted: Sequence[int]) -> list[Proposal]:
    """For each query more allowed rows than are wanted, the highest scoring, or all.

    Args:
        queries: (B, D) unit vectors.
        masks: one for each query; those that share one object share a pass.
        wanted: places of each query's answer; one row more is proposed at least, since its own may be among them.
    """
    proposals: dict[int, Proposal] = {}
    groups: dict[int, list[int]] = {}
    for n, mask in enumerate(masks):
        if wanted[n] + MARGIN + 1 >= mask.total:
            proposals[n] = Proposal(np.flatnonzero(mask.allowed), None)
        else:
            groups.setdefault(id(mask), []).append(n)
    drafted = _wide(groups.values(), masks) if rows.draft_use is not None and rows.draft_use.is_worthwhile() else []
    if drafted:
        proposals |= _by_drafts(rows, queries, masks, wanted, drafted)
    apart = [left for group in groups.values() if (left := [n for n in group if n not in proposals])]
    masked = [group for group in apart if masks[group[0]].excluded > FEW_EXCLUDED]
    together = [n for group in masked for n in group] if _cheaper_together(masked, masks) else []
    if together:
        size = max(wanted[n] for n in together) + MARGIN + 1
        _note(proposals, together, _over_blocks(rows, queries[together], size, _stacked(masks, together)))
    for group in apart:
        mask = masks[group[0]]
        size = max(wanted[n] for n in group) + MARGIN + 1
        if mask.excluded <= FEW_EXCLUDED:
            found = _over_blocks(rows, queries[group], size + mask.excluded, len(mask.allowed))
            _note(proposals, group, found, mask.allowed)
        elif not together:
            _note(proposals, group, _over_blocks(rows, queries[group], size, mask.allowed))
    return [proposals[n] for n in range(len(masks))]


def _wide(groups: Iterable[Sequence[int]], masks: Sequence[Mask]) -> list[int]:
    """The questions whose masks let so much through that one pass over all drafts is the cheapest for them."""
    costs = [
        (
            group,
            _NARROW_COST * masks[group[0]].total / len(masks[group[0]].allowed) * min(len(group), _SHARED_QUESTIONS),
        )
        for group in groups
    ]
    wide = [(group, cost) for group, cost in costs if cost > len(group)]
    if sum(cost for _, cost in wide) < _PASS_COST + sum(len(group) for group, _ in wide):
        return []
    return [n for group, _ in wide for n in group]


def _by_drafts(
    rows: Rows, queries: NDArray[np.float32], masks: Sequence[Mask], wanted: Sequence[int], chosen: Sequence[int]
) -> dict[int, Proposal]:
    """For each chosen query all rows that can be among its best; not for those of which drafts tell too few apart."""
    sizes = [wanted[n] + 1 for n in chosen]
    allowed = [masks[n].allowed if masks[n].excluded else None for n in chosen]
    sought = DraftSearch(queries[chosen], allowed, sizes)
    found = sought.candidates(rows.over_drafts(len(masks[chosen[0]].allowed), sought.score_block))
    settled = {
        n: Proposal(narrowed(rows, numbers, queries[n], size), None)
        for n, numbers, size in zip(chosen, found, sizes, strict=True)
        if numbers is not None
    }
    if rows.draft_use is not None:
        rows.draft_use.note(len(settled), len(chosen))
    return settled


def at_least(
    rows: Rows, queries: NDArray[np.float32], floors: Sequence[float], masks: Sequence[Mask]
) -> list[NDArray[np.int64]]:
    """For each query all allowed rows whose score in their block is not below the query's floor, by row number."""
    # Rounded down: none that is exactly at the floor may be lost.
    bounds = np.nextafter(np.array(floors, np.float32), np.float32(-np.inf))
    allowed = _stacked(masks, range(len(masks)))

    def search(first: int, here: int, block: Block) -> list[NDArray[np.int64]]:
        hits = block.at_least(queries, bounds, here) & allowed[:, first : first + here]
        return [np.flatnonzero(hit) + first for hit in hits]

    return [np.concatenate(parts) for parts in zip(*rows.over_blocks(allowed.shape[1], search), strict=True)]


def _cheaper_together(groups: Sequence[Sequence[int]], masks: Sequence[Mask]) -> bool:
    """Whether one pass over all rows with a mask for each question beats a pass over the allowed rows for each mask.

    Counted in the reading of all rows, measured as in `blocks`: 32 questions with a mask each take 115 ms in one pass,
    and 32 x 18 ms in a pass each where half of the rows are allowed.
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

    def search(first: int, here: int, block: Block) -> Found:
        mask = None if isinstance(allowed, int) else np.ascontiguousarray(allowed[..., first : first + here])
        scores, found = block.nearest(queries, size, here, mask)
        return np.where(found < 0, -np.inf, scores), np.where(found < 0, -1, found + first)

    parts = rows.over_blocks(count, search)
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
