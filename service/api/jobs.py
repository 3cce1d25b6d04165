"""Jobs: how far long work is, and stopping it."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from service.api.admin_schemas import AdminListParameters, JobAnswer, JobPage
from service.api.cursors import cut_page, decode_cursor, encode_cursor
from service.api.dependencies import AdminKey, ReadKey, ServiceDep, single_valued
from service.api.problems import problems
from service.errors import JobFinished, JobIrrevocable, NotFound
from service.jobs.deleting import DELETE_GALLERY
from service.store import jobs as store

router = APIRouter(prefix="/jobs", tags=["jobs"], dependencies=[Depends(single_valued)])


@router.get("", operation_id="listJobs", responses=problems(401, 403, 422, 503))
async def list_jobs(
    parameters: Annotated[AdminListParameters, Query()], caller: ReadKey, service: ServiceDep
) -> JobPage:
    """List jobs, newest first."""
    before = decode_cursor(parameters.cursor) if parameters.cursor else None
    async with service.database.reading() as connection:
        found = await store.list_page(connection, parameters.gallery, parameters.limit + 1, before)
    page, next_cursor = cut_page(found, parameters.limit, lambda job: encode_cursor(job.created_at, job.id))
    return JobPage(
        items=[JobAnswer.of(job) for job in page],
        next_cursor=next_cursor,
    )


@router.get("/{job_id}", operation_id="getJob", responses=problems(401, 403, 404, 422, 503))
async def get_job(job_id: uuid.UUID, response: Response, caller: ReadKey, service: ServiceDep) -> JobAnswer:
    """Read a job's status and progress. While it is not over, `Retry-After` says when to ask again."""
    async with service.database.reading() as connection:
        job = await store.find(connection, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    if job.finished_at is None:
        response.headers["Retry-After"] = "1"
    return JobAnswer.of(job)


@router.delete(
    "/{job_id}",
    operation_id="cancelJob",
    status_code=202,
    responses=problems(401, 403, 404, 422, 503, JobFinished, JobIrrevocable),
)
async def cancel_job(job_id: uuid.UUID, response: Response, caller: AdminKey, service: ServiceDep) -> JobAnswer:
    """Ask a job to stop.

    One that waits is cancelled at once. One that runs stops at its next step: its status tells whether it did, or was
    over before.
    """
    async with service.database.transaction() as connection:
        before = await store.find(connection, job_id)
        if before is not None and before.kind == DELETE_GALLERY and before.finished_at is None:
            raise JobIrrevocable("The gallery is gone for everybody already; what is left of it is being removed.")
        job = await store.request_cancel(connection, job_id)
    if job is None or before is None:
        raise NotFound(f"There is no job {job_id}.")
    if before.finished_at is not None:
        raise JobFinished(f"Job {job_id} {'was' if before.status == 'cancelled' else 'has'} {before.status} already.")
    response.headers["Location"] = f"{router.prefix}/{job.id}"
    return JobAnswer.of(job)
