"""Which identity a tracklet has, and its labels: what people change of a stored tracklet."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import any_, bindparam, func, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.cameras import by_one_clock
from service.store.identities import IdentityRecord
from service.store.tables import CameraRow, TrackletRow

UNKNOWN_TIME = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
"""Stands for "no time known" where tracklets are ordered by time: it comes last."""

_IDS = any_(bindparam("ids", type_=ARRAY(UUID(as_uuid=True))))


@dataclass(frozen=True)
class Held:
    """A tracklet that nobody else can change before this transaction ends."""

    id: uuid.UUID
    identity: str | None
    version: int


@dataclass(frozen=True)
class Appearance:
    """When an identity was seen; the offset of the camera is in both times."""

    tracklet_id: uuid.UUID
    started_at: datetime | None
    ended_at: datetime | None
    time_offset_seconds: float

    @property
    def place(self) -> tuple[datetime, uuid.UUID]:
        """By this they are ordered."""
        return self.started_at or UNKNOWN_TIME, self.tracklet_id


async def hold(connection: AsyncConnection, gallery_id: int, tracklet_ids: Sequence[uuid.UUID]) -> list[Held]:
    """Those of the tracklets that the gallery has, by id; nobody else can change them before this transaction ends."""
    statement = (
        select(TrackletRow.id, TrackletRow.identity, TrackletRow.version)
        .where(TrackletRow.gallery_id == gallery_id, TrackletRow.id == _IDS)
        .order_by(TrackletRow.id)
        .with_for_update(key_share=True)
    )
    return [Held(*row) for row in await connection.execute(statement, {"ids": list(tracklet_ids)})]


async def gallery_of(connection: AsyncConnection, tracklet_id: uuid.UUID) -> int | None:
    """The gallery that has the tracklet, by its id."""
    return await connection.scalar(select(TrackletRow.gallery_id).where(TrackletRow.id == tracklet_id))


async def assign(connection: AsyncConnection, tracklet_ids: Sequence[uuid.UUID], identity: str | None) -> None:
    """Give held tracklets to an identity, by name, or to nobody."""
    await connection.execute(
        update(TrackletRow).where(TrackletRow.id == _IDS).values(identity=identity, version=TrackletRow.version + 1),
        {"ids": list(tracklet_ids)},
    )


async def label(connection: AsyncConnection, tracklet_id: uuid.UUID, labels: dict[str, Any]) -> None:
    """Give a held tracklet other labels in the place of those that it has."""
    await connection.execute(
        update(TrackletRow).where(TrackletRow.id == tracklet_id).values(labels=labels, version=TrackletRow.version + 1)
    )


async def in_order_of_time(
    connection: AsyncConnection, identity: IdentityRecord, limit: int, after: tuple[datetime, uuid.UUID] | None
) -> list[Appearance]:
    """Up to `limit` tracklets of an identity by (start, id), after this place; those without a time come last."""
    started = by_one_clock(TrackletRow.started_at)
    moment = func.coalesce(started, literal(UNKNOWN_TIME, TrackletRow.started_at.type))
    statement = (
        select(TrackletRow.id, started, by_one_clock(TrackletRow.ended_at), CameraRow.time_offset_seconds)
        .join(CameraRow, CameraRow.id == TrackletRow.camera_id)
        .where(TrackletRow.gallery_id == identity.gallery_id, TrackletRow.identity == identity.name)
        .order_by(moment, TrackletRow.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(moment, TrackletRow.id) > tuple_(*after))
    return [Appearance(*row) for row in await connection.execute(statement)]
