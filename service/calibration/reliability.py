"""Whether probabilities come true, for people whom the curve never saw."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.calibration.curve import CENTRES, Curve, fit_curve
from service.calibration.intervals import DRAWS, Rate
from service.calibration.scoring import PairCounts

PARTS = 10
"""Probabilities are compared with what was the case in tenths."""


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are from what was the case, in pairs of which a share `prior` is the same person.

    Attributes:
        expected_calibration_error: mean distance of probability and share of same pairs, over the tenths of
            probabilities, by the number of pairs in each.
        brier: mean squared distance of probability and truth.
        brier_of_prior: the same for who says the prior of every pair.
        parts: for each tenth that has pairs: mean probability, share that was the same person, pairs.
    """

    expected_calibration_error: Rate
    brier: Rate
    brier_of_prior: float
    parts: list[tuple[float, float, int]]


def fit_all(pairs: PairCounts) -> Curve:
    """The curve of all pairs."""
    return fit_curve(pairs.same.sum(axis=0).astype(np.float64), _different(pairs))


def reliability(pairs: PairCounts, prior: float, on_person: Callable[[], None] = lambda: None) -> Reliability:
    """Judge each person's pairs by a curve that was fitted without any of them.

    Intervals are percentiles of a bootstrap over people.

    Args:
        prior: share of pairs that is the same person; those counted are weighted to it.
        on_person: called after each person; may raise.
    """
    same, different = pairs.same.sum(axis=0).astype(np.float64), _different(pairs)
    people = len(pairs.same)
    # Both directions, as a search by each of the two would judge the pair.
    together = 2.0 * pairs.same.astype(np.float64)
    apart = (pairs.searching + pairs.others).astype(np.float64)
    weights = prior / together.sum(), (1.0 - prior) / apart.sum()
    sums, number = np.zeros((people, 4, PARTS)), np.zeros(PARTS)
    for person in range(people):
        rest_same, rest_different = same - pairs.same[person], different - apart[person]
        chance = fit_curve(rest_same, rest_different).probability(CENTRES, prior)
        part = np.minimum((chance * PARTS).astype(np.int64), PARTS - 1)
        yes, no = weights[0] * together[person], weights[1] * apart[person]
        squared = yes * (1.0 - chance) ** 2 + no * chance**2
        for row, values in enumerate((chance * (yes + no), yes, yes + no, squared)):
            sums[person, row] = np.bincount(part, values, PARTS)
        number += np.bincount(part, together[person] + apart[person], PARTS)
        on_person()
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(people, np.full(people, 1.0 / people), DRAWS)
    errors, briers = _figures(np.einsum("rp,pkb->rkb", drawn.astype(np.float64), sums))
    (error,), (brier,) = _figures(sums.sum(axis=0, keepdims=True))
    said, was, weight, _ = sums.sum(axis=0)
    return Reliability(
        Rate(float(error), *_ends(errors)),
        Rate(float(brier), *_ends(briers)),
        prior * (1.0 - prior),
        [(said[n] / weight[n], was[n] / weight[n], int(number[n])) for n in range(PARTS) if weight[n] > 0],
    )


def _different(pairs: PairCounts) -> NDArray[np.float64]:
    """All pairs of two people, each once."""
    different: NDArray[np.float64] = pairs.searching.sum(axis=0) / 2.0 + pairs.others.sum(axis=0)
    return different


def _figures(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected calibration error and Brier score of (N, 4, PARTS) sums."""
    total = sums[:, 2].sum(axis=1)
    return np.abs(sums[:, 0] - sums[:, 1]).sum(axis=1) / total, sums[:, 3].sum(axis=1) / total


def _ends(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)
