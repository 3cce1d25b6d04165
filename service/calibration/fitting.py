"""From labelled rows to a calibration: what is fitted, what it is worth, and what is too little to fit it to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.calibration.curve import Curve
from service.calibration.rates import (
    Searches,
    false_negative,
    false_negative_rate,
    false_positive,
    false_positive_rate,
    threshold_for,
)
from service.calibration.reliability import fit_all, reliability
from service.calibration.scoring import Gather, Labelled, PairCounts, score

LEAST_IDENTITIES = 20
"""People seen by two cameras. A bootstrap over fewer does not tell how much people differ."""

LEAST_PAIRS = 30
"""Pairs of one person's tracklets from two cameras: ten for each parameter of the curve, and ten to spare."""

MOST_SEARCHES = 5000
"""Tracklets that search, of people chosen at random. With more, intervals hardly narrow and passes take longer."""

MOST_OF_ONE = 250
"""Tracklets of one identity that searches. One with more would outweigh others, if it is one person at all."""

_POINTS = 41


class TooFewLabels(Exception):
    """The labels do not carry a calibration; the message says what is missing."""


@dataclass(frozen=True)
class Wanted:
    """What a calibration is to promise.

    Attributes:
        match_fpir, possible_fpir: highest FPIR of the two decisions.
        prior: share of pairs that is the same person; None: as counted.
        unlabelled_are_strangers: nobody who has a label has tracklets without one.
    """

    match_fpir: float
    possible_fpir: float
    prior: float | None
    unlabelled_are_strangers: bool


@dataclass(frozen=True)
class Fitted:
    """A calibration and what it reports."""

    curve: Curve
    prior: float
    match_threshold: float
    possible_threshold: float
    report: dict[str, Any]


def label(
    identity: NDArray[np.int64], camera: NDArray[np.int64], unlabelled_are_strangers: bool, most: int = MOST_SEARCHES
) -> Labelled:
    """Choose who searches and who is a stranger.

    Args:
        identity: (N,) number of each row's identity, -1 where there is none.
        camera: (N,) number of each row's camera.
        unlabelled_are_strangers: rows without identity are compared too, each as a person of its own. Otherwise they
            are left out: they may be anybody.
        most: rows that search at most.

    Raises:
        TooFewLabels: nobody could search.
    """
    known = np.flatnonzero(identity >= 0)
    names, numbers, sizes = np.unique(identity[known], return_inverse=True, return_counts=True)
    order = np.random.default_rng(0).permutation(len(names))
    few = sizes[order] <= MOST_OF_ONE
    order = np.concatenate([order[few], order[~few]])
    searching = int(np.searchsorted(np.cumsum(sizes[order][: np.count_nonzero(few)]), most, side="right"))
    if searching == 0:
        raise TooFewLabels(f"No identity of the gallery has a tracklet, and {MOST_OF_ONE} at most.")
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    rows, person = known, place[numbers]
    if unlabelled_are_strangers:
        others = np.flatnonzero(identity < 0)
        rows = np.concatenate([rows, others])
        person = np.concatenate([person, len(names) + np.arange(len(others))])
    by_person = np.argsort(person, kind="stable")
    rows, person = rows[by_person], person[by_person]
    return Labelled(rows, person, camera[rows], searching)


