"""Stored tracklets: one row each, with its frames and its descriptor."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, any_, bindparam, delete, exists, insert, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import GalleryDeleting, GalleryMoved
from service.store import changes, identities
from service.store import identity_events as events
from service.store.tables import CameraRow, DescriptorRow, FrameRow, GalleryRow, TrackletRow

# Advisory locks share one space per database; the class keeps ours apart from other uses.
_FRAMES_LOCK_CLASS = 0x66726D00 << 24


@dataclass(frozen=True)
class FrameRecord:
    """One frame of a tracklet, without its bytes; `sha256` names the file that holds them."""

    sha256: bytes
    media_type: str
    width: int
    height: int
    size: int


@dataclass(frozen=True)
class NewTracklet:
    """A tracklet about to be stored; `descriptors`, float32 little endian, are by the id of their model.

    They are of `frame_cap` of its frames, or of all. The one of the model `given` came with the tracklet, if there is
    one; only then it may have no frames.
    """

    id: uuid.UUID
    camera: str
    external_id: str | None
    identity: str | None
    started_at: datetime | None
    ended_at: datetime | None
    labels: dict[str, Any]
    frames: Sequence[FrameRecord]
    frames_digest: bytes
    descriptors: Mapping[str, bytes]
    frame_cap: int = 1
    given: str | None = None
    purity: float | None = None
    uploaded_by: str = "anyone"
    key_id: uuid.UUID | None = None

    def as_stored(self, gallery: str, identity: str | None, created_at: datetime) -> "StoredTracklet":
        """The same, once it is committed under the name that its identity has."""
        return StoredTracklet(
            id=self.id,
            gallery=gallery,
            camera=self.camera,
            external_id=self.external_id,
            identity=identity,
            started_at=self.started_at,
            ended_at=self.ended_at,
            labels=self.labels,
            frame_count=len(self.frames),
            created_at=created_at,
            frames_digest=self.frames_digest,
            purity=self.purity,
        )


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet as the database has it."""

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


_TRACKLET = (
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
        TrackletRow.purity,
        TrackletRow.version,
    )
    # What is in a gallery that is being deleted is not there any more, for whoever asks.
    .join(GalleryRow, and_(GalleryRow.id == TrackletRow.gallery_id, ~GalleryRow.deleting))
    .join(CameraRow, CameraRow.id == TrackletRow.camera_id)
)
# Built once and of one shape for any number of ids: every search asks it, and building it would cost as much again.
_MANY = _TRACKLET.where(TrackletRow.id == any_(bindparam("ids", type_=ARRAY(UUID(as_uuid=True)))))


async def find(connection: AsyncConnection, tracklet_id: uuid.UUID) -> StoredTracklet | None:
    """The tracklet, if it is stored."""
    row = (await connection.execute(_TRACKLET.where(TrackletRow.id == tracklet_id))).one_or_none()
    return StoredTracklet(*row) if row else None


async def find_many(connection: AsyncConnection, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, StoredTracklet]:
    """Those of the tracklets that are stored, by id."""
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


async def find_descriptor(
    connection: AsyncConnection, gallery_id: int, tracklet_id: uuid.UUID, model_id: str
) -> bytes | None:
    """The tracklet's descriptor under the model (float32 little endian), if the gallery holds both."""
    return await connection.scalar(
        select(DescriptorRow.vector)
        .join(TrackletRow, TrackletRow.id == DescriptorRow.tracklet_id)
        .where(
            TrackletRow.gallery_id == gallery_id,
            DescriptorRow.tracklet_id == tracklet_id,
            DescriptorRow.model_id == model_id,
        )
    )


async def find_camera(connection: AsyncConnection, tracklet_id: uuid.UUID) -> str | None:
    """The name of the camera that saw the tracklet."""
    return await connection.scalar(
        select(CameraRow.name)
        .join(TrackletRow, TrackletRow.camera_id == CameraRow.id)
        .where(TrackletRow.id == tracklet_id)
    )


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


