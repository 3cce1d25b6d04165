"""Identities, what was done to them, and decisions about pairs of tracklets."""

import uuid
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from service.store.tables.base import Moment, Table


class IdentityRow(Table):
    """A person of a gallery. A tracklet names its person by `name`; one that was merged into another has no tracklets.

    `version` counts what people did to it: renamed it, gave it tracklets, took some away, merged.
    """

    __tablename__ = "identities"
    __table_args__ = (UniqueConstraint("gallery_id", "name"), Index(None, "gallery_id", "created_at", "id"))

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    merged_into: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("identities.id", ondelete="CASCADE"), index=True)
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())


class IdentityEventRow(Table):
    """What somebody did. Without foreign keys to what it is about: it stays when that is gone.

    `other_id`: the identity that was merged, or un-merged again; of a decision about a pair, that of the other side.
    `identity_id` is empty in a decision about tracklets that have no identity.
    """

    __tablename__ = "identity_events"
    __table_args__ = (
        Index(None, "gallery_id", "id"),
        Index(None, "identity_id", "id"),
        Index(None, "other_id", "id"),
        Index(None, "tracklet_ids", postgresql_using="gin"),
        CheckConstraint(
            "kind IN ('created', 'renamed', 'assigned', 'unassigned', 'merged', 'unmerged', 'deleted', "
            "'tracklet_deleted', 'confirmed', 'rejected', 'withdrawn')",
            name="kind",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    identity_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    other_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    kind: Mapped[str] = mapped_column(Text)
    tracklet_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(UUID(as_uuid=True)), server_default="{}")
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    done_by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())


class MatchDecisionRow(Table):
    """What somebody decided of two tracklets; `event_id`: what put them into one identity."""

    __tablename__ = "match_decisions"
    __table_args__ = (
        UniqueConstraint("first_id", "second_id"),
        Index(None, "gallery_id", "at", "id"),
        CheckConstraint("first_id < second_id", name="order"),
        CheckConstraint("verdict IN ('same', 'different')", name="verdict"),
    )

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    first_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tracklets.id", ondelete="CASCADE"))
    second_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tracklets.id", ondelete="CASCADE"), index=True)
    verdict: Mapped[Literal["same", "different"]] = mapped_column(Text)
    event_id: Mapped[int | None] = mapped_column(ForeignKey("identity_events.id"))
    decided_by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
