"""Calibrations, as the client sees them."""

from datetime import datetime

from service.client.wire.base import Answer


class Rate(Answer):
    """A figure with its interval of 95 %."""

    value: float
    low: float
    high: float


class DecisionRates(Answer):
    """The least best score of a decision, and how often it is wrong in a gallery of this size."""

    target_fpir: float
    threshold: float
    fpir: Rate
    fnir: Rate


class Decisions(Answer):
    """Both decisions; below `possible` it is `no match`."""

    match: DecisionRates
    possible: DecisionRates


class Part(Answer):
    """Pairs whose probability lies in one tenth: its mean, and the share that was the same person."""

    probability: float
    same: float
    pairs: int


class PairProbability(Answer):
    """log odds = slope * score + intercept + log(prior / (1 - prior)), and how well that comes true."""

    slope: float
    intercept: float
    prior: float
    prior_counted: bool
    expected_calibration_error: Rate
    brier: Rate
    brier_of_prior: float
    parts: list[Part]


class Point(Answer):
    """What a score means."""

    score: float
    fpir: float
    fnir: float
    probability: float


class Labels(Answer):
    """What a calibration was fitted to."""

    identities: int
    tracklets_compared: int
    people_compared: int
    people_beyond: float
    pairs: int
    searches: int
    mated_searches: int


class Calibration(Answer):
    """What scores of a model mean in a gallery of one size."""

    id: str
    gallery: str
    model_id: str
    tracklets: int
    reference_gallery: str | None = None
    made_by: str
    created_at: datetime
    stale: bool
    reason: str | None = None
    unlabelled: str
    labels: Labels
    decisions: Decisions
    probability: PairProbability
    points: list[Point]


class CalibrationPage(Answer):
    """The calibration in force, and one page of all, newest first."""

    current: Calibration | None = None
    items: list[Calibration]
    next_cursor: str | None = None
