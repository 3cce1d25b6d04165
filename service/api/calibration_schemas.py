"""Calibrations as they go over the wire."""

import uuid
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.values import Cursor, GalleryName, Schema
from service.calibration.answers import judge_of
from service.store.calibrations import StoredCalibration


class CalibrationRequest(Schema):
    """What to calibrate, from which labels, and what it is to promise."""

    gallery: GalleryName = "default"
    reference_gallery: GalleryName | None = Field(
        default=None,
        description="Take the labels of this gallery, which is on the same model, and the size of the other.",
    )
    match_fpir: float = Field(
        default=0.01, ge=0.0001, le=0.5, description="Searches for someone absent answered `match`, at most."
    )
    possible_fpir: float = Field(
        default=0.10,
        ge=0.0001,
        le=0.5,
        description="Searches for someone absent answered `possible` or `match`, at most.",
    )
    prior: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of pairs across cameras that is the same person; counted from the labels unless given.",
    )
    unlabelled: Literal["unknown", "strangers"] = Field(
        default="unknown",
        description="`unknown`: tracklets without identity may be anybody. `strangers`: none is a labelled person.",
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"gallery": "default", "match_fpir": 0.01, "possible_fpir": 0.1}]}
    )

    @model_validator(mode="after")
    def _in_order(self) -> "CalibrationRequest":
        if self.possible_fpir < self.match_fpir:
            raise ValueError("possible_fpir is below match_fpir")
        return self


class CalibrationListParameters(Schema):
    """Options of a list of calibrations."""

    gallery: GalleryName = "default"
    limit: int = Field(default=20, ge=1, le=100)
    cursor: Cursor | None = None


class RateAnswer(BaseModel):
    """A figure with its interval of 95 %."""

    value: float
    low: float
    high: float


class DecisionAnswer(BaseModel):
    """A decision: the least best score that it takes, and how often it is wrong in a gallery of this size."""

    target_fpir: float
    threshold: float
    fpir: RateAnswer = Field(
        description="Of searches for someone absent; people judged by thresholds chosen without them."
    )
    fnir: RateAnswer = Field(description="Of searches for someone present: not answered, or with somebody else first.")


class DecisionsAnswer(BaseModel):
    """Both decisions; below `possible` it is `no match`."""

    match: DecisionAnswer
    possible: DecisionAnswer


class PartAnswer(BaseModel):
    """Pairs whose probability lies in one tenth."""

    probability: float = Field(description="Mean.")
    same: float = Field(description="Share that was the same person.")
    pairs: int


class ProbabilityAnswer(BaseModel):
    """log odds = slope * score + intercept + log(prior / (1 - prior)), and how well that comes true."""

    slope: float
    intercept: float
    prior: float
    prior_counted: bool = Field(description="From the labels, and not given.")
    expected_calibration_error: RateAnswer
    brier: RateAnswer
    brier_of_prior: float = Field(description="Brier score of who says the prior of every pair.")
    parts: list[PartAnswer]


class PointAnswer(BaseModel):
    """What a score means."""

    score: float
    fpir: float
    fnir: float
    probability: float


class LabelsAnswer(BaseModel):
    """What it was fitted to."""

    identities: int = Field(description="People whose tracklets searched.")
    tracklets_compared: int
    people_compared: int
    people_beyond: float = Field(description="People that the gallery is taken to have beyond those.")
    pairs: int = Field(description="Pairs of one person's tracklets from two cameras.")
    searches: int
    mated_searches: int


class CalibrationAnswer(BaseModel):
    """What scores of a model mean in a gallery of one size."""

    id: uuid.UUID
    gallery: str
    model_id: str
    tracklets: int = Field(description="In the gallery when it was made: rates are of a gallery of this size.")
    reference_gallery: str | None
    made_by: str = Field(description="Name of the key.")
    created_at: datetime
    stale: bool
    reason: str | None = Field(description="Why it is stale.")
    unlabelled: Literal["unknown", "strangers"]
    labels: LabelsAnswer
    decisions: DecisionsAnswer
    probability: ProbabilityAnswer
    points: list[PointAnswer]

    @classmethod
    def of(cls, stored: StoredCalibration, model_id: str, tracklets: int) -> "CalibrationAnswer":
        """As the database has it, of a gallery that is on this model now and has so many tracklets."""
        judge = judge_of(stored, model_id, tracklets)
        return cls(
            id=stored.id,
            gallery=stored.gallery,
            model_id=stored.model_id,
            tracklets=stored.tracklets,
            made_by=stored.made_by,
            created_at=stored.created_at,
            stale=judge.stale,
            reason=judge.reason,
            **stored.report,
        )


class CalibrationPage(BaseModel):
    """The calibration that answers are judged by, and all of them, newest first."""

    current: CalibrationAnswer | None
    items: list[CalibrationAnswer]
    next_cursor: str | None
