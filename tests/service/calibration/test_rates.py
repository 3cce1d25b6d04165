"""Identification rates: against slow twins, and against the truth of worlds that are made up."""

import numpy as np
import pytest

from service.calibration.fitting import Fitted, TooFewLabels, Wanted, fit, label
from service.calibration.intervals import wilson
from service.calibration.rates import (
    Searches,
    false_negative,
    false_positive,
    false_positive_rate,
    threshold_for,
)
from service.calibration.tail import Tail, fit_tail
from tests.service.calibration.people import World

WANTED = Wanted(0.05, 0.2, None, False)


def some_searches(people: int = 30, beyond: float = 0.0, seed: int = 0) -> Searches:
    """Two searches each, with scores that are symmetric between people, as cosines are."""
    rng = np.random.default_rng(seed)
    between = rng.normal(0.2, 0.1, (2 * people, 2 * people))
    between = (between + between.T) / 2
    identity = np.repeat(np.arange(people), 2)
    best, who = np.empty((2 * people, 6)), np.empty((2 * people, 6), np.int64)
    for n in range(2 * people):
        each = np.array([between[n][identity == other].max() for other in range(people)])
        each[identity[n]] = -np.inf
        who[n] = np.argsort(-each)[:6]
        best[n] = each[who[n]]
    mate = rng.normal(0.6, 0.15, 2 * people)
    mate[::7] = np.nan
    return Searches(identity, best, who, mate, people - 1, beyond)


def test_rates_in_a_gallery_that_is_all_labelled_are_counts() -> None:
    searches, tail = some_searches(), Tail(1, 0.0, 1.0)
    for threshold in (0.2, 0.35, 0.5):
        reached = [row[0] >= threshold for row in searches.best]
        assert false_positive(searches, threshold, tail).tolist() == reached
        wrong = [
            not (mate >= threshold and mate > row[0]) for mate, row in zip(searches.mate, searches.best, strict=True)
        ]
        assert false_negative(searches, threshold, tail).tolist() == wrong


@pytest.mark.parametrize("beyond", [0.0, 100.0])
def test_a_threshold_is_the_least_that_keeps_its_promise(beyond: float) -> None:
    searches = some_searches(beyond=beyond)
    tail = searches.tail()
    threshold = threshold_for(searches, 0.1, tail)

    def share(at: float) -> float:
        # One more person, whose two searches are both answered.
        return (false_positive(searches, at, tail).sum() + 2) / (len(searches.mate) + 2)

    assert share(threshold) <= 0.1 < share(threshold - 1e-9)


def test_every_person_is_judged_by_a_gallery_that_never_had_them() -> None:
    searches, target = some_searches(), 0.1
    wrong = []
    for person in range(30):
        tops = sorted(
            max(score for score, who in zip(row, people, strict=True) if who != person)
            for owner, row, people in zip(searches.identity, searches.best, searches.people, strict=True)
            if owner != person
        )
        allowed = int(np.floor(target * (len(tops) + 2) + 1e-9)) - 2
        threshold = tops[-allowed - 1]
        wrong += [row[0] > threshold for row in searches.best[searches.identity == person]]
    rate = false_positive_rate(searches, target, threshold_for(searches, target, searches.tail()))
    assert rate.value == pytest.approx(np.mean(wrong))
    assert rate.low < rate.value < rate.high


def test_no_wrong_search_does_not_mean_none_ever() -> None:
    searches = some_searches()
    never = Searches(
        searches.identity, np.full_like(searches.best, -0.5), searches.people, searches.mate, searches.compared, 0.0
    )
    rate = false_positive_rate(never, 0.5, 0.9)
    assert rate.value == rate.low == 0
    # Wilson's interval for as many trials as there are people, and of those each wrong search counts for two.
    assert rate.high == pytest.approx(wilson(0.0, 15)[1]) == pytest.approx(0.2039, abs=1e-3)


def test_the_tail_of_distances_that_follow_a_power_is_found() -> None:
    # P(distance < d) = d^8: -log of it is exponential, of mean 1/8, beyond every level.
    rng = np.random.default_rng(0)
    distances = np.sort(rng.random((2000, 200)) ** (1 / 8), axis=1)
    tail = fit_tail(1 - distances[:, :12], 200)
    assert tail.count == 10
    assert tail.shape == pytest.approx(0, abs=0.03)
    assert tail.scale == pytest.approx(1 / 8, rel=0.05)
    # 200 strangers and a level that one in 2000 reaches.
    reaching = tail.reaching(1 - distances[:, :12], 1 - (1 / 2000) ** (1 / 8))
    assert reaching.mean() == pytest.approx(0.1, rel=0.2)


def made_up(
    world: World, people: int, labelled: int, seed: int, unlabelled: bool = True, wanted: Wanted = WANTED
) -> tuple[Fitted, np.ndarray, np.random.Generator]:
    """Calibrate a gallery of people who are seen by three cameras each, some of them labelled; its rows."""
    rng = np.random.default_rng(seed)
    vectors = world.seen(world.people(people, rng), 3, rng).reshape(-1, world.dimension)
    identity = np.repeat(np.where(np.arange(people) < labelled, np.arange(people), -1), 3)
    chosen = label(identity, np.tile(np.arange(3), people), wanted.unlabelled_are_strangers)
    return fit(chosen, lambda rows: vectors[rows], len(vectors) if unlabelled else 3 * labelled, wanted), vectors, rng


