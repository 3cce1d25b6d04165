"""Stored tracklets as they are read: one row each, and its frames."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, any_, bindparam, null, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import CameraRow, DescriptorRow, FrameRow, GalleryRow, GenerationRow, TrackletRow


@dataclass(frozen=True)
class FrameRecord:
    """One frame of a tracklet, without its bytes; `sha256` names the file that holds them."""

    sha256: bytes
    media_type: str
    width: int
    height: int
    size: int


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet as the database has it; `purity` is of the model that serves its gallery."""

    id: uuid.UUID
    gallery: str
    camera: str
    external_id: str | None
    identity: str | None
    started_at: datetime | None
    ended_at: datetime | None
    labels: dict[str, Any]
    frame_count: int
    created_at: datetime
    frames_digest: bytes = field(repr=False)
    purity: float | None = None
    version: int = 1


def _tracklets(purity: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            TrackletRow.id,
            GalleryRow.name,
            CameraRow.name,
            TrackletRow.external_id,
            TrackletRow.identity,
            TrackletRow.started_at,
            TrackletRow.ended_at,
            TrackletRow.labels,
            TrackletRow.frame_count,
            TrackletRow.created_at,
            TrackletRow.frames_digest,
            purity,
            TrackletRow.version,
        )
        # What is in a gallery that is being deleted is not there any more, for whoever asks.
        .join(GalleryRow, and_(GalleryRow.id == TrackletRow.gallery_id, ~GalleryRow.deleting))
        .join(CameraRow, CameraRow.id == TrackletRow.camera_id)
    )


_TRACKLET = (
    _tracklets(DescriptorRow.purity.expression)
    .outerjoin(
        GenerationRow, and_(GenerationRow.gallery_id == GalleryRow.id, GenerationRow.number == GalleryRow.generation)
    )
    .outerjoin(
        DescriptorRow,
        and_(DescriptorRow.tracklet_id == TrackletRow.id, DescriptorRow.model_id == GenerationRow.model_id),
    )
)
# Built once and of one shape for any number of ids: every search asks it, and building it would cost as much again.
_MANY = _tracklets(null()).where(TrackletRow.id == any_(bindparam("ids", type_=ARRAY(UUID(as_uuid=True)))))


async def find(connection: AsyncConnection, tracklet_id: uuid.UUID) -> StoredTracklet | None:
    """The tracklet, if it is stored."""
    row = (await connection.execute(_TRACKLET.where(TrackletRow.id == tracklet_id))).one_or_none()
    return StoredTracklet(*row) if row else None


async def find_many(connection: AsyncConnection, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, StoredTracklet]:
    """Those of the tracklets that are stored, by id, without their purity, which no ranking shows."""
    rows = await connection.execute(_MANY, {"ids": list(ids)})
    return {row.id: StoredTracklet(*row) for row in rows}


async def find_by_external_id(connection: AsyncConnection, gallery: str, external_id: str) -> StoredTracklet | None:
    """The gallery's tracklet of this external id, if there is one."""
    statement = _TRACKLET.where(GalleryRow.name == gallery, TrackletRow.external_id == external_id)
    row = (await connection.execute(statement)).one_or_none()
    return StoredTracklet(*row) if row else None


async def list_page(
    connection: AsyncConnection, gallery: str, limit: int, before: tuple[datetime, uuid.UUID] | None
) -> list[StoredTracklet]:
    """Up to `limit` tracklets of the gallery, newest first, older than `before` (creation time, id)."""
    statement = (
        _TRACKLET.where(GalleryRow.name == gallery)
        .order_by(TrackletRow.created_at.desc(), TrackletRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(tuple_(TrackletRow.created_at, TrackletRow.id) < tuple_(*before))
    return [StoredTracklet(*row) for row in await connection.execute(statement)]


async def find_frame(
    connection: AsyncConnection, tracklet_id: uuid.UUID, position: int
) -> tuple[str, FrameRecord] | None:
    """Gallery name and record of the tracklet's frame at `position`, counted from 0."""
    row = (
        await connection.execute(
            select(
                GalleryRow.name, FrameRow.sha256, FrameRow.media_type, FrameRow.width, FrameRow.height, FrameRow.size
            )
            .join(GalleryRow, and_(GalleryRow.id == FrameRow.gallery_id, ~GalleryRow.deleting))
            .where(FrameRow.tracklet_id == tracklet_id, FrameRow.position == position)
        )
    ).one_or_none()
    return (row[0], FrameRecord(*row[1:])) if row else None
