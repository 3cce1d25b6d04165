"""Jobs as their users see them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import case, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import NotFound
from service.store.tables import GalleryRow, JobRow


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        status: one of queued, running, succeeded, failed, cancelled.
        parameters: what it was asked to do, and what it must remember to go on after a crash.
        result: what came of it, once it is over.
        cancel_requested: somebody wants it to stop; it does so at the next step.
        request_id: the request that asked for it.
    """

    id: uuid.UUID
    kind: str
    gallery: str | None
    status: str
    done: int
    total: int | None
    error: str | None
    result: dict[str, Any] | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    request_id: str | None
    parameters: dict[str, Any] = field(repr=False)


_JOB = select(
    JobRow.id,
    JobRow.kind,
    JobRow.gallery_name.label("gallery"),
    JobRow.status,
    JobRow.done,
    JobRow.total,
    JobRow.error,
    JobRow.result,
    JobRow.cancel_requested,
    JobRow.created_at,
    JobRow.started_at,
    JobRow.finished_at,
    JobRow.request_id,
    JobRow.parameters,
)


async def create(
    connection: AsyncConnection,
    kind: str,
    gallery_id: int | None,
    parameters: Mapping[str, Any] | None = None,
    *,
    job_id: uuid.UUID | None = None,
    request_id: str | None = None,
) -> Job:
    """Write down a queued job.

    Raises:
        NotFound: the gallery was deleted.
    """
    job_id = job_id or uuid.uuid4()
    # Waits for whoever removes it at this moment.
    gallery = select(GalleryRow.name).where(GalleryRow.id == gallery_id).with_for_update(read=True, key_share=True)
    name = await connection.scalar(gallery)
    if gallery_id is not None and name is None:
        raise NotFound("The gallery was deleted.")
    values = {"kind": kind, "gallery_id": gallery_id, "gallery_name": name, "parameters": dict(parameters or {})}
    statement = insert(JobRow).values(id=job_id, request_id=request_id, **values)
    await connection.execute(statement.on_conflict_do_nothing())
    created = await find(connection, job_id)
    assert created is not None
    return created


async def find(connection: AsyncConnection, job_id: uuid.UUID) -> Job | None:
    """The job, if there is one."""
    row = (await connection.execute(_JOB.where(JobRow.id == job_id))).one_or_none()
    return Job(**row._mapping) if row else None


async def list_page(
    connection: AsyncConnection, gallery: str | None, limit: int, before: tuple[datetime, uuid.UUID] | None = None
) -> list[Job]:
    """Up to `limit` jobs, newest first, of one gallery or of all, older than `before` (creation time, id)."""
    statement = _JOB.order_by(JobRow.created_at.desc(), JobRow.id.desc()).limit(limit)
    if gallery is not None:
        statement = statement.where(JobRow.gallery_name == gallery)
    if before is not None:
        statement = statement.where(tuple_(JobRow.created_at, JobRow.id) < tuple_(*before))
    return [Job(**row._mapping) for row in await connection.execute(statement)]


async def count(connection: AsyncConnection) -> dict[tuple[str, str], int]:
    """How many jobs there are of each kind and status."""
    statement = select(JobRow.kind, JobRow.status, func.count()).group_by(JobRow.kind, JobRow.status)
    return {(row[0], row[1]): row[2] for row in await connection.execute(statement)}


async def start(connection: AsyncConnection, job_id: uuid.UUID) -> None:
    """The job runs, for the first time or again."""
    await connection.execute(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(status="running", error=None, started_at=func.coalesce(JobRow.started_at, func.now()), finished_at=None)
    )


async def remember(connection: AsyncConnection, job_id: uuid.UUID, parameters: Mapping[str, Any]) -> None:
    """Keep more parameters, for a run after a crash to find."""
    await connection.execute(
        update(JobRow).where(JobRow.id == job_id).values(parameters=JobRow.parameters.concat(dict(parameters)))
    )


async def progress(connection: AsyncConnection, job_id: uuid.UUID, done: int, total: int | None) -> bool:
    """The job has done this much; whether it should stop."""
    statement = (
        update(JobRow).where(JobRow.id == job_id).values(done=done, total=total).returning(JobRow.cancel_requested)
    )
    return bool(await connection.scalar(statement))


async def lock_uncancelled(connection: AsyncConnection, job_id: uuid.UUID) -> bool:
    """Whether nobody asked the job to stop; nobody can any more until this transaction ends."""
    statement = select(JobRow.cancel_requested).where(JobRow.id == job_id).with_for_update()
    return not await connection.scalar(statement)


async def request_cancel(connection: AsyncConnection, job_id: uuid.UUID) -> Job | None:
    """Ask a job to stop. One that waits is cancelled at once, one that is over stays as it is; None: no such job."""
    waiting = JobRow.status == "queued"
    await connection.execute(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.finished_at.is_(None))
        .values(
            cancel_requested=True,
            status=case((waiting, "cancelled"), else_=JobRow.status),
            finished_at=case((waiting, func.now())),
        )
    )
    return await find(connection, job_id)


async def unfinished(connection: AsyncConnection, gallery_id: int) -> list[uuid.UUID]:
    """Ids of the gallery's jobs that are not over."""
    statement = select(JobRow.id).where(JobRow.gallery_id == gallery_id, JobRow.finished_at.is_(None))
    return list(await connection.scalars(statement.order_by(JobRow.id)))


async def finish(
    connection: AsyncConnection,
    job_id: uuid.UUID,
    status: str,
    error: str | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """The job is over."""
    values: dict[str, Any] = {"status": status, "error": error, "finished_at": func.now()}
    if result is not None:
        values["result"] = dict(result)
    await connection.execute(update(JobRow).where(JobRow.id == job_id).values(**values))


async def lost(connection: AsyncConnection) -> list[Job]:
    """Unfinished jobs that have no entry in the queue any more, locked until this transaction ends."""
    entry = text(
        "NOT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE args ->> 'job_id' = jobs.id::text"
        " AND procrastinate_jobs.status IN ('todo', 'doing'))"
    )
    statement = _JOB.where(JobRow.finished_at.is_(None), entry).with_for_update(of=JobRow, skip_locked=True)
    return [Job(**row._mapping) for row in await connection.execute(statement)]