async def store(
    connection: AsyncConnection, gallery_id: int, tracklet: NewTracklet
) -> tuple[int, datetime, str | None]:
    """Insert the tracklet with its frames and descriptors, and number the change. Nothing may follow but COMMIT.

    Returns:
        The number of the change, when the tracklet was created, and the name that its identity has.

    Raises:
        sqlalchemy.exc.IntegrityError: the gallery has its external id already.
        GalleryMoved: the gallery wants descriptors of other models by now than the tracklet brings.
        GalleryDeleting: the gallery is being deleted.
    """
    camera_id = await _find_or_create_camera(connection, gallery_id, tracklet.camera)
    identity = None
    if tracklet.identity is not None:
        identity = await identities.name_for_upload(
            connection, gallery_id, tracklet.identity, tracklet.id, tracklet.uploaded_by
        )
    created_at = await connection.scalar(
        insert(TrackletRow)
        .values(
            id=tracklet.id,
            gallery_id=gallery_id,
            camera_id=camera_id,
            external_id=tracklet.external_id,
            frames_digest=tracklet.frames_digest,
            identity=identity,
            started_at=tracklet.started_at,
            ended_at=tracklet.ended_at,
            labels=tracklet.labels,
            frame_count=len(tracklet.frames),
            purity=tracklet.purity,
            key_id=tracklet.key_id,
        )
        .returning(TrackletRow.created_at)
    )
    assert created_at is not None
    if tracklet.frames:
        await connection.execute(
            insert(FrameRow),
            [
                {
                    "tracklet_id": tracklet.id,
                    "position": position,
                    "gallery_id": gallery_id,
                    "sha256": frame.sha256,
                    "media_type": frame.media_type,
                    "width": frame.width,
                    "height": frame.height,
                    "size": frame.size,
                }
                for position, frame in enumerate(tracklet.frames)
            ],
        )
    await connection.execute(
        insert(DescriptorRow),
        [
            {
                "tracklet_id": tracklet.id,
                "model_id": model_id,
                "vector": vector,
                "frames": min(len(tracklet.frames), tracklet.frame_cap),
                "given": model_id == tracklet.given,
            }
            for model_id, vector in tracklet.descriptors.items()
        ],
    )
    recorded = await changes.record(connection, gallery_id, "added", tracklet.id)
    # Nor one too many: it may be of a generation that is being purged, and nobody would remove it then.
    if recorded.models != tracklet.descriptors.keys():
        raise GalleryMoved("The gallery began to move to another model meanwhile, or ended it; try again.")
    return recorded.number, created_at, identity


async def _find_or_create_camera(connection: AsyncConnection, gallery_id: int, name: str) -> int:
    found = select(CameraRow.id).where(CameraRow.gallery_id == gallery_id, CameraRow.name == name)
    while True:
        # Waits for whoever deletes it at this moment; it is made anew then.
        camera_id = await connection.scalar(found.with_for_update(read=True, key_share=True))
        if camera_id is None:
            camera_id = await connection.scalar(
                insert_or(CameraRow)
                .values(gallery_id=gallery_id, name=name)
                # Waits for a concurrent creator to commit, and is found then. DO UPDATE would lock the row against
                # every other upload of the camera, which may wait for one another's identities.
                .on_conflict_do_nothing()
                .returning(CameraRow.id)
            )
        if camera_id is not None:
            return camera_id


@dataclass(frozen=True)
class Deleted:
    """What a deletion leaves to do: the gallery, the change's number, and the files that may now be orphans."""

    gallery: str
    gallery_id: int
    change: int
    frames: frozenset[bytes]


async def remove(connection: AsyncConnection, tracklet_id: uuid.UUID, done_by: str) -> Deleted | None:
    """Delete the tracklet and number the change; None when it is not stored. Nothing may follow but COMMIT."""
    frames = frozenset(await connection.scalars(select(FrameRow.sha256).where(FrameRow.tracklet_id == tracklet_id)))
    gone = (
        await connection.execute(
            delete(TrackletRow)
            .where(TrackletRow.id == tracklet_id, GalleryRow.id == TrackletRow.gallery_id, ~GalleryRow.deleting)
            .returning(TrackletRow.gallery_id, GalleryRow.name, TrackletRow.identity)
        )
    ).one_or_none()
    if gone is None:
        return None
    if gone.identity is not None:
        # Without a lock on the identity: whoever renames it holds it and waits for this tracklet.
        ids = await identities.ids_of(connection, gone.gallery_id, [gone.identity])
        for identity_id in ids.values():
            await events.add(connection, gone.gallery_id, identity_id, "tracklet_deleted", done_by, [tracklet_id])
    recorded = await changes.record(connection, gone.gallery_id, "deleted", tracklet_id)
    return Deleted(gone.name, gone.gallery_id, recorded.number, frames)


async def lock_frames_shared(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, nobody removes frame files of the gallery. Taken before files are written."""
    await connection.execute(
        text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _FRAMES_LOCK_CLASS + gallery_id}
    )


async def refuse_deleting(connection: AsyncConnection, gallery_id: int) -> None:
    """See whether files may be written for the gallery, under the lock on them.

    Raises:
        GalleryDeleting: it is being deleted, or was.
    """
    statement = select(GalleryRow.id).where(GalleryRow.id == gallery_id, ~GalleryRow.deleting)
    if await connection.scalar(statement) is None:
        raise GalleryDeleting("The gallery is being deleted; try again when that job is done.")


async def lock_frames_exclusively(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, nobody writes frame files of the gallery. Taken before files are removed."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _FRAMES_LOCK_CLASS + gallery_id})


async def unreferenced(connection: AsyncConnection, gallery_id: int, hashes: Sequence[bytes]) -> list[bytes]:
    """Those of `hashes` that no frame of the gallery refers to; none of them when there is no such gallery any more."""
    candidates = select(text("hash")).select_from(text("unnest(CAST(:hashes AS bytea[])) AS hash"))
    statement = candidates.where(~exists().where(FrameRow.gallery_id == gallery_id, FrameRow.sha256 == text("hash")))
    # The folder of a gallery that was deleted may be that of another one by now, of the same name.
    statement = statement.where(exists().where(GalleryRow.id == gallery_id))
    return list(await connection.scalars(statement, {"hashes": list(hashes)}))
