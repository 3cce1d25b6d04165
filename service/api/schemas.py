"""What goes over the wire, and the rules that a value must keep before anything else sees it."""

import json
import math
import unicodedata
import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from service.api.served_model import Model
from service.gallery.ranking import Answer, SearchOptions
from service.store.tracklets import StoredTracklet

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LONGEST_LABEL = 1000
_LONGEST_TIME = 64


def _plain_text(value: str) -> str:
    """Refuse what PostgreSQL cannot store (NUL, lone surrogates) and what no name contains.

    U+FFFD is what a decoder puts in the place of bytes that are not UTF-8.
    """
    if any(character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise ValueError("must be UTF-8 without control characters, NUL or lone surrogates")
    return value


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > _LONGEST_TIME:
        raise ValueError(f"must not be longer than {_LONGEST_TIME} characters")
    return value


def _sensible_time(value: datetime) -> datetime:
    if value < EARLIEST:
        raise ValueError("must not be before the year 1900")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must not be after the year 9999") from None


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_text)]
ExternalId = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain_text)]
GalleryName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$",
        description="lower-case letters, digits, `-` and `_`; at most 63",
        examples=["default"],
    ),
]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_short),
    AfterValidator(_sensible_time),
    Field(description="RFC 3339, with time zone"),
]
Cursor = Annotated[str, Field(max_length=200, description="`next_cursor` of the page before.")]
REPEATABLE = ("camera_id", "exclude_camera_id", "identity")
"""Options that may be given several times."""


def _label(value: object) -> object:
    """One rule and one message, where a union of types would give one for each."""
    if isinstance(value, str) and len(value) <= _LONGEST_LABEL:
        return _plain_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= 2**53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError(
        f"must be a text of at most {_LONGEST_LABEL} characters, a finite number up to 2^53, true, false or null"
    )


Label = Annotated[
    Any,
    AfterValidator(_label),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": _LONGEST_LABEL},
                {"type": "number", "minimum": -(2**53), "maximum": 2**53},
                {"type": "boolean"},
                {"type": "null"},
            ]
        }
    ),
]


_LABELS: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[Text, Label])


def _json_labels(value: str) -> str:
    try:
        _LABELS.validate_json(value)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        raise ValueError(f"must be a JSON object of labels: {where + ': ' if where else ''}{found['msg']}") from None
    return value