def true_fpir(fitted: Fitted, world: World, vectors: np.ndarray, rng: np.random.Generator) -> float:
    """How often searches for 3,000 people who are not in the gallery are answered `match`."""
    strangers = world.seen(world.people(3000, rng), 1, rng)[:, 0]
    return float(np.mean((strangers @ vectors.T).max(axis=1) >= fitted.match_threshold))


WORLDS = {"even": World(), "crowded": World(crowding=0.5)}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("people", "labelled"), [(40, 40), (200, 40)], ids=["all labelled", "a fifth labelled"])
def test_strangers_are_answered_match_at_the_promised_rate(world: str, people: int, labelled: int) -> None:
    kept, rates = 0, []
    for seed in range(4):
        fitted, vectors, rng = made_up(WORLDS[world], people, labelled, seed)
        rate = true_fpir(fitted, WORLDS[world], vectors, rng)
        promised = fitted.report["decisions"]["match"]["fpir"]
        kept += promised["low"] <= rate <= promised["high"]
        rates.append(rate)
    assert kept >= 3, rates
    # What is asked for is what comes on average, give or take the luck of four galleries.
    assert 0.01 < np.mean(rates) < 0.1


def test_the_size_of_the_gallery_is_in_the_promise() -> None:
    world = World()
    small, vectors, rng = made_up(world, 400, 40, 0, unlabelled=False)
    large, _, _ = made_up(world, 400, 40, 0)
    assert large.match_threshold > small.match_threshold
    # Thresholds for the forty who are labelled promise too much in the gallery of four hundred.
    assert true_fpir(small, world, vectors, rng) > small.report["decisions"]["match"]["fpir"]["high"]


def test_rows_that_are_known_to_be_strangers_are_compared() -> None:
    world, wanted = World(), Wanted(0.05, 0.2, None, True)
    fitted, vectors, rng = made_up(world, 300, 60, 0, wanted=wanted)
    assert fitted.report["labels"]["people_beyond"] == 0
    assert fitted.report["labels"]["tracklets_compared"] == 900
    promised = fitted.report["decisions"]["match"]["fpir"]
    assert promised["low"] <= true_fpir(fitted, world, vectors, rng) <= promised["high"]


def test_people_in_the_gallery_are_missed_at_the_rate_that_is_reported() -> None:
    world = World(spread=0.7)
    fitted, vectors, _ = made_up(world, 300, 60, 0)
    scores = vectors @ vectors.T
    person, camera = np.repeat(np.arange(300), 3), np.tile(np.arange(3), 300)
    own = person[:, None] == person[None, :]
    mates = np.where(own & (camera[:, None] != camera[None, :]), scores, -np.inf).max(axis=1)
    strangers = np.where(own, -np.inf, scores).max(axis=1)
    for name, threshold in (("match", fitted.match_threshold), ("possible", fitted.possible_threshold)):
        missed = float(np.mean(~((mates >= threshold) & (mates > strangers))))
        reported = fitted.report["decisions"][name]["fnir"]
        assert 0.05 < missed < 0.95
        assert reported["low"] <= missed <= reported["high"]


def test_the_prior_is_the_share_of_pairs_that_searches_rank() -> None:
    fitted, _, _ = made_up(World(), 100, 25, 0)
    # Two mates among the 200 tracklets of the other two cameras.
    assert fitted.prior == pytest.approx(2 / 200)
    assert fitted.report["probability"]["prior_counted"]
    given, _, _ = made_up(World(), 25, 25, 0, wanted=Wanted(0.05, 0.2, 0.25, False))
    assert (given.prior, given.report["probability"]["prior_counted"]) == (0.25, False)


@pytest.mark.parametrize(
    ("people", "wanted", "missing"),
    [
        (12, WANTED, "12 identities seen by two cameras, needed are 20"),
        (25, Wanted(0.01, 0.2, None, False), "25 identities, for so low .*, needed are 100"),
    ],
)
def test_too_few_labels_are_refused_with_what_is_missing(people: int, wanted: Wanted, missing: str) -> None:
    with pytest.raises(TooFewLabels, match=missing):
        made_up(World(), people, people, 0, wanted=wanted)


def test_a_calibration_that_is_cancelled_stops_at_the_next_step() -> None:
    steps = []

    def stop(done: int) -> None:
        steps.append(done)
        if done > 75:
            raise InterruptedError

    vectors = World().seen(World().people(25, np.random.default_rng(0)), 3, np.random.default_rng(1)).reshape(75, 16)
    chosen = label(np.repeat(np.arange(25), 3), np.tile(np.arange(3), 25), False)
    with pytest.raises(InterruptedError):
        fit(chosen, lambda rows: vectors[rows], 75, WANTED, stop)
    assert steps == [75, 76]


def test_a_model_that_tells_nobody_apart_is_refused() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(120, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    identity = np.repeat(np.arange(40), 3)
    # Mates that lie opposite each other.
    vectors[1::3] = -vectors[0::3]
    with pytest.raises(TooFewLabels, match="tells nobody apart"):
        fit(label(identity, np.tile(np.arange(3), 40), False), lambda rows: vectors[rows], 120, WANTED)
