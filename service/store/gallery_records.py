"""What is said of galleries, what is in them, and how they are removed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, distinct, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import NotFound
from service.store import gallery_locks
from service.store.changes import CHANNEL
from service.store.tables import (
    CameraRow,
    ChangeRow,
    FrameRow,
    GalleryRow,
    GenerationRow,
    JobRow,
    ModelRow,
    Table,
    TrackletRow,
)


@dataclass(frozen=True)
class GalleryRecord:
    """A gallery as its users see it.

    Attributes:
        version: counts the changes of what is said of it.
    """

    id: int
    name: str
    description: str | None
    purpose: str | None
    legal_basis: str | None
    frame_cap: int | None
    version: int
    model_id: str
    model_name: str
    generation: int
    change: int
    created_at: datetime


@dataclass(frozen=True)
class GalleryStatistics:
    """How much a gallery holds.

    Attributes:
        files: different frame files, and `bytes` their size together.
        identities: different people that tracklets are known to be.
        first_start, last_start: of the tracklets whose start is known, as they were uploaded.
    """

    tracklets: int
    frames: int
    files: int
    bytes: int
    identities: int
    cameras: int
    first_start: datetime | None
    last_start: datetime | None


_RECORD = (
    select(
        GalleryRow.id,
        GalleryRow.name,
        GalleryRow.description,
        GalleryRow.purpose,
        GalleryRow.legal_basis,
        GalleryRow.frame_cap,
        GalleryRow.version,
        GenerationRow.model_id,
        func.coalesce(ModelRow.provenance["name"].astext, "unnamed"),
        GalleryRow.generation,
        GalleryRow.change,
        GalleryRow.created_at,
    )
    .join(GenerationRow, and_(GenerationRow.gallery_id == GalleryRow.id, GenerationRow.number == GalleryRow.generation))
    .join(ModelRow, ModelRow.id == GenerationRow.model_id)
    .where(~GalleryRow.deleting)
)


async def find(connection: AsyncConnection, name: str, *, lock: bool = False) -> GalleryRecord | None:
    """The gallery called `name`, if there is one; with `lock`, nobody changes it until this transaction ends."""
    statement = _RECORD.where(GalleryRow.name == name)
    if lock:
        statement = statement.with_for_update(of=GalleryRow, key_share=True)
    row = (await connection.execute(statement)).one_or_none()
    return GalleryRecord(*row) if row else None


async def get(connection: AsyncConnection, name: str, *, lock: bool = False) -> GalleryRecord:
    """As `find`.

    Raises:
        NotFound: there is no such gallery.
    """
    found = await find(connection, name, lock=lock)
    if found is None:
        raise NotFound(f"There is no gallery {name!r}.")
    return found


async def list_page(connection: AsyncConnection, limit: int, after: int | None = None) -> list[GalleryRecord]:
    """Up to `limit` galleries, oldest first; those with an id above `after`."""
    statement = _RECORD.order_by(GalleryRow.id).limit(limit)
    if after is not None:
        statement = statement.where(GalleryRow.id > after)
    return [GalleryRecord(*row) for row in await connection.execute(statement)]


async def count(connection: AsyncConnection, gallery_id: int) -> GalleryStatistics:
    """What the gallery holds now."""
    files = (
        select(func.max(FrameRow.size).label("size"), func.count().label("frames"))
        .where(FrameRow.gallery_id == gallery_id)
        .group_by(FrameRow.sha256)
        .subquery()
    )
    frames, different, size = (
        await connection.execute(
            select(func.coalesce(func.sum(files.c.frames), 0), func.count(), func.coalesce(func.sum(files.c.size), 0))
        )
    ).one()
    tracklets, identities, first, last = (
        await connection.execute(
            select(
                func.count(),
                func.count(distinct(TrackletRow.identity)),
                func.min(TrackletRow.started_at),
                func.max(TrackletRow.started_at),
            ).where(TrackletRow.gallery_id == gallery_id)
        )
    ).one()
    cameras = select(func.count()).select_from(CameraRow).where(CameraRow.gallery_id == gallery_id)
    seen_by = (await connection.execute(cameras)).scalar_one()
    return GalleryStatistics(tracklets, int(frames), different, int(size), identities, seen_by, first, last)


async def change(connection: AsyncConnection, gallery_id: int, values: Mapping[str, Any]) -> int:
    """Say something else of the gallery; the number of the rules that know of it. Locks the gallery's row."""
    changed = {**values, "version": GalleryRow.version + 1, "rules": GalleryRow.rules + 1}
    statement = update(GalleryRow).where(GalleryRow.id == gallery_id).values(**changed).returning(GalleryRow.rules)
    number = (await connection.execute(statement)).scalar_one()
    await announce(connection, gallery_id)
    return number


