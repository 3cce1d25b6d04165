"""Jobs as their users see them."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import GalleryRow, JobRow


@dataclass(frozen=True)
class Job:
    """A job; `status` is one of queued, running, succeeded, failed, cancelled."""

    id: uuid.UUID
    kind: str
    gallery: str | None
    status: str
    done: int
    total: int | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


_JOB = select(
    JobRow.id,
    JobRow.kind,
    GalleryRow.name.label("gallery"),
    JobRow.status,
    JobRow.done,
    JobRow.total,
    JobRow.error,
    JobRow.created_at,
    JobRow.started_at,
    JobRow.finished_at,
).outerjoin(GalleryRow, GalleryRow.id == JobRow.gallery_id)


async def create(connection: AsyncConnection, kind: str, gallery_id: int | None) -> Job:
    """Write down a queued job."""
    job_id = uuid.uuid4()
    await connection.execute(insert(JobRow).values(id=job_id, kind=kind, gallery_id=gallery_id))
    created = await find(connection, job_id)
    assert created is not None
    return created


async def find(connection: AsyncConnection, job_id: uuid.UUID) -> Job | None:
    """The job, if there is one."""
    row = (await connection.execute(_JOB.where(JobRow.id == job_id))).one_or_none()
    return Job(**row._mapping) if row else None


async def start(connection: AsyncConnection, job_id: uuid.UUID, total: int) -> None:
    """The job runs, from the beginning; `total` is what it counts up to."""
    await connection.execute(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(status="running", done=0, total=total, error=None, started_at=func.now(), finished_at=None)
    )


async def progress(connection: AsyncConnection, job_id: uuid.UUID, done: int) -> None:
    """The job has done this much."""
    await connection.execute(update(JobRow).where(JobRow.id == job_id).values(done=done))


async def finish(connection: AsyncConnection, job_id: uuid.UUID, status: str, error: str | None = None) -> None:
    """The job is over."""
    await connection.execute(
        update(JobRow).where(JobRow.id == job_id).values(status=status, error=error, finished_at=func.now())
    )


async def lost(connection: AsyncConnection) -> list[Job]:
    """Unfinished jobs that have no entry in the queue any more, locked until this transaction ends."""
    entry = text(
        "NOT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE args ->> 'job_id' = jobs.id::text"
        " AND procrastinate_jobs.status IN ('todo', 'doing'))"
    )
    statement = _JOB.where(JobRow.finished_at.is_(None), entry).with_for_update(of=JobRow, skip_locked=True)
    return [Job(**row._mapping) for row in await connection.execute(statement)]
