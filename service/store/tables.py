"""The tables. Alembic migrations are the only way they change; `make lint` compares the two."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Moment = DateTime(timezone=True)


class Table(DeclarativeBase):
    """Common to all tables: constraint names that Alembic can refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ModelRow(Table):
    """A model that descriptors in this database were made with."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    dimension: Mapped[int]
    architecture: Mapped[dict[str, Any]] = mapped_column(JSONB)
    image: Mapped[dict[str, Any]] = mapped_column(JSONB)
    provenance: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class GalleryRow(Table):
    """A named set of tracklets searched together. `change` counts its changes without gaps, in commit order."""

    __tablename__ = "galleries"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    change: Mapped[int] = mapped_column(BigInteger, server_default="0")
    generation: Mapped[int] = mapped_column(BigInteger, server_default="1")
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class GenerationRow(Table):
    """One index of one gallery under one model. The gallery's column `generation` names the serving one's number.

    `building`: a job is making it, or was stopped while it did; `ready`: it was complete once, and may serve.
    """

    __tablename__ = "generations"
    __table_args__ = (CheckConstraint("status IN ('building', 'ready')", name="status"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"))
    status: Mapped[str] = mapped_column(Text, server_default="building")
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class CameraRow(Table):
    """A camera of a gallery, made when a tracklet first names it."""

    __tablename__ = "cameras"
    __table_args__ = (UniqueConstraint("gallery_id", "name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class TrackletRow(Table):
    """A stored tracklet. `frames_digest` tells whether a repeated upload brings the same frames."""

    __tablename__ = "tracklets"
    __table_args__ = (
        UniqueConstraint("gallery_id", "external_id"),
        Index(None, "gallery_id", "created_at", "id"),
        CheckConstraint("ended_at >= started_at", name="times"),
    )

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id"), index=True)
    external_id: Mapped[str | None] = mapped_column(Text)
    frames_digest: Mapped[bytes] = mapped_column(LargeBinary)
    identity: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    ended_at: Mapped[datetime | None] = mapped_column(Moment)
    labels: Mapped[dict[str, Any]] = mapped_column(JSONB)
    frame_count: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())


class FrameRow(Table):
    """One frame of a tracklet; its bytes are the file of that SHA-256 in the gallery's folder."""

    __tablename__ = "frames"
    __table_args__ = (Index(None, "gallery_id", "sha256"),)

    tracklet_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tracklets.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    media_type: Mapped[str] = mapped_column(Text)
    width: Mapped[int]
    height: Mapped[int]
    size: Mapped[int]


class DescriptorRow(Table):
    """What a model made of a tracklet: float32 little endian, not normalised."""

    __tablename__ = "descriptors"

    tracklet_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tracklets.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"), primary_key=True, index=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class ChangeRow(Table):
    """What happened to a gallery, by change number: an index follows by reading on from the last one it applied."""

    __tablename__ = "changes"
    __table_args__ = (CheckConstraint("kind IN ('added', 'deleted')", name="kind"),)

    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    tracklet_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())


class KeyRow(Table):
    """An API key, as its SHA-256; the key itself is shown once, when made."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    sha256: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class JobRow(Table):
    """Long work as its user sees it; the queue itself is procrastinate's."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "created_at", "id"),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"),
    )

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    gallery_id: Mapped[int | None] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(Text, server_default="queued")
    done: Mapped[int] = mapped_column(BigInteger, server_default="0")
    total: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