class Schema(BaseModel):
    """Common to what clients send: unknown fields are refused, since they are misspelt ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrackletMetadata(Schema):
    """The field `metadata` of an upload."""

    camera_id: Text = Field(description="The camera that saw the person; made known by its first use.")
    gallery: GalleryName = "default"
    external_id: ExternalId | None = Field(
        default=None, description="Your own name for the tracklet. Sending it again with the same frames is safe."
    )
    identity: Text | None = Field(default=None, description="The person, where you know who it is.")
    started_at: Moment | None = None
    ended_at: Moment | None = None
    labels: dict[Text, Label] = Field(default_factory=dict)

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

    @model_validator(mode="after")
    def _times_fit(self) -> "TrackletMetadata":
        if self.ended_at is not None and self.started_at is None:
            raise ValueError("ended_at is given without started_at")
        if self.ended_at is not None and self.started_at is not None and self.ended_at < self.started_at:
            raise ValueError("ended_at is before started_at")
        return self

    def labels_size(self) -> int:
        """Bytes of the labels as JSON."""
        return len(json.dumps(self.labels).encode())


class SearchParameters(Schema):
    """Options of a search."""

    k: int = Field(default=20, ge=1, le=1000, description="Places in the answer at most.")
    gallery: GalleryName = "default"
    camera_id: list[Text] = Field(default=[], max_length=100, description="Only these cameras; repeatable.")
    exclude_camera_id: list[Text] = Field(default=[], max_length=100, description="Not these cameras; repeatable.")
    exclude_query_camera: bool = Field(default=False, description="Not the camera that saw the query.")
    started_after: Moment | None = Field(
        default=None, description="Only tracklets that started then or later; those without a start do not pass."
    )
    ended_before: Moment | None = Field(
        default=None, description="Only tracklets that ended then or earlier; those without an end do not pass."
    )
    identity: list[Text] = Field(default=[], max_length=100, description="Only these people; repeatable.")
    identity_known: bool | None = Field(
        default=None, description="`true`: only tracklets with an identity; `false`: only those without."
    )
    labels: Annotated[str, Field(max_length=16 * 1024), AfterValidator(_json_labels)] | None = Field(
        default=None,
        description="Only tracklets that have all of these labels, as a JSON object.",
        examples=['{"direction": "in"}'],
    )
    min_frames: int | None = Field(default=None, ge=1, le=1_000_000, description="Only tracklets of so many frames.")
    min_score: float | None = Field(
        default=None, ge=-1, le=1, allow_inf_nan=False, description="Least cosine similarity."
    )

    def options(self) -> SearchOptions:
        """The same, as the gallery room takes it."""
        return SearchOptions(
            gallery=self.gallery,
            k=self.k,
            cameras=frozenset(self.camera_id),
            excluded_cameras=frozenset(self.exclude_camera_id),
            exclude_query_camera=self.exclude_query_camera,
            started_after=self.started_after,
            ended_before=self.ended_before,
            identities=frozenset(self.identity),
            identity_known=self.identity_known,
            labels={} if self.labels is None else json.loads(self.labels),
            min_frames=self.min_frames,
            min_score=self.min_score,
        )


class TrackletSearchParameters(SearchParameters):
    """Options of a search by a stored tracklet."""

    query_id: uuid.UUID = Field(description="Id of a tracklet in the gallery.")


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
    created_at: datetime
    thumbnail_url: str
    frame_urls: list[str]

    @classmethod
    def of(cls, stored: StoredTracklet) -> "Tracklet":
        """As the database has it."""
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
            created_at=stored.created_at,
            thumbnail_url=thumbnail_url(stored),
            frame_urls=[frame_url(stored.id, position) for position in range(stored.frame_count)],
        )


class StoredAnswer(Tracklet):
    """A tracklet that was just stored, and the model that described it."""

    model_id: str


class TrackletPage(BaseModel):
    """Tracklets, newest first."""

    items: list[Tracklet]
    next_cursor: str | None


class Result(BaseModel):
    """One place of a ranking."""

    rank: int
    tracklet_id: uuid.UUID
    score: float = Field(description="Cosine similarity, -1 to 1.")
    camera_id: str
    identity: str | None
    external_id: str | None
    started_at: datetime | None
    ended_at: datetime | None
    thumbnail_url: str


class Ranking(BaseModel):
    """An answer: who ranked, and the places, best first."""

    query_id: uuid.UUID | None
    gallery: str
    model_id: str
    model: Model
    generation: int
    took_ms: float
    results: list[Result]

    @classmethod
    def of(cls, answer: Answer, gallery: str, query_id: uuid.UUID | None, took_ms: float) -> "Ranking":
        """As the gallery room answered."""
        return cls(
            query_id=query_id,
            gallery=gallery,
            model_id=answer.model.id,
            model=Model.of(answer.model),
            generation=answer.generation,
            took_ms=round(took_ms, 3),
            results=[
                Result(
                    rank=place.rank,
                    tracklet_id=place.tracklet.id,
                    score=place.score,
                    camera_id=place.tracklet.camera,
                    identity=place.tracklet.identity,
                    external_id=place.tracklet.external_id,
                    started_at=place.tracklet.started_at,
                    ended_at=place.tracklet.ended_at,
                    thumbnail_url=thumbnail_url(place.tracklet),
                )
                for place in answer.results
            ],
        )


def frame_url(tracklet_id: uuid.UUID, position: int) -> str:
    """Where a frame's bytes are."""
    return f"/tracklets/{tracklet_id}/frames/{position}"


def thumbnail_url(stored: StoredTracklet) -> str:
    """The middle frame stands for the tracklet: the first and last ones are often cut off."""
    return frame_url(stored.id, stored.frame_count // 2)
