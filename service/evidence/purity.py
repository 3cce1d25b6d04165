"""Purity as it is stored and answered."""

from model.purity import Purity

_DECIMALS = 4
"""So many survive a column of type real as they are; rounding of the network's own is smaller than the last."""


def rounded_purity(found: Purity) -> float:
    """The purity as it is stored."""
    return round(found.purity, _DECIMALS)


def is_switch(purity: float | None, min_purity: float) -> bool | None:
    """Whether the frames may be of two people; None where nobody can say."""
    return None if purity is None else purity < min_purity
