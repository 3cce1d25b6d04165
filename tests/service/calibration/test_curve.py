"""The pair probability against a slow twin and against truth that is known."""

import numpy as np
import pytest

from service.calibration.curve import BINS, CENTRES, Curve, bins_of, fit_curve
from service.calibration.reliability import PARTS, fit_all, reliability
from service.calibration.scoring import PairCounts


def drawn(same: int, different: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Counts by bin of two normal distributions of one width: the log of their ratio is linear in the score."""
    rng = np.random.default_rng(seed)
    return (
        np.bincount(bins_of(rng.normal(0.6, 0.1, same)), minlength=BINS).astype(float),
        np.bincount(bins_of(rng.normal(0.1, 0.1, different)), minlength=BINS).astype(float),
    )


def test_a_curve_of_two_normal_distributions_is_their_likelihood_ratio() -> None:
    curve = fit_curve(*drawn(20_000, 200_000))
    # log ratio = ((s - 0.1)^2 - (s - 0.6)^2) / (2 0.1^2) = 50 s - 17.5
    assert curve.slope == pytest.approx(50, rel=0.05)
    assert curve.intercept == pytest.approx(-17.5, rel=0.05)


def test_the_fit_is_the_minimum_of_platts_loss_with_regularised_targets() -> None:
    same, different = drawn(40, 3000)
    curve = fit_curve(same, different)
    yes, no = same.sum(), different.sum()

    def loss(slope: float, intercept: float) -> float:
        total = 0.0
        for score, positives, negatives in zip(CENTRES, same, different, strict=True):
            chance = 1 / (1 + np.exp(-(slope * score + intercept)))
            for count, target in ((positives, (yes + 1) / (yes + 2)), (negatives, 1 / (no + 2))):
                if count:
                    total -= count * (target * np.log(chance) + (1 - target) * np.log(1 - chance))
        return total

    # The curve keeps the likelihood ratio; the fit's own intercept has the share of the pairs in it.
    intercept = curve.intercept + np.log(yes / no)
    least = loss(curve.slope, intercept)
    for slope_step, intercept_step in ((0.1, 0), (-0.1, 0), (0, 0.02), (0, -0.02), (0.1, -0.02), (-0.1, 0.02)):
        assert loss(curve.slope + slope_step, intercept + intercept_step) > least


def test_scores_that_do_not_overlap_give_a_finite_curve() -> None:
    same, different = np.zeros(BINS), np.zeros(BINS)
    same[1900], different[1100] = 30, 500
    curve = fit_curve(same, different)
    assert 0 < curve.slope < 1000
    assert curve.probability(CENTRES[1900], 0.05) > 0.9
    assert curve.probability(CENTRES[1100], 0.05) < 0.01


def test_the_probability_follows_bayes_rule_under_another_prior() -> None:
    curve = Curve(50.0, -17.5)
    for prior in (0.001, 0.3):
        ratio = np.exp(50 * 0.4 - 17.5)
        expected = ratio * prior / (ratio * prior + 1 - prior)
        assert curve.probability(0.4, prior) == pytest.approx(expected)


def counts(people: int, seed: int = 0) -> PairCounts:
    """Pairs of people who search: each has same pairs, and pairs with the next person, which both count."""
    rng = np.random.default_rng(seed)
    same, searching = np.zeros((people, BINS), np.int64), np.zeros((people, BINS), np.int64)
    for person in range(people):
        same[person] = np.bincount(bins_of(rng.normal(0.6, 0.15, 4)), minlength=BINS)
        with_next = np.bincount(bins_of(rng.normal(0.1, 0.15, 60)), minlength=BINS)
        searching[person] += with_next
        searching[(person + 1) % people] += with_next
    others = np.zeros_like(same)
    others[0] = np.bincount(bins_of(rng.normal(0.1, 0.15, 30)), minlength=BINS)
    return PairCounts(same, searching, others)


def test_reliability_leaves_out_every_pair_of_the_person_who_is_judged() -> None:
    pairs, prior = counts(25), 0.05
    found = reliability(pairs, prior)
    different = pairs.searching.sum(axis=0) / 2 + pairs.others.sum(axis=0)
    judged: list[tuple[float, bool]] = []
    for person in range(25):
        apart = pairs.searching[person] + pairs.others[person]
        curve = fit_curve((pairs.same.sum(axis=0) - pairs.same[person]).astype(float), different - apart)
        for place, centre in enumerate(CENTRES):
            chance = float(curve.probability(centre, prior))
            judged += [(chance, True)] * int(2 * pairs.same[person, place]) + [(chance, False)] * int(apart[place])
    said, was = np.array([chance for chance, _ in judged]), np.array([truth for _, truth in judged])
    weight = np.where(was, prior / was.sum(), (1 - prior) / (~was).sum())
    part = np.minimum((said * PARTS).astype(int), PARTS - 1)
    error = sum(abs(np.sum((weight * (said - was))[part == number])) for number in range(PARTS))
    assert found.brier.value == pytest.approx(np.sum(weight * (said - was) ** 2))
    assert found.expected_calibration_error.value == pytest.approx(error)
    assert sum(number for _, _, number in found.parts) == len(judged)


def test_probabilities_of_people_never_seen_come_true_and_beat_the_prior() -> None:
    found = reliability(counts(60), 0.05)
    assert found.expected_calibration_error.low <= found.expected_calibration_error.value < 0.02
    assert found.brier.value < 0.5 * found.brier_of_prior
    assert found.brier.low < found.brier.value < found.brier.high


def test_the_curve_of_all_pairs_counts_each_pair_once() -> None:
    pairs = counts(25)
    different = np.zeros(BINS)
    for person in range(25):
        different += pairs.searching[person]
    assert fit_all(pairs) == fit_curve(
        pairs.same.sum(axis=0).astype(float), different / 2 + pairs.others.sum(axis=0).astype(float)
    )
