"""How far a rate may be off, where what it counts depends on each other: intervals of 95 %."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 200
"""Resamples of the people: enough for a variance, and for the ends of 95 %."""

_DEVIATIONS = 1.959964


@dataclass(frozen=True)
class Rate:
    """A figure, and the interval that has it with 95 %."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """As reports have it."""
        return {"value": round(self.value, 6), "low": round(self.low, 6), "high": round(self.high, 6)}


def interval_of(share: float, draws: NDArray[np.float64], identities: int, searches: int, shared: float = 1.0) -> Rate:
    """The interval of a share of searches, those of one person depending on each other.

    The bootstrap over people says how many independent searches would vary as much (Korn and Graubard 1998), and
    Wilson's interval is taken for so many. A percentile of the bootstrap itself says nothing where hardly any search is
    wrong, or none: drawn again, none is.

    Args:
        draws: the share in resamples of the people.
        identities: people; so many trials are counted where the bootstrap does not vary.
        searches: so many trials are counted at most.
        shared: how many people share each wrong search.
    """
    middle, variance = float(np.mean(draws)), float(np.var(draws))
    trials = middle * (1.0 - middle) / variance if variance > 0.0 and 0.0 < middle < 1.0 else float(identities)
    trials = max(1.0, min(trials, searches) / shared)
    low, high = wilson(share, trials)
    # Of a threshold that was chosen from these searches, it is the true rate that varies about the figure, downwards as
    # far as upwards.
    even = share - _DEVIATIONS * float(np.sqrt(share * (1.0 - share) / trials))
    return Rate(share, max(0.0, min(low, even)), high)


def wilson(share: float, trials: float) -> tuple[float, float]:
    """Wilson's interval of 95 % for a share of so many independent trials."""
    spread = _DEVIATIONS**2 / trials
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = np.sqrt(share * (1.0 - share) * spread + spread * spread / 4.0) / (1.0 + spread)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
