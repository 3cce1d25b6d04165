"""Identities, their history and decisions about pairs, as they go over the wire."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.api.cursors import cut_page, encode_number
from service.api.examples.common import MERGE_EVENT, MERGED_ID, OTHER_ID, TRACKLET_ID
from service.api.schemas import thumbnail_url
from service.api.values import Cursor, GalleryName, KeptLabels, KeptName, Name, Schema
from service.store import assignments
from service.store.identities import IdentityRecord, SeenBy
from service.store.identity_events import EventKind, IdentityEvent
from service.store.tracklets import StoredTracklet

MOST_TRACKLETS = 1000
"""Tracklets in one request."""


class NewIdentity(Schema):
    """An identity to make."""

    gallery: GalleryName = "default"
    name: Name
    tracklet_ids: list[uuid.UUID] = Field(default=[], max_length=MOST_TRACKLETS, description="Its first tracklets.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ann", "tracklet_ids": [OTHER_ID]}]})


class IdentityChange(Schema):
    """What to change of an identity."""

    name: Name

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ann Example"}]})


class Assignment(Schema):
    """Tracklets to give to an identity."""

    tracklet_ids: list[uuid.UUID] = Field(min_length=1, max_length=MOST_TRACKLETS)
    move: bool = Field(default=False, description="Also tracklets of other identities; without it they are a conflict.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"tracklet_ids": [TRACKLET_ID]}]})


class Merge(Schema):
    """The identity that goes into the one in the path."""

    from_id: uuid.UUID = Field(description="Its tracklets move to the identity in the path, which is kept.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"from_id": MERGED_ID}]})


class Unmerge(Schema):
    """The merge to undo."""

    event_id: int = Field(ge=1, le=2**63 - 1, description="`id` of an event `merged` in the history.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"event_id": MERGE_EVENT}]})


class TrackletChange(Schema):
    """What to change of a tracklet; what is left out stays."""

    labels: KeptLabels | None = Field(default=None, description="In the place of all labels that it has.")
    identity: KeptName | None = Field(
        default=None, description="Its identity by name, made by its first use; null: it has none any more."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"labels": {"direction": "out"}, "identity": "Ann"}]})

    @model_validator(mode="after")
    def _changes_something(self) -> "TrackletChange":
        if not self.model_fields_set:
            raise ValueError("nothing is to be changed: give labels, identity, or both")
        if "labels" in self.model_fields_set and self.labels is None:
            raise ValueError("labels: must be an object; {} takes them all away")
        return self


class IdentityListParameters(Schema):
    """Options of a list of identities."""

    gallery: GalleryName = "default"
    merged: bool = Field(default=False, description="`true`: also those that were merged into others.")
    limit: int = Field(default=100, ge=1, le=500)
    cursor: Cursor | None = None


class Identity(BaseModel):
    """An identity of a gallery."""

    id: uuid.UUID
    gallery: str
    name: str
    tracklets: int = Field(description="How many tracklets it has.")
    merged_into: uuid.UUID | None = Field(description="The identity that it went into; it has no tracklets then.")
    version: int
    created_at: datetime

    @classmethod
    def of(cls, stored: IdentityRecord) -> "Identity":
        """As the database has it."""
        return cls(**_summary(stored))


class SeenByCamera(BaseModel):
    """What one camera saw of an identity; its time offset is added to both times."""

    camera_id: str
    tracklets: int
    first_seen: datetime | None
    last_seen: datetime | None


class IdentityDetails(Identity):
    """An identity: which cameras saw it, from when to when by one clock, and the tracklet most typical of it."""

    cameras: list[SeenByCamera]
    first_seen: datetime | None
    last_seen: datetime | None
    thumbnail_url: str | None = Field(description="Of the tracklet nearest to the mean of its descriptors.")

    @classmethod
    def of_all(cls, stored: IdentityRecord, cameras: list[SeenBy], typical: StoredTracklet | None) -> "IdentityDetails":
        """With what the database says of its tracklets, and the most typical one."""
        return cls(
            **_summary(stored),
            cameras=[
                SeenByCamera(
                    camera_id=seen.camera,
                    tracklets=seen.tracklets,
                    first_seen=seen.first_seen,
                    last_seen=seen.last_seen,
                )
                for seen in cameras
            ],
            first_seen=min((seen.first_seen for seen in cameras if seen.first_seen is not None), default=None),
            last_seen=max((seen.last_seen for seen in cameras if seen.last_seen is not None), default=None),
            thumbnail_url=None if typical is None else thumbnail_url(typical.id, typical.frame_count),
        )


class IdentityPage(BaseModel):
    """Identities, newest first."""

    items: list[Identity]
    next_cursor: str | None


class Event(BaseModel):
    """Something that somebody did to an identity, or decided of tracklets."""

    id: int
    kind: EventKind
    identity_id: uuid.UUID | None = Field(description="Null: a decision about tracklets that had no identity then.")
    other_id: uuid.UUID | None = Field(
        description="Of a merge, and its undoing: the identity that is not kept; of a decision: the other side's."
    )
    tracklet_ids: list[uuid.UUID] = Field(
        description="Those it was given, those it lost, those that a merge moved, or those that were compared."
    )
    details: dict[str, Any]
    done_by: str = Field(description="The name of the key.")
    at: datetime

    @classmethod
    def of(cls, event: IdentityEvent) -> "Event":
        """As the database has it."""
        return cls(
            id=event.id,
            kind=event.kind,
            identity_id=event.identity_id,
            other_id=event.other_id,
            tracklet_ids=event.tracklet_ids,
            # How a request that is sent again finds what it did is nobody else's concern.
            details={name: value for name, value in event.details.items() if name != "made_by"},
            done_by=event.done_by,
            at=event.at,
        )


class EventPage(BaseModel):
    """Events, newest first."""

    items: list[Event]
    next_cursor: str | None

    @classmethod
    def of(cls, found: Sequence[IdentityEvent], limit: int) -> "EventPage":
        """The first `limit` events of those found; one more tells that there is a next page."""
        page, next_cursor = cut_page(found, limit, lambda event: encode_number(event.id))
        return cls(items=[Event.of(event) for event in page], next_cursor=next_cursor)


class Merged(BaseModel):
    """The identity that was kept, and the event to undo."""

    identity: Identity
    event_id: int


class UnmergedAnswer(BaseModel):
    """The identity that stands for itself again, and what became of the tracklets that the merge had moved."""

    identity: Identity
    restored: list[uuid.UUID] = Field(description="They are its tracklets again.")
    elsewhere: list[uuid.UUID] = Field(description="Somebody assigned or unassigned them since: they stay.")
    gone: list[uuid.UUID] = Field(description="They were deleted since.")


class Appearance(BaseModel):
    """One tracklet of an identity, with times that can be compared over cameras."""

    tracklet_id: uuid.UUID
    camera_id: str
    started_at: datetime | None = Field(description="As it was uploaded, and `time_offset_seconds` added.")
    ended_at: datetime | None = Field(description="As it was uploaded, and `time_offset_seconds` added.")
    time_offset_seconds: float = Field(description="The camera's, now.")
    external_id: str | None
    frame_count: int
    thumbnail_url: str | None

    @classmethod
    def of(cls, stored: StoredTracklet, seen: assignments.Appearance) -> "Appearance":
        """As the database has it."""
        return cls(
            tracklet_id=stored.id,
            camera_id=stored.camera,
            started_at=seen.started_at,
            ended_at=seen.ended_at,
            time_offset_seconds=seen.time_offset_seconds,
            external_id=stored.external_id,
            frame_count=stored.frame_count,
            thumbnail_url=thumbnail_url(stored.id, stored.frame_count),
        )


class AppearancePage(BaseModel):
    """Appearances in order of time; those without a time come last."""

    items: list[Appearance]
    next_cursor: str | None


def _summary(stored: IdentityRecord) -> dict[str, Any]:
    return {
        "id": stored.id,
        "gallery": stored.gallery,
        "name": stored.name,
        "tracklets": stored.tracklets,
        "merged_into": stored.merged_into,
        "version": stored.version,
        "created_at": stored.created_at,
    }
