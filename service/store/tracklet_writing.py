"""Tracklets are stored and deleted: rows of a tracklet, its frames and its descriptors, and the change's number."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import GalleryMoved
from service.store import changes, identities
from service.store import identity_events as events
from service.store.tables import CameraRow, DescriptorRow, FrameRow, GalleryRow, TrackletRow
from service.store.tracklets import FrameRecord, StoredTracklet
from service.store.versions import check_version


@dataclass(frozen=True)
class NewTracklet:
    """A tracklet about to be stored; `descriptors`, float32 little endian, and `purities` are by the id of their model.

    They are of `frame_cap` of its frames, or of all. The descriptor of the model `given` came with the tracklet, if
    there is one; only then it may have no frames.
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
    purities: Mapping[str, float | None] = field(default_factory=dict)
    uploaded_by: str = "anyone"
    key_id: uuid.UUID | None = None

    def as_stored(self, gallery: str, model_id: str, identity: str | None, created_at: datetime) -> StoredTracklet:
        """The same, once it is committed under the name that its identity has, to a gallery that is on this model."""
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
            purity=self.purities.get(model_id),
        )


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
                "purity": tracklet.purities.get(model_id),
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


async def remove(
    connection: AsyncConnection, tracklet_id: uuid.UUID, done_by: str, versions: frozenset[int] | None = None
) -> Deleted | None:
    """Delete the tracklet and number the change; None when it is not stored. Nothing may follow but COMMIT.

    Args:
        versions: those that the caller expects it to have; None: any.

    Raises:
        PreconditionFailed: it has another version.
    """
    if versions is not None:
        held = (
            select(TrackletRow.version)
            .join(GalleryRow, and_(GalleryRow.id == TrackletRow.gallery_id, ~GalleryRow.deleting))
            .where(TrackletRow.id == tracklet_id)
        )
        version = await connection.scalar(held.with_for_update(of=TrackletRow))
        if version is not None:
            check_version(version, versions)
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
