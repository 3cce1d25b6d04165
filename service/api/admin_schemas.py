"""What goes over the wire about keys, jobs and generations."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from service.api.served_model import Model
from service.api.values import Cursor, GalleryName, Name, Schema
from service.store.generations import Generation
from service.store.jobs import Job
from service.store.keys import ApiKey, Scope
from service.store.models import RegisteredModel

RequestsPerMinute = Annotated[
    int | None,
    Field(ge=0, le=1_000_000, description="null: `TFCLIP_REQUESTS_PER_MINUTE` holds; 0: no limit."),
]
MaxTracklets = Annotated[
    int | None,
    Field(ge=0, le=2**53, description="Tracklets it may store; null: `TFCLIP_MAX_TRACKLETS` holds; 0: no limit."),
]


class NewKey(Schema):
    """A key to make."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "gate 2", "scopes": ["write"], "requests_per_minute": 600}]}
    )

    name: Name
    scopes: list[Scope] = Field(min_length=1, max_length=3)
    requests_per_minute: RequestsPerMinute = None
    max_tracklets: MaxTracklets = None


class KeyChange(Schema):
    """What to change of a key; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_tracklets": 100_000}]})

    name: Name | None = None
    requests_per_minute: RequestsPerMinute = None
    max_tracklets: MaxTracklets = None

    @field_validator("name")
    @classmethod
    def _named(cls, value: str | None) -> str | None:
        if value is None:
            raise ValueError("must not be null")
        return value


class ReindexRequest(Schema):
    """What to re-index."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"gallery": "default"}]})

    gallery: GalleryName = "default"
    model_id: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Defaults to the gallery's present model."
    )


class AdminListParameters(Schema):
    """Options of a list over all galleries."""

    gallery: GalleryName | None = Field(default=None, description="Only this gallery.")
    limit: int = Field(default=100, ge=1, le=500)
    cursor: Cursor | None = None


class JobAnswer(BaseModel):
    """A job and how far it is."""

    id: uuid.UUID
    kind: str
    gallery: str | None
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    done: int
    total: int | None
    error: str | None
    result: dict[str, Any] | None = Field(description="What came of it, once it is over.")
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobAnswer":
        """As the database has it."""
        return cls.model_validate(job, from_attributes=True)


class Key(BaseModel):
    """A key, without its secret."""

    id: uuid.UUID
    name: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None
    requests_per_minute: int | None = Field(description="null: `TFCLIP_REQUESTS_PER_MINUTE` holds; 0: no limit.")
    max_tracklets: int | None = Field(description="null: `TFCLIP_MAX_TRACKLETS` holds; 0: no limit.")
    tracklets: int = Field(description="Tracklets that it stored and that are there now.")
    version: int = Field(description="Counts what was changed of it; its ETag.")

    @classmethod
    def of(cls, key: ApiKey, tracklets: int = 0) -> "Key":
        """As the database has it."""
        return cls(
            id=key.id,
            name=key.name,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            revoked_at=key.revoked_at,
            requests_per_minute=key.requests_per_minute,
            max_tracklets=key.max_tracklets,
            tracklets=tracklets,
            version=key.version,
        )


class CreatedKey(Key):
    """A new key, with its secret, which is shown this once."""

    secret: str


class KeyList(BaseModel):
    """Keys, revoked ones too, newest first."""

    items: list[Key]
    next_cursor: str | None


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[JobAnswer]
    next_cursor: str | None


class GenerationAnswer(BaseModel):
    """One index of one gallery under one model."""

    id: int
    gallery: str
    number: int = Field(description="Counts the generations of its gallery; search answers name it.")
    model_id: str
    model_name: str
    status: Literal["building", "ready"] = Field(description="`building` until it was complete once.")
    serving: bool
    created_at: datetime

    @classmethod
    def of(cls, generation: Generation) -> "GenerationAnswer":
        """As the database has it."""
        return cls.model_validate(generation, from_attributes=True)


class GenerationPage(BaseModel):
    """Generations, newest first."""

    items: list[GenerationAnswer]
    next_cursor: str | None


class ModelPath(Schema):
    """A weights file that lies in `models/` of the data directory already."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"path": "mars.safetensors"}]})

    path: str = Field(
        min_length=1, max_length=1000, description="Its path from models/ on.", examples=["mars.safetensors"]
    )


class RegisteredModelAnswer(Model):
    """A model that galleries can be indexed under."""

    dimension: int = Field(description="Numbers in a descriptor.")
    default: bool = Field(description="New galleries are indexed under it.")
    available: bool = Field(description="Its weights are in `models/`.")
    generations: int = Field(description="How many generations are of it.")
    galleries: list[str] = Field(description="The galleries that it serves.")
    created_at: datetime
    provenance: dict[str, Any]

    @classmethod
    def registered(cls, model: RegisteredModel, default: bool, available: bool) -> "RegisteredModelAnswer":
        """As the database has it."""
        return cls(
            **Model.of(model.record).model_dump(),
            dimension=model.record.dimension,
            default=default,
            available=available,
            generations=model.generations,
            galleries=model.galleries,
            created_at=model.created_at,
            provenance=model.record.provenance,
        )


class ModelList(BaseModel):
    """Every model, newest first."""

    items: list[RegisteredModelAnswer]
    next_cursor: str | None = None
