"""P x K sampling: batches of P identities with K tracklets each (method.md 1.6)."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_Row = TypeVar("_Row")


class IdentitySampler:
    """Draws the batches of an epoch. What it draws follows from seed and epoch alone.

    Args:
        labels: identity of each tracklet, rows of the data set in order.
        identities: P.
        tracklets: K.
        seed: of everything that is drawn.

    Raises:
        ValueError: there are fewer than P identities.
    """

    def __init__(self, labels: Sequence[int], *, identities: int, tracklets: int, seed: int) -> None:
        self._rows: dict[int, list[int]] = {}
        for row, label in enumerate(labels):
            self._rows.setdefault(label, []).append(row)
        if len(self._rows) < identities:
            raise ValueError(
                f"the training set has {len(self._rows)} identities, expected {identities} or more: lower "
                "batches.identities"
            )
        self._identities, self._tracklets, self._seed = identities, tracklets, seed

    def batches(self, epoch: int) -> list[list[int]]:
        """Draw an epoch.

        Args:
            epoch: names the epoch, from 1.

        Returns:
            Batches of P * K rows, the K of one identity together. Each identity's tracklets are shuffled and cut in
            groups of K, what is left over is dropped, an identity with fewer than K is drawn from with replacement; a
            batch is a group of each of P identities. The epoch ends when fewer than P identities have a group left.
        """
        rng = np.random.default_rng([self._seed, epoch, 0x9C])
        groups = {label: self._groups(rows, rng) for label, rows in sorted(self._rows.items())}
        batches = []
        while len(groups) >= self._identities:
            left = list(groups)
            chosen = [left[index] for index in rng.choice(len(left), self._identities, replace=False)]
            batches.append([row for label in chosen for row in groups[label].pop()])
            for label in chosen:
                if not groups[label]:
                    del groups[label]
        return batches

    def _groups(self, rows: list[int], rng: np.random.Generator) -> list[list[int]]:
        size = self._tracklets
        if len(rows) < size:
            return [[rows[index] for index in rng.choice(len(rows), size, replace=True)]]
        shuffled = [rows[index] for index in rng.permutation(len(rows))]
        return [shuffled[start : start + size] for start in range(0, len(rows) - size + 1, size)]


def part_of(batch: Sequence[_Row], part: int, parts: int) -> list[_Row]:
    """One of `parts` equal shares of a batch; a share is of whole identities if P is a multiple of `parts`."""
    size = len(batch) // parts
    return list(batch[part * size : (part + 1) * size])
