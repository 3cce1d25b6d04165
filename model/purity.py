"""Whether the frames of a tracklet are of one person: the split in time that tells them apart best. NumPy alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_FRAMES = 2
"""Frames on either side of a split: the spread of a single frame is not known."""


@dataclass(frozen=True)
class Purity:
    """How well the best split separates the frames of a tracklet.

    Attributes:
        purity: 1 less the largest separation, within 0 to 1; low where the frames are of two people.
        split: number of frames before the split of the largest separation, the first of equals.
        separations: by number of frames before the split, from `LEAST_FRAMES` on.
    """

    purity: float
    split: int
    separations: NDArray[np.float64]


def find_purity(frames: NDArray[np.float32]) -> Purity | None:
    """Look for the split of a tracklet into before and after that separates its frames most.

    The separation of a split is the mean cosine of two frames on the same side, less that of two frames on different
    sides: 0 where time tells nothing, and the larger the more the two sides differ beyond what frames of one side do
    among themselves. It is half of the energy distance that Matteson and James split series by (Journal of the American
    Statistical Association 109, 2014), with all pairs within the sides pooled, and means over pairs without those of a
    frame with itself, so that short sides look no more alike than they are. Cosines do not know the length of
    descriptors, so neither does the result.

    Args:
        frames: (N, D) descriptors of the frames in their order in time; need not be normalised.

    Returns:
        None for fewer than twice `LEAST_FRAMES` frames, or where a descriptor is zero or not finite.
    """
    count = len(frames)
    if count < 2 * LEAST_FRAMES:
        return None
    norms = np.linalg.norm(frames.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(norms) & (norms > 0)).all():
        return None
    unit = frames / norms
    # sums[s, t] is the sum over the first s rows and t columns.
    sums = np.zeros((count + 1, count + 1))
    sums[1:, 1:] = (unit @ unit.T).cumsum(axis=0).cumsum(axis=1)
    before = np.arange(LEAST_FRAMES, count - LEAST_FRAMES + 1)
    after = count - before
    across = sums[before, count] - sums[before, before]
    # Pairs of two different frames, each in both orders.
    within = sums[count, count] - 2 * across - count
    pairs = before * (before - 1) + after * (after - 1)
    separations: NDArray[np.float64] = within / pairs - across / (before * after)
    best = int(separations.argmax())
    purity = min(1.0, max(0.0, 1.0 - float(separations[best])))
    return Purity(purity, int(before[best]), separations)
