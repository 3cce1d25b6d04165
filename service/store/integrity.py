"""What the database says of a gallery, for those who compare it with files and indexes."""

import uuid
from collections.abc import Sequence

from sqlalchemy import distinct, func, literal, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import DescriptorRow, FrameRow, TrackletRow

_REPLACE = text("""
    INSERT INTO descriptors (tracklet_id, model_id, vector, frames, purity)
    SELECT id, :model_id, :vector, LEAST(frame_count, :frame_cap), CAST(:purity AS real)
    FROM tracklets WHERE id = :tracklet_id
    ON CONFLICT (tracklet_id, model_id) DO UPDATE
    SET vector = EXCLUDED.vector, frames = EXCLUDED.frames, purity = EXCLUDED.purity, given = false
""")


async def count(connection: AsyncConnection, gallery_id: int) -> tuple[int, int, int]:
    """Tracklets, frames, and different frame files of the gallery."""
    tracklets = select(func.count()).select_from(TrackletRow).where(TrackletRow.gallery_id == gallery_id)
    frames = select(func.count(), func.count(distinct(FrameRow.sha256))).where(FrameRow.gallery_id == gallery_id)
    rows, files = (await connection.execute(frames)).one()
    return (await connection.execute(tracklets)).scalar_one(), rows, files


async def with_wrong_frame_rows(connection: AsyncConnection, gallery_id: int) -> list[uuid.UUID]:
    """Tracklets whose frames are not those that were uploaded: their numbers have gaps, or their digest is another."""
    hashes = func.string_agg(FrameRow.sha256, aggregate_order_by(literal(b""), FrameRow.position))
    statement = (
        select(TrackletRow.id)
        .outerjoin(FrameRow, FrameRow.tracklet_id == TrackletRow.id)
        .where(TrackletRow.gallery_id == gallery_id)
        .group_by(TrackletRow.id)
        .having(
            (func.count(FrameRow.position) != TrackletRow.frame_count)
            | (func.max(FrameRow.position) != TrackletRow.frame_count - 1)
            | (func.min(FrameRow.position) != 0)
            | (func.sha256(hashes) != TrackletRow.frames_digest)
        )
        .order_by(TrackletRow.id)
    )
    return list(await connection.scalars(statement))


async def files_after(
    connection: AsyncConnection, gallery_id: int, digest: bytes, limit: int
) -> list[tuple[bytes, int]]:
    """SHA-256 and size of the gallery's frame files after `digest`, in order, at most `limit`."""
    statement = (
        select(FrameRow.sha256, func.max(FrameRow.size))
        .where(FrameRow.gallery_id == gallery_id, FrameRow.sha256 > digest)
        .group_by(FrameRow.sha256)
        .order_by(FrameRow.sha256)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await connection.execute(statement)]


async def using(connection: AsyncConnection, gallery_id: int, digests: Sequence[bytes]) -> list[uuid.UUID]:
    """Tracklets of the gallery that have one of these files as a frame."""
    # One array, where IN would make a parameter of each: PostgreSQL takes 65,535, and a folder may be lost as a whole.
    wanted = select(text("hash")).select_from(text("unnest(CAST(:hashes AS bytea[])) AS hash"))
    statement = (
        select(FrameRow.tracklet_id)
        .where(FrameRow.gallery_id == gallery_id, FrameRow.sha256.in_(wanted))
        .distinct()
        .order_by(FrameRow.tracklet_id)
    )
    return list(await connection.scalars(statement, {"hashes": list(digests)}))


async def tracklets_after(
    connection: AsyncConnection, gallery_id: int, tracklet_id: uuid.UUID, limit: int
) -> list[uuid.UUID]:
    """Ids of the gallery's tracklets that have frames, after this one, in order, at most `limit`."""
    statement = (
        select(TrackletRow.id)
        .where(TrackletRow.gallery_id == gallery_id, TrackletRow.frame_count > 0, TrackletRow.id > tracklet_id)
        .order_by(TrackletRow.id)
        .limit(limit)
    )
    return list(await connection.scalars(statement))


async def some_tracklets(connection: AsyncConnection, gallery_id: int, size: int) -> list[uuid.UUID]:
    """Ids of tracklets of the gallery that have frames, chosen at random."""
    statement = (
        select(TrackletRow.id)
        .where(TrackletRow.gallery_id == gallery_id, TrackletRow.frame_count > 0)
        .order_by(func.random())
        .limit(size)
    )
    return list(await connection.scalars(statement))


async def vectors_made_here(
    connection: AsyncConnection, model_id: str, tracklet_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, bytes]:
    """The descriptors of the model, as they are stored, by tracklet, without those that came with their tracklet."""
    statement = select(DescriptorRow.tracklet_id, DescriptorRow.vector).where(
        DescriptorRow.model_id == model_id, DescriptorRow.tracklet_id.in_(tracklet_ids), ~DescriptorRow.given
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}


async def lock_tracklet(connection: AsyncConnection, tracklet_id: uuid.UUID) -> bool:
    """Whether the tracklet is stored; nobody can delete it until this transaction ends."""
    statement = select(TrackletRow.id).where(TrackletRow.id == tracklet_id).with_for_update(key_share=True)
    return await connection.scalar(statement) is not None


async def replace_descriptor(
    connection: AsyncConnection,
    tracklet_id: uuid.UUID,
    model_id: str,
    vector: bytes,
    frame_cap: int,
    purity: float | None,
) -> None:
    """Put a descriptor, of at most `frame_cap` frames, in the place of the one that is there, if there is one."""
    values = {"tracklet_id": tracklet_id, "model_id": model_id, "vector": vector, "frame_cap": frame_cap}
    await connection.execute(_REPLACE, values | {"purity": purity})
