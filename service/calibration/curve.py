"""Score to probability that a pair is the same person: a logistic curve, fitted to counts of scores.

The curve is Platt's, fitted as Lin, Lin and Weng do it ("A note on Platt's probabilistic outputs for support vector
machines", 2007): a logarithm of odds that is linear in the score, and targets that stay clear of 0 and 1. What is kept
is the likelihood ratio, so that the prior, the share of pairs that are the same person, can be another one than that of
the pairs it was fitted to.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 2048
"""Scores from -1 to 1 are counted in steps of a thousandth: far below what tells two people apart."""

CENTRES: NDArray[np.float64] = np.linspace(-1.0, 1.0, 2 * BINS + 1)[1::2]

_STEPS = 100
_LEAST_STEP = 1e-10


@dataclass(frozen=True)
class Curve:
    """log(P(score | same) / P(score | different)) = slope * score + intercept."""

    slope: float
    intercept: float

    def probability(self, scores: NDArray[np.float64] | float, prior: float) -> NDArray[np.float64]:
        """Probability that pairs with these scores are the same person, where a share `prior` of all pairs is."""
        odds = self.slope * np.asarray(scores, np.float64) + self.intercept + log_odds(prior)
        probability: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(odds, -700.0, 700.0)))
        return probability


def bins_of(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The bin, 0 to `BINS` - 1, of each score."""
    bins: NDArray[np.int64] = np.clip(((scores + 1.0) * (BINS / 2.0)).astype(np.int64), 0, BINS - 1)
    return bins


def log_odds(share: float) -> float:
    """log(share / (1 - share)) of a share in 0..1, both ends left out."""
    return float(np.log(share) - np.log1p(-share))


def fit_curve(same: NDArray[np.float64], different: NDArray[np.float64]) -> Curve:
    """Fit the curve by Newton's method with halved steps.

    Args:
        same, different: (BINS,) how many pairs of one person, and of two, scored in each bin; neither all zero.
    """
    positives, negatives = float(same.sum()), float(different.sum())
    wanted = same * ((positives + 1) / (positives + 2)) + different * (1 / (negatives + 2))
    seen = np.flatnonzero(same + different)
    scores, counts, wanted = CENTRES[seen], (same + different)[seen], wanted[seen]

    def loss(slope: float, intercept: float) -> float:
        odds = slope * scores + intercept
        return float(np.sum(counts * np.logaddexp(0.0, odds) - wanted * odds))

    slope, intercept = 0.0, log_odds((positives + 1) / (positives + negatives + 2))
    now = loss(slope, intercept)
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(slope * scores + intercept, -700.0, 700.0)))
        excess, curvature = counts * chance - wanted, counts * chance * (1.0 - chance)
        gradient = np.array([np.sum(excess * scores), np.sum(excess)])
        # What is added keeps a matrix of pairs that all have one score from being singular.
        corner = np.sum(curvature * scores)
        matrix = np.array([[np.sum(curvature * scores**2), corner], [corner, np.sum(curvature)]]) + 1e-12 * np.eye(2)
        step, size = np.linalg.solve(matrix, gradient), 1.0
        while size > _LEAST_STEP:
            tried = slope - size * step[0], intercept - size * step[1]
            then = loss(*tried)
            if then < now:
                break
            size /= 2.0
        else:
            break
        gain, (slope, intercept), now = now - then, tried, then
        if gain < 1e-12 * (1.0 + abs(now)):
            break
    return Curve(float(slope), float(intercept - log_odds(positives / (positives + negatives))))
