"""What a calibration says of an answer: a probability for each result, and a decision for the search."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from service.calibration.curve import Curve
from service.store import calibrations as store
from service.store.calibrations import Calibration

if TYPE_CHECKING:
    from service.gallery.options import SearchOptions
    from service.gallery.ranking import Answer
    from service.gallery.served import Loaded

Decision = Literal["match", "possible", "no match"]

Undecided = Literal["no_calibration", "stale_calibration", "several_examples", "min_score"]
"""Why a search has no decision: the gallery has no calibration, or one that no longer holds; what scores mean was
learned of single tracklets; or `min_score` hides rows that would decide."""

GROWTH = 1.5
"""A gallery so many times as large as it was has other rates: the best of many strangers scores higher."""


@dataclass(frozen=True)
class Judge:
    """Which calibration stands behind an answer; a stale one says nothing but why."""

    id: uuid.UUID
    stale: bool
    reason: str | None


def stale_because(calibration: Calibration, model_id: str, tracklets: int) -> str | None:
    """Why the calibration says nothing of a gallery on this model with so many tracklets; None: it does."""
    if calibration.model_id != model_id:
        return "the gallery is on another model"
    if tracklets >= GROWTH * calibration.tracklets:
        return f"the gallery had {calibration.tracklets} tracklets and has {tracklets}"
    return None


def judge_of(calibration: Calibration, model_id: str, tracklets: int) -> Judge:
    """The calibration as an answer names it."""
    reason = stale_because(calibration, model_id, tracklets)
    return Judge(calibration.id, reason is not None, reason)


def probabilities(calibration: Calibration, scores: Sequence[float]) -> list[float]:
    """Probability that a pair of tracklets from two cameras is the same person, for each score."""
    curve = Curve(calibration.slope, calibration.intercept)
    chances: list[float] = curve.probability(np.array(scores, np.float64), calibration.prior).tolist()
    return chances


def decide(calibration: Calibration, best: float | None, min_score: float | None) -> Decision | None:
    """The decision of a search whose best score is `best`; None: no row passed.

    Rows below `min_score` were not answered. Where that is higher than what is possible, nobody knows whether one was.
    """
    if best is None and min_score is not None and min_score > calibration.possible_threshold:
        return None
    if best is None or best < calibration.possible_threshold:
        return "no match"
    return "match" if best >= calibration.match_threshold else "possible"


def judged(
    answer: "Answer",
    calibrations: "ServedCalibrations",
    loaded: "Loaded",
    camera: str | None,
    options: "SearchOptions",
) -> "Answer":
    """The answer with its probabilities, its decision and the calibration behind them; or why it has none.

    The scores must be cosines of one query with each row: of nothing else was learned what it means. All pages of a
    ranking have the decision of its best row.

    Args:
        camera: the one that saw the query, whose own rows have no probability; None: it is not known.
    """
    calibration = calibrations.current(options.gallery, loaded.model_id)
    if calibration is None:
        return replace(answer, undecided="no_calibration")
    judge = judge_of(calibration, loaded.model_id, len(loaded.index))
    if judge.stale:
        return replace(answer, calibration=judge, undecided="stale_calibration")
    scores = [place.score for place in answer.results]
    results = [
        replace(place, probability=None if place.tracklet.camera == camera else chance)
        for place, chance in zip(answer.results, probabilities(calibration, scores), strict=True)
    ]
    decision = decide(calibration, answer.best, options.min_score)
    undecided: Undecided | None = "min_score" if decision is None else None
    return replace(answer, results=results, decision=decision, undecided=undecided, calibration=judge)


def judged_pair(
    score: float, calibrations: "ServedCalibrations", loaded: "Loaded", cameras: Sequence[str | None], gallery: str
) -> tuple[float | None, Judge | None]:
    """Probability that two tracklets with this cosine are one person, and the calibration behind it; None without.

    Args:
        cameras: those that saw the two, where they are known. What one camera saw twice has no probability.
    """
    calibration = calibrations.current(gallery, loaded.model_id)
    if calibration is None:
        return None, None
    judge = judge_of(calibration, loaded.model_id, len(loaded.index))
    first, second = cameras
    if judge.stale or (first is not None and first == second):
        return None, judge
    return probabilities(calibration, [score])[0], judge


class ServedCalibrations:
    """The calibrations in force, as this process last read them."""

    def __init__(self) -> None:
        self._of: dict[str, list[Calibration]] = {}
        self._asked = 0
        self._taken = 0

    async def refresh(self, connection: AsyncConnection) -> None:
        """Read them again."""
        self._asked += 1
        asked = self._asked
        found = await store.in_force(connection)
        if asked < self._taken:
            # One that looked later was faster.
            return
        self._taken, self._of = asked, {}
        for calibration in found:
            self._of.setdefault(calibration.gallery, []).append(calibration)

    def current(self, gallery: str, model_id: str) -> Calibration | None:
        """The gallery's newest one under this model, else its newest."""
        those = self._of.get(gallery, [])
        return next((one for one in those if one.model_id == model_id), those[0] if those else None)
