"""How often a search is answered wrong: identification rates at a threshold, and the thresholds that promise them.

As in ISO/IEC 19795-1 and NIST's FRVT 1:N: a search is *mated* when the person is in the gallery, else *non-mated*.
FPIR, the false-positive identification rate, is the share of non-mated searches whose best score reaches the threshold.
FNIR, the false-negative identification rate at rank 1, is the share of mated searches whose best score does not reach
it, or is somebody else's. Both are of a gallery of one size.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.calibration.intervals import DRAWS, Rate, interval_of
from service.calibration.tail import Tail, fit_tail

_HALVINGS = 50


@dataclass(frozen=True, eq=False)
class Searches:
    """Q searches by labelled tracklets, each with its own person taken out of the gallery and put back in.

    Attributes:
        identity: (Q,) whose search it is, 0 to P - 1.
        best: (Q, K) the best score with each of the K other people who score highest, highest first; -inf where there
            are fewer than K.
        people: (Q, K) who they are; numbers from P on are people who do not search.
        mate: (Q,) the best score with the person's own tracklets in other cameras; NaN where there are none.
        compared: other people that each search was compared with.
        beyond: people in the gallery beyond those, of whom nothing is known but their number.
    """

    identity: NDArray[np.int64]
    best: NDArray[np.float64]
    people: NDArray[np.int64]
    mate: NDArray[np.float64]
    compared: int
    beyond: float

    @property
    def identities(self) -> int:
        """How many people search: P."""
        return int(self.identity.max()) + 1

    def take(self, chosen: NDArray[np.bool_]) -> "Searches":
        """The searches that `chosen` (Q,) names."""
        return replace(
            self,
            identity=self.identity[chosen],
            best=self.best[chosen],
            people=self.people[chosen],
            mate=self.mate[chosen],
        )

    def without(self, identity: int) -> "Searches":
        """The searches of all others, none of whom has this person for the best stranger."""
        rest = self.take(self.identity != identity)
        best = rest.best.copy()
        first = rest.people[:, 0] == identity
        best[first, 0] = best[first, 1]
        return replace(rest, best=best)

    def tail(self, weights: NDArray[np.float64] | None = None) -> Tail:
        """How strangers' scores fall off; see `fit_tail`. Nobody asks where there are no more than were seen."""
        return Tail(1, 0.0, 1.0) if self.beyond == 0 else fit_tail(self.best, self.compared, weights)


class _Judge(Protocol):
    def __call__(
        self, searches: Searches, threshold: float, tail: Tail, density: NDArray[np.float64] | float = 1.0
    ) -> NDArray[np.float64]: ...


def false_positive(
    searches: Searches, threshold: float, tail: Tail, density: NDArray[np.float64] | float = 1.0
) -> NDArray[np.float64]:
    """Chance that each search, its person not being in the gallery, reaches the threshold: (Q,).

    Args:
        density: how many times as many strangers as were seen are taken to lie where the tail begins, (Q,) or one.
    """
    seen = searches.best[:, 0] >= threshold
    return np.where(seen, 1.0, 1.0 - _nobody_beyond(searches, threshold, tail, density))


def false_negative(
    searches: Searches, threshold: float, tail: Tail, density: NDArray[np.float64] | float = 1.0
) -> NDArray[np.float64]:
    """Chance that each mated search does not answer with the right person at the threshold: (Q,)."""
    found = (searches.mate >= threshold) & (searches.mate > searches.best[:, 0])
    wrong: NDArray[np.float64] = 1.0 - found * _nobody_beyond(searches, searches.mate, tail, density)
    return wrong


def _nobody_beyond(
    searches: Searches, scores: NDArray[np.float64] | float, tail: Tail, density: NDArray[np.float64] | float
) -> NDArray[np.float64]:
    """Chance that none of the people beyond those compared reaches the scores: (Q,)."""
    if searches.beyond == 0:
        return np.ones(len(searches.identity))
    expected = searches.beyond / searches.compared * density * tail.reaching(searches.best, scores)
    nobody: NDArray[np.float64] = np.exp(-expected)
    return nobody


def threshold_for(searches: Searches, target: float, tail: Tail) -> float:
    """The least score at which non-mated searches are answered at a rate of at most `target`.

    One more person is counted, with as many searches as the others have, all answered: so the promise holds on average
    over who happens to be labelled, and not only for those who were (conformal prediction, by people since the searches
    of one depend on each other). Where no score will do, the answer is 1.
    """
    low, high = -1.0, 1.0
    number = len(searches.identity)
    one_more = number / len(np.unique(searches.identity))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        wrong = false_positive(searches, middle, tail).sum()
        if (wrong + one_more) / (number + one_more) <= target:
            high = middle
        else:
            low = middle
    return high


def false_positive_rate(
    searches: Searches, target: float, threshold: float, on_person: Callable[[], None] = lambda: None
) -> Rate:
    """FPIR at thresholds chosen without the person who searches, with its interval.

    Every identity in turn is left out, as a searcher and as a stranger to the others; a threshold is chosen, and its
    searches are judged by that one.

    Args:
        target: FPIR that thresholds are chosen by.
        threshold: the one that is chosen with everybody.
        on_person: called after each person; may raise.
    """
    wrong = np.empty(len(searches.identity))
    for identity in range(searches.identities):
        own = searches.identity == identity
        rest = searches.without(identity)
        tail = rest.tail()
        wrong[own] = false_positive(searches.take(own), threshold_for(rest, target, tail), tail)
        on_person()
    draws = _draws(searches, threshold, false_positive)
    # Two people who look alike are wrong searches of both. Where strangers are drawn again too, the draws know it.
    shared = 2.0 if searches.beyond == 0 else 1.0
    return interval_of(float(wrong.mean()), draws, searches.identities, len(wrong), shared)


def false_negative_rate(searches: Searches, threshold: float) -> Rate:
    """FNIR at the threshold, over the searches that have a mate, with its interval."""
    mated = searches.take(~np.isnan(searches.mate))
    share = float(false_negative(mated, threshold, searches.tail()).mean())
    draws = _draws(mated, threshold, false_negative)
    return interval_of(share, draws, len(np.unique(mated.identity)), len(mated.identity))


def _draws(searches: Searches, threshold: float, judge: _Judge) -> NDArray[np.float64]:
    """The rate in resamples of the people, each of whom searches, and is a stranger, as often as drawn: (DRAWS,).

    A person is drawn a number of times that is Poisson's of mean 1, which is the bootstrap but for the total.
    """
    rng = np.random.default_rng(0)
    everybody = int(searches.people.max()) + 1
    tail = searches.tail()
    fixed = judge(searches, threshold, tail)
    draws = np.empty(DRAWS)
    for draw in range(DRAWS):
        times = rng.poisson(1.0, everybody).astype(np.float64)
        often, wrong = times[searches.identity], fixed
        if searches.beyond:
            strangers = times[searches.people[:, : tail.count]]
            wrong = judge(searches, threshold, searches.tail(often[:, None] * strangers), strangers.mean(axis=1))
        draws[draw] = often @ wrong / max(1.0, often.sum())
    return draws
