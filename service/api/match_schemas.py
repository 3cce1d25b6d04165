"""Decisions about pairs of tracklets, as they go over the wire."""

import uuid
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.examples.common import STRANGER_ID, TRACKLET_ID
from service.api.values import GalleryName, PageParameters, Schema
from service.store.matches import MatchDecision, Verdict


class NewMatch(Schema):
    """A person's word on a tracklet and another one, or an identity."""

    gallery: GalleryName = "default"
    tracklet_id: uuid.UUID
    other_tracklet_id: uuid.UUID | None = None
    identity_id: uuid.UUID | None = None
    verdict: Verdict

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tracklet_id": TRACKLET_ID,
                    "other_tracklet_id": STRANGER_ID,
                    "verdict": "different",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _compares_with_one(self) -> "NewMatch":
        if (self.other_tracklet_id is None) == (self.identity_id is None):
            raise ValueError("give other_tracklet_id or identity_id, one of the two")
        return self


class MatchListParameters(PageParameters):
    """Options of a list of decisions."""

    gallery: GalleryName = "default"
    verdict: Verdict | None = Field(default=None, description="Only decisions of this kind.")


class Match(BaseModel):
    """What somebody decided of two tracklets."""

    id: uuid.UUID
    gallery: str
    tracklet_ids: list[uuid.UUID] = Field(min_length=2, max_length=2)
    verdict: Verdict
    decided_by: str
    at: datetime

    @classmethod
    def of(cls, match: MatchDecision) -> "Match":
        """As the database has it."""
        return cls(
            id=match.id,
            gallery=match.gallery,
            tracklet_ids=[match.first_id, match.second_id],
            verdict=match.verdict,
            decided_by=match.decided_by,
            at=match.at,
        )


class DecidedMatches(BaseModel):
    """Decisions that were written down, one for each pair, and the identity that `same` put them into."""

    identity_id: uuid.UUID | None
    items: list[Match]


class MatchPage(BaseModel):
    """Decisions, newest first."""

    items: list[Match]
    next_cursor: str | None
