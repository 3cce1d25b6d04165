"""Purity as it is stored and answered."""

import numpy as np
from numpy.typing import NDArray

from model.purity import Purity, find_purity

_DECIMALS = 4
"""So many survive a column of type real as they are; rounding of the network's own is smaller than the last."""


def rounded_purity(found: Purity) -> float:
    """The purity as it is stored."""
    return round(found.purity, _DECIMALS)


def purity_of(frames: NDArray[np.float32]) -> float | None:
    """The purity of frames by their descriptors (N, D), as it is stored; None: too few to tell."""
    found = find_purity(frames)
    return None if found is None else rounded_purity(found)


def is_switch(purity: float | None, min_purity: float) -> bool | None:
    """Whether the frames may be of two people; None where nobody can say."""
    return None if purity is None else purity < min_purity
