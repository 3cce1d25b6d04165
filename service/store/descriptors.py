"""What models made of stored tracklets, and the frames they make it of."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import exists, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import DescriptorRow, FrameRow, TrackletRow

_ADD = text("""
    INSERT INTO descriptors (tracklet_id, model_id, vector, frames, purity)
    SELECT tracklets.id, :model_id, given.vector, LEAST(tracklets.frame_count, CAST(:frame_cap AS int)), given.purity
    FROM unnest(CAST(:ids AS uuid[]), CAST(:vectors AS bytea[]), CAST(:purities AS real[]))
        AS given (id, vector, purity)
    JOIN tracklets ON tracklets.id = given.id
    FOR KEY SHARE OF tracklets SKIP LOCKED
    ON CONFLICT DO NOTHING
""")

_OTHER_FRAMES = text("""
    SELECT tracklets.id FROM tracklets JOIN descriptors ON tracklet_id = tracklets.id
    WHERE gallery_id = :gallery_id AND model_id = :model_id AND tracklets.id > :after AND NOT given
    AND COALESCE(frames, LEAST(frame_count, :unknown)) <> LEAST(frame_count, :frame_cap)
    ORDER BY tracklets.id LIMIT :limit
""")

_PURGE = text("""
    DELETE FROM descriptors USING tracklets
    WHERE tracklets.id = descriptors.tracklet_id AND tracklets.gallery_id = :gallery_id AND model_id = :model_id
    AND NOT EXISTS (SELECT 1 FROM generations WHERE gallery_id = :gallery_id AND generations.model_id = :model_id)
""")


async def frame_digests(connection: AsyncConnection, tracklet_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[bytes]]:
    """SHA-256 of every frame of those of the tracklets that are stored, in order."""
    statement = (
        select(FrameRow.tracklet_id, FrameRow.sha256)
        .where(FrameRow.tracklet_id.in_(tracklet_ids))
        .order_by(FrameRow.tracklet_id, FrameRow.position)
    )
    digests: dict[uuid.UUID, list[bytes]] = defaultdict(list)
    for tracklet_id, sha256 in await connection.execute(statement):
        digests[tracklet_id].append(sha256)
    return dict(digests)


async def without_frames(connection: AsyncConnection, gallery_id: int, model_id: str) -> list[uuid.UUID]:
    """Tracklets of the gallery that lack a descriptor of the model and have no frames to describe, by id."""
    described = exists().where(DescriptorRow.tracklet_id == TrackletRow.id, DescriptorRow.model_id == model_id)
    statement = (
        select(TrackletRow.id)
        .where(TrackletRow.gallery_id == gallery_id, TrackletRow.frame_count == 0, ~described)
        .order_by(TrackletRow.id)
    )
    return list(await connection.scalars(statement))


async def add(
    connection: AsyncConnection,
    model_id: str,
    vectors: Mapping[uuid.UUID, bytes],
    frame_cap: int | None = None,
    purities: Mapping[uuid.UUID, float | None] | None = None,
) -> None:
    """Keep descriptors (float32 little endian) of those of the tracklets that are stored; one that is there stays.

    They are of at most `frame_cap` frames of a tracklet; None: of all. `purities` are of the same frames.

    A tracklet that somebody is deleting at this moment is passed over and not waited for.
    """
    values: dict[str, Any] = {"model_id": model_id, "frame_cap": frame_cap}
    values |= {"ids": [str(key) for key in vectors], "vectors": list(vectors.values())}
    values["purities"] = [(purities or {}).get(key) for key in vectors]
    await connection.execute(_ADD, values)


async def of_other_frames(
    connection: AsyncConnection,
    gallery_id: int,
    model_id: str,
    frame_cap: int,
    unknown: int,
    after: uuid.UUID,
    limit: int,
) -> list[uuid.UUID]:
    """Tracklets whose descriptor is of another number of frames than `frame_cap` makes it, by id, after this one.

    None are those whose descriptor came with them: that is of nobody knows what.

    Args:
        unknown: the cap that a descriptor was made with where that was not written down.
    """
    values = {"gallery_id": gallery_id, "model_id": model_id, "frame_cap": frame_cap, "unknown": unknown}
    return list(await connection.scalars(_OTHER_FRAMES, {**values, "after": after, "limit": limit}))


async def frames_of(
    connection: AsyncConnection, model_id: str, tracklet_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, int]:
    """Of how many frames the tracklets' descriptors are, where that was written down."""
    statement = select(DescriptorRow.tracklet_id, DescriptorRow.frames).where(
        DescriptorRow.model_id == model_id, DescriptorRow.tracklet_id.in_(tracklet_ids)
    )
    return {row[0]: row[1] for row in await connection.execute(statement) if row[1] is not None}


async def purge(connection: AsyncConnection, gallery_id: int, model_id: str) -> int:
    """Delete the gallery's descriptors of the model, unless a generation of the gallery is of it; how many there were.

    Nobody may add a generation meanwhile: the caller holds the gallery's build lock.
    """
    return (await connection.execute(_PURGE, {"gallery_id": gallery_id, "model_id": model_id})).rowcount
