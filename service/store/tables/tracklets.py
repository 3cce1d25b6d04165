"""Tracklets, and what belongs to each; the changes of a gallery."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from service.store.tables.base import Moment, Table


class TrackletRow(Table):
    """A stored tracklet. `frames_digest` tells whether a repeated upload brings the same frames, or
    the same descriptor where it has no frames.

    `version` counts the changes to what is known of it, `key_id` names the key that sent it.
    """

    __tablename__ = "tracklets"
    __table_args__ = (
        UniqueConstraint("gallery_id", "external_id"),
        Index(None, "gallery_id", "created_at", "id"),
        Index(None, "gallery_id", "identity"),
        ForeignKeyConstraint(
            ["gallery_id", "identity"], ["identities.gallery_id", "identities.name"], onupdate="CASCADE"
        ),
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
    key_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("api_keys.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")


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
    """What a model made of a tracklet: float32 little endian, not normalised.

    `frames` says of how many of the tracklet's frames it is; NULL where that was not written down yet.
    One that is `given` came with the tracklet: its frames, if it has any, need not give the same.
    `purity` is how far those frames are of one person, as this model sees them; null where they are too few to say, or
    nobody looked.
    """

    __tablename__ = "descriptors"

    tracklet_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tracklets.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"), primary_key=True, index=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    frames: Mapped[int | None]
    given: Mapped[bool] = mapped_column(server_default=false())
    purity: Mapped[float | None] = mapped_column(REAL)


class ChangeRow(Table):
    """What happened to a gallery, by change number: an index follows by reading on from the last one it applied."""

    __tablename__ = "changes"
    __table_args__ = (CheckConstraint("kind IN ('added', 'deleted', 'updated')", name="kind"),)

    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    tracklet_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