async def announce(connection: AsyncConnection, gallery_id: int) -> None:
    """Have every process look at the gallery when this transaction is committed."""
    values = {"channel": CHANNEL, "payload": str(gallery_id)}
    await connection.execute(text("SELECT pg_notify(:channel, :payload)"), values)


async def mark_deleting(connection: AsyncConnection, gallery_id: int) -> None:
    """From COMMIT on the gallery is there for nobody but the job that removes it.

    Locks the gallery's row: who waits to number a change finds out.
    """
    statement = update(GalleryRow).where(GalleryRow.id == gallery_id, ~GalleryRow.deleting).values(deleting=True)
    await connection.execute(statement)
    await announce(connection, gallery_id)


@dataclass(frozen=True)
class Deletable:
    """A gallery that may be deleted, or is being; `job_runs` while a job for that waits or runs."""

    id: int
    version: int
    job_runs: bool


async def find_for_deletion(connection: AsyncConnection, name: str) -> Deletable | None:
    """The gallery called `name`, also one that is being deleted.

    Nobody changes it, or what is in it, before this transaction ends. Taken before all else.
    """
    gallery_id = await connection.scalar(select(GalleryRow.id).where(GalleryRow.name == name))
    if gallery_id is None:
        return None
    await gallery_locks.lock_exclusively(connection, gallery_id)
    await connection.execute(select(GalleryRow.id).where(GalleryRow.id == gallery_id).with_for_update(key_share=True))
    # After the wait: a job that somebody else started meanwhile counts, and so does that the gallery is gone.
    job = select(JobRow.id).where(JobRow.gallery_id == GalleryRow.id, JobRow.finished_at.is_(None))
    statement = select(GalleryRow.id, GalleryRow.version, and_(GalleryRow.deleting, job.exists()))
    row = (await connection.execute(statement.where(GalleryRow.id == gallery_id))).one_or_none()
    return Deletable(*row) if row else None


async def half_deleted(connection: AsyncConnection) -> list[str]:
    """Names of galleries that are being deleted and that no job removes any more."""
    job = select(JobRow.id).where(JobRow.gallery_id == GalleryRow.id, JobRow.finished_at.is_(None))
    return list(await connection.scalars(select(GalleryRow.name).where(GalleryRow.deleting, ~job.exists())))


async def count_tracklets(connection: AsyncConnection, gallery_id: int) -> int:
    """How many tracklets the gallery has."""
    statement = select(func.count()).select_from(TrackletRow).where(TrackletRow.gallery_id == gallery_id)
    return (await connection.execute(statement)).scalar_one()


async def is_there(connection: AsyncConnection, gallery_id: int) -> bool:
    """Whether the gallery's row is there, be it about to be deleted."""
    return await connection.scalar(select(GalleryRow.id).where(GalleryRow.id == gallery_id)) is not None


async def remove_tracklets(connection: AsyncConnection, gallery_id: int, limit: int) -> tuple[int, list[bytes]]:
    """Delete up to `limit` tracklets of a gallery that is being deleted; how many, and the files they had."""
    some = list(await connection.scalars(
        select(TrackletRow.id).where(TrackletRow.gallery_id == gallery_id).order_by(TrackletRow.created_at).limit(limit)
    ))  # fmt: skip
    files = list(await connection.scalars(select(FrameRow.sha256).where(FrameRow.tracklet_id.in_(some)).distinct()))
    await connection.execute(delete(TrackletRow).where(TrackletRow.id.in_(some)))
    return len(some), files


async def remove_changes(connection: AsyncConnection, gallery_id: int, limit: int) -> int:
    """Delete up to `limit` numbered changes of a gallery that is being deleted; how many there were."""
    some = select(ChangeRow.number).where(ChangeRow.gallery_id == gallery_id).order_by(ChangeRow.number).limit(limit)
    statement = delete(ChangeRow).where(ChangeRow.gallery_id == gallery_id, ChangeRow.number.in_(some))
    return (await connection.execute(statement)).rowcount


async def remove(connection: AsyncConnection, gallery_id: int, job_id: Any) -> None:
    """Delete the gallery with all that is left in it; its other jobs are forgotten, this one is kept.

    What belongs to it goes first and the gallery's row last, which is the order in which everybody locks.
    """
    await connection.execute(delete(JobRow).where(JobRow.gallery_id == gallery_id, JobRow.id != job_id))
    await connection.execute(update(JobRow).where(JobRow.id == job_id).values(gallery_id=None))
    for table in reversed(Table.metadata.sorted_tables):
        if "gallery_id" in table.columns and table is not JobRow.__table__:
            await connection.execute(delete(table).where(table.c.gallery_id == gallery_id))
    await connection.execute(delete(GalleryRow).where(GalleryRow.id == gallery_id))
    await announce(connection, gallery_id)
