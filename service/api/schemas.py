"""Tracklets as they go over the wire."""

import uuid
from datetime import datetime
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from service.api.given_schemas import DescriptorField
from service.api.values import Cursor, ExternalId, GalleryName, Labels, Moment, Name, Schema
from service.evidence.purity import is_switch
from service.store.tracklets import StoredTracklet


class TrackletFields(Schema):
    """What is said of a tracklet that is sent, wherever it goes."""

    camera_id: Name = Field(description="The camera that saw the person; made known by its first use.")
    external_id: ExternalId | None = Field(
        default=None, description="Your own name for the tracklet. Sending it again with the same frames is safe."
    )
    identity: Name | None = Field(default=None, description="The person, where you know who it is.")
    started_at: Moment | None = None
    ended_at: Moment | None = None
    labels: Labels = Field(default_factory=dict)
    descriptor: DescriptorField | None = Field(
        default=None, description="Taken as it is; frames may then be left out, or come to be looked at only."
    )

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.ended_at is not None and self.started_at is None:
            raise ValueError("ended_at is given without started_at")
        if self.ended_at is not None and self.started_at is not None and self.ended_at < self.started_at:
            raise ValueError("ended_at is before started_at")
        return self


class TrackletMetadata(TrackletFields):
    """The field `metadata` of an upload."""

    gallery: GalleryName = "default"

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "camera_id": "gate-2",
                    "external_id": "2026-11-23/gate-2/track-17",
                    "started_at": "2026-11-23T08:15:00+01:00",
                    "ended_at": "2026-11-23T08:15:04+01:00",
                    "labels": {"direction": "in"},
                }
            ]
        }
    )


class ListParameters(Schema):
    """Options of a list."""

    gallery: GalleryName = "default"
    limit: int = Field(default=100, ge=1, le=500)
    cursor: Cursor | None = None


class Tracklet(BaseModel):
    """A stored tracklet."""

    id: uuid.UUID
    gallery: str
    camera_id: str
    external_id: str | None
    identity: str | None
    started_at: datetime | None
    ended_at: datetime | None
    labels: dict[str, Any]
    frame_count: int
    purity: float | None = Field(
        description="How little any split in time tells the frames apart, 0 to 1, to the model that serves; "
        "null for fewer than four frames."
    )
    possible_identity_switch: bool | None = Field(
        description="`purity` is below TFCLIP_MIN_PURITY: the frames may be of two people."
    )
    created_at: datetime
    version: int = Field(description="Counts what was changed of it; also its `ETag`.")
    thumbnail_url: str | None = Field(description="Null for a tracklet that came as a descriptor, without frames.")
    frame_urls: list[str]

    @classmethod
    def of(cls, stored: StoredTracklet, min_purity: float) -> "Tracklet":
        """As the database has it; purities below `min_purity` are flagged."""
        return cls(
            id=stored.id,
            gallery=stored.gallery,
            camera_id=stored.camera,
            external_id=stored.external_id,
            identity=stored.identity,
            started_at=stored.started_at,
            ended_at=stored.ended_at,
            labels=stored.labels,
            frame_count=stored.frame_count,
            purity=stored.purity,
            possible_identity_switch=is_switch(stored.purity, min_purity),
            created_at=stored.created_at,
            version=stored.version,
            thumbnail_url=thumbnail_url(stored.id, stored.frame_count),
            frame_urls=[frame_url(stored.id, position) for position in range(stored.frame_count)],
        )


class StoredAnswer(Tracklet):
    """A tracklet that was just stored, and the model that described it."""

    model_id: str


class TrackletPage(BaseModel):
    """Tracklets, newest first."""

    items: list[Tracklet]
    next_cursor: str | None


def frame_url(tracklet_id: uuid.UUID, position: int) -> str:
    """Where a frame's bytes are."""
    return f"/tracklets/{tracklet_id}/frames/{position}"


def thumbnail_url(tracklet_id: uuid.UUID, frame_count: int) -> str | None:
    """The middle frame stands for the tracklet: the first and last ones are often cut off. None where it has none."""
    return frame_url(tracklet_id, frame_count // 2) if frame_count else None
