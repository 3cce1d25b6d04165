"""One threshold for everybody: how many pairs of two people pass it, and how many of one person do not."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.retrieval import row_slices, unit_length

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Verification:
    """What one threshold does for pairs of tracklets before different cameras, summed over people.

    Attributes:
        threshold: cosine; pairs at or above it are taken for one person.
        impostors, false_matches: (Y, Y) pairs of tracklets of two people, and those at or above the threshold; both
            symmetric, with zeros on the diagonal.
        genuine, missed: (Y,) pairs of tracklets of one person, and those below the threshold.
    """

    threshold: float
    impostors: Numbers
    false_matches: Numbers
    genuine: Numbers
    missed: Numbers

    @property
    def false_match_rate(self) -> float:
        """Share of all impostor pairs at or above the threshold."""
        return float(self.false_matches.sum() / self.impostors.sum())


def verify(descriptors: Tensor, identities: Tensor, cameras: Tensor, rate: float) -> Verification:
    """Set one threshold for all so that `rate` of the impostor pairs lie at or above it, and count.

    A pair is of two tracklets before different cameras.

    Args:
        descriptors: (N, D) float, need not be normalised.
        identities: (N,) int64 in 0..Y-1.
        cameras: (N,) int64.
        rate: of false matches, in 0..1; the largest share that does not exceed it is taken, and what is as similar
            as the last of them comes in addition.

    Raises:
        ValueError: there are fewer impostor pairs than one false match needs.
    """
    similarities, first, second = _pairs(descriptors, cameras)
    owners = identities.numpy()
    same = owners[first] == owners[second]
    impostors = similarities[~same]
    allowed = int(rate * len(impostors))
    if allowed < 1:
        raise ValueError(
            f"there are {len(impostors)} pairs of tracklets of two people before different cameras, expected "
            f"{round(1 / rate):,} or more for a false-match rate of {rate:g}"
        )
    threshold = float(np.partition(impostors, -allowed)[-allowed])
    above = similarities >= threshold
    people = int(identities.max()) + 1

    def by_people(chosen: NDArray[np.bool_]) -> Numbers:
        cells = owners[first[chosen]] * people + owners[second[chosen]]
        table = np.bincount(cells, minlength=people * people).reshape(people, people).astype(np.float64)
        return table + table.T

    def by_person(chosen: NDArray[np.bool_]) -> Numbers:
        return np.bincount(owners[first[chosen]], minlength=people).astype(np.float64)

    return Verification(
        threshold, by_people(~same), by_people(~same & above), by_person(same), by_person(same & ~above)
    )


def _pairs(descriptors: Tensor, cameras: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Cosines of all pairs of tracklets before different cameras, each once, and their two rows."""
    rows = unit_length(descriptors).cpu()
    values, first, second = [], [], []
    for part in row_slices(len(rows)):
        numbers = torch.arange(len(rows))
        wanted = (cameras[part, None] != cameras) & (numbers[part, None] < numbers)
        row, column = wanted.nonzero(as_tuple=True)
        values.append((rows[part] @ rows.T)[row, column])
        first.append(row + part.start)
        second.append(column)
    return torch.cat(values).numpy(), torch.cat(first).numpy(), torch.cat(second).numpy()
