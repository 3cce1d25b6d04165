"""What was done to identities, and decided of pairs, by whom: written by the transaction that did it, for good."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import and_, insert, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.expression import cast

from service.store.tables import GalleryRow, IdentityEventRow

PlacingKind = Literal[
    "created", "renamed", "assigned", "unassigned", "merged", "unmerged", "deleted", "tracklet_deleted"
]
DecisionKind = Literal["confirmed", "rejected", "withdrawn"]
EventKind = PlacingKind | DecisionKind
DECISIONS: frozenset[str] = frozenset(get_args(DecisionKind))
"""What these say of tracklets changes no identity of any."""


@dataclass(frozen=True)
class IdentityEvent:
    """Something that was done to an identity, or decided of tracklets.

    Attributes:
        id: ascends in the order in which a tracklet's events happened.
        identity_id: None of a decision about tracklets that had no identity then.
        other_id: of `merged` and `unmerged`: the identity that went into `identity_id`, or came out of it again; of a
            decision: that of the other side, where the sides are of two identities.
        tracklet_ids: `created`, `assigned`: what it was given; `unassigned`, `deleted`, `tracklet_deleted`: what it
            lost; `merged`: what came from the other; `unmerged`: what went back; of a decision: what it is about.
        details: `name` and, of `renamed`, `former_name`; `event_id` of an `unmerged`: the merge that it undid;
            `verdict` and `decided_by` of a `withdrawn`: what was taken back; `made_by`: the id that the request under
            an idempotency key gave it.
    """

    id: int
    gallery: str
    identity_id: uuid.UUID | None
    other_id: uuid.UUID | None
    kind: EventKind
    tracklet_ids: list[uuid.UUID]
    details: dict[str, Any]
    done_by: str
    at: datetime


_EVENT = select(
    IdentityEventRow.id,
    GalleryRow.name,
    IdentityEventRow.identity_id,
    IdentityEventRow.other_id,
    IdentityEventRow.kind,
    IdentityEventRow.tracklet_ids,
    IdentityEventRow.details,
    IdentityEventRow.done_by,
    IdentityEventRow.at,
).join(GalleryRow, and_(GalleryRow.id == IdentityEventRow.gallery_id, ~GalleryRow.deleting))


async def add(
    connection: AsyncConnection,
    gallery_id: int,
    identity_id: uuid.UUID | None,
    kind: EventKind,
    done_by: str,
    tracklet_ids: Sequence[uuid.UUID] = (),
    other_id: uuid.UUID | None = None,
    details: dict[str, Any] | None = None,
) -> int:
    """Write an event down; returns its id. The caller holds whatever keeps others from the tracklets."""
    event_id: int | None = await connection.scalar(
        insert(IdentityEventRow)
        .values(
            gallery_id=gallery_id,
            identity_id=identity_id,
            other_id=other_id,
            kind=kind,
            tracklet_ids=list(tracklet_ids),
            details=details or {},
            done_by=done_by,
        )
        .returning(IdentityEventRow.id)
    )
    assert event_id is not None
    return event_id


async def find(connection: AsyncConnection, event_id: int) -> IdentityEvent | None:
    """The event, if there is one."""
    row = (await connection.execute(_EVENT.where(IdentityEventRow.id == event_id))).one_or_none()
    return IdentityEvent(*row) if row else None


async def find_made(connection: AsyncConnection, identity_id: uuid.UUID, made_by: uuid.UUID) -> IdentityEvent | None:
    """The event of the identity that a request under an idempotency key wrote, if it did."""
    statement = _EVENT.where(
        IdentityEventRow.identity_id == identity_id, IdentityEventRow.details["made_by"].astext == str(made_by)
    )
    row = (await connection.execute(statement)).one_or_none()
    return IdentityEvent(*row) if row else None


async def list_page(
    connection: AsyncConnection, identity_id: uuid.UUID, limit: int, before: int | None
) -> list[IdentityEvent]:
    """Up to `limit` events of an identity, newest first, older than event `before`."""
    statement = (
        _EVENT.where(or_(IdentityEventRow.identity_id == identity_id, IdentityEventRow.other_id == identity_id))
        .order_by(IdentityEventRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(IdentityEventRow.id < before)
    return [IdentityEvent(*row) for row in await connection.execute(statement)]


async def list_page_of_tracklet(
    connection: AsyncConnection, tracklet_id: uuid.UUID, limit: int, before: int | None
) -> list[IdentityEvent]:
    """Up to `limit` events that are about a tracklet, newest first, older than event `before`."""
    those = cast([tracklet_id], ARRAY(UUID(as_uuid=True)))
    statement = _EVENT.where(IdentityEventRow.tracklet_ids.contains(those)).order_by(IdentityEventRow.id.desc())
    if before is not None:
        statement = statement.where(IdentityEventRow.id < before)
    return [IdentityEvent(*row) for row in await connection.execute(statement.limit(limit))]


async def after(
    connection: AsyncConnection, gallery_id: int, event_id: int, tracklet_ids: Sequence[uuid.UUID]
) -> list[IdentityEvent]:
    """The gallery's events after `event_id` that are about one of the tracklets, in order."""
    those = cast(list(tracklet_ids), ARRAY(UUID(as_uuid=True)))
    statement = _EVENT.where(
        IdentityEventRow.gallery_id == gallery_id,
        IdentityEventRow.id > event_id,
        IdentityEventRow.tracklet_ids.overlap(those),
    ).order_by(IdentityEventRow.id)
    return [IdentityEvent(*row) for row in await connection.execute(statement)]


async def last_merge(connection: AsyncConnection, kept_id: uuid.UUID, other_id: uuid.UUID) -> int | None:
    """The last event in which `other_id` went into `kept_id`."""
    return await connection.scalar(
        select(IdentityEventRow.id)
        .where(
            IdentityEventRow.identity_id == kept_id,
            IdentityEventRow.other_id == other_id,
            IdentityEventRow.kind == "merged",
        )
        .order_by(IdentityEventRow.id.desc())
        .limit(1)
    )