def fit(
    labelled: Labelled,
    gather: Gather,
    size: int,
    wanted: Wanted,
    on_step: Callable[[int], None] = lambda step: None,
) -> Fitted:
    """Fit both halves and measure them.

    Args:
        labelled, gather: as `score` takes them.
        size: tracklets in the gallery that the calibration is for.
        on_step: called with the number of `steps` done; may raise.

    Raises:
        TooFewLabels: it cannot be fitted, or not to what is wanted.
    """
    people, rows = labelled.people, len(labelled.rows)
    # The others have as many tracklets each as those who were compared.
    beyond = max(0.0, size * people / rows - people)
    searches, pairs = score(labelled, gather, beyond, on_step)
    _refuse_too_few(searches, pairs, wanted)
    curve = fit_all(pairs)
    if curve.slope <= 0:
        raise TooFewLabels(
            "Tracklets of one person do not score higher than those of two: the model tells nobody apart."
        )
    prior = wanted.prior if wanted.prior is not None else _counted_prior(labelled, pairs, size)
    done = rows

    def on_person() -> None:
        nonlocal done
        done += 1
        on_step(done)

    trust = reliability(pairs, prior, on_person)
    decisions: dict[str, Any] = {}
    tail = searches.tail()
    for name, target in (("match", wanted.match_fpir), ("possible", wanted.possible_fpir)):
        threshold = threshold_for(searches, target, tail)
        if threshold >= 1.0:
            raise TooFewLabels(f"No score keeps strangers to an FPIR of {target:g} in a gallery of {size}.")
        decisions[name] = {
            "target_fpir": target,
            "threshold": threshold,
            "fpir": false_positive_rate(searches, target, threshold, on_person).to_dict(),
            "fnir": false_negative_rate(searches, threshold).to_dict(),
        }
    report = {
        "labels": {
            "identities": labelled.searching,
            "tracklets_compared": rows,
            "people_compared": people,
            "people_beyond": round(beyond, 1),
            "pairs": int(pairs.same.sum()),
            "searches": len(searches.mate),
            "mated_searches": int(np.sum(~np.isnan(searches.mate))),
        },
        "unlabelled": "strangers" if wanted.unlabelled_are_strangers else "unknown",
        "decisions": decisions,
        "probability": {
            "slope": curve.slope,
            "intercept": curve.intercept,
            "prior": prior,
            "prior_counted": wanted.prior is None,
            "expected_calibration_error": trust.expected_calibration_error.to_dict(),
            "brier": trust.brier.to_dict(),
            "brier_of_prior": trust.brier_of_prior,
            "parts": [
                {"probability": round(float(said), 6), "same": round(float(was), 6), "pairs": number}
                for said, was, number in trust.parts
            ],
        },
        "points": _points(searches, curve, prior),
    }
    return Fitted(curve, prior, decisions["match"]["threshold"], decisions["possible"]["threshold"], report)


def steps(labelled: Labelled) -> int:
    """How many steps `fit` takes: each row, and three times each person who searches."""
    return len(labelled.rows) + 3 * labelled.searching


def _refuse_too_few(searches: Searches, pairs: PairCounts, wanted: Wanted) -> None:
    found, mated = int(pairs.same.sum()), int(np.count_nonzero(pairs.same.sum(axis=1)))
    least = int(np.ceil(1.0 / min(wanted.match_fpir, wanted.possible_fpir)))
    missing = [
        f"{has} {what}, needed are {needed}"
        for has, needed, what in (
            (mated, LEAST_IDENTITIES, "identities seen by two cameras"),
            (found, LEAST_PAIRS, "pairs of one person's tracklets from two cameras"),
            (searches.identities, least, "identities, for so low a false-positive rate"),
        )
        if has < needed
    ]
    if missing:
        raise TooFewLabels(f"Too few labels: {'; '.join(missing)}. Answers go on as scores alone.")


def _counted_prior(labelled: Labelled, pairs: PairCounts, size: int) -> float:
    """Share of the same person in the pairs that searches of this gallery rank across cameras."""
    cameras = labelled.camera[: int(np.searchsorted(labelled.person, labelled.searching))]
    elsewhere = 1.0 - np.bincount(labelled.camera)[cameras] / len(labelled.camera)
    ranked = float(np.sum(elsewhere)) * max(size, len(labelled.rows))
    return float(np.clip(2.0 * pairs.same.sum() / ranked, 1e-9, 0.5))


def _points(searches: Searches, curve: Curve, prior: float) -> list[dict[str, float]]:
    """Rates and probability along the scores, from where nearly all strangers are below it to where nobody is above."""
    mated, tail = searches.take(~np.isnan(searches.mate)), searches.tail()
    ends = np.quantile(searches.best[:, 0], 0.01), max(float(searches.best[:, 0].max()), float(mated.mate.max()))
    return [
        {
            "score": round(float(at), 6),
            "fpir": round(float(false_positive(searches, at, tail).mean()), 6),
            "fnir": round(float(false_negative(mated, at, tail).mean()), 6),
            "probability": round(float(curve.probability(at, prior)), 6),
        }
        for at in np.linspace(*ends, _POINTS)
    ]
