"""How seldom strangers come near: what is needed to speak of more strangers than were seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST = 10
_LEAST_DISTANCE = 1e-12
_STEEPEST = 0.5


@dataclass(frozen=True)
class Tail:
    """How strangers' scores fall off beyond a search's k-th best.

    The maximum over more strangers than were seen is a matter of the tail of their scores, which beyond a high level is
    a generalised Pareto distribution (Pickands 1975). The level is each search's own, so that who looks like many
    others goes on doing so; the shape is common to all. It is fitted to -log(1 - score): the number of neighbours grows
    about as a power of the cosine distance, so its logarithm falls off alike where people lie close together and where
    they do not.

    Attributes:
        count: k.
        shape, scale: of the distribution of what exceeds the k-th best.
    """

    count: int
    shape: float
    scale: float

    def reaching(self, best: NDArray[np.float64], scores: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """How many of the strangers that were seen are expected to reach the scores: (Q,), 0 to k.

        Args:
            best: (Q, K) the best scores of each search, highest first; K > k.
            scores: (Q,) or one for all. Below the k-th best the answer is k, which is too few.
        """
        excess = np.maximum(_nearness(np.asarray(scores)) - _nearness(best[:, self.count]), 0.0) / self.scale
        if abs(self.shape) < 1e-6:
            survival = np.exp(-excess)
        else:
            survival = np.maximum(1.0 + self.shape * excess, 0.0) ** (-1.0 / self.shape)
        expected: NDArray[np.float64] = self.count * survival
        return expected


def fit_tail(best: NDArray[np.float64], compared: int, weights: NDArray[np.float64] | None = None) -> Tail:
    """Fit the tail by probability-weighted moments (Hosking and Wallis 1987), to a tenth of the strangers at most.

    Args:
        best: (Q, K) the best scores of each search with as many strangers, highest first; K > 1.
        compared: strangers that each search was compared with.
        weights: (Q, k) how often each exceedance counts; once each unless given.
    """
    count = int(np.clip(compared // 10, 1, min(_MOST, best.shape[1] - 1)))
    near = _nearness(best[:, : count + 1])
    excess = (near[:, :count] - near[:, count:]).ravel()
    times = np.ones(excess.size) if weights is None else weights.ravel()
    order = np.argsort(excess)
    excess, times = excess[order], times[order]
    total = max(float(times.sum()), 1.0)
    above = 1.0 - (np.cumsum(times) - 0.5 * times) / total
    mean, damped = float(times @ excess) / total, float(times @ (excess * above)) / total
    if mean - 2.0 * damped <= 0.0:
        # Scores that are all equal, or too few to tell.
        return Tail(count, 0.0, max(mean, _LEAST_DISTANCE))
    shape = float(np.clip(2.0 - mean / (mean - 2.0 * damped), -_STEEPEST, _STEEPEST))
    return Tail(count, shape, max(mean * (1.0 - shape), _LEAST_DISTANCE))


def _nearness(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    near: NDArray[np.float64] = -np.log(np.maximum(1.0 - scores, _LEAST_DISTANCE))
    return near
