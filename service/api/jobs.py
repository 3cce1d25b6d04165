"""Jobs: how far long work is."""

import uuid

from fastapi import APIRouter

from service.api.dependencies import ReadKey, ServiceDep
from service.api.problems import problems
from service.api.schemas import JobAnswer
from service.errors import NotFound
from service.store import jobs as store

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("/{job_id}", operation_id="getJob", responses=problems(401, 403, 404, 422, 503))
async def get_job(job_id: uuid.UUID, caller: ReadKey, service: ServiceDep) -> JobAnswer:
    """Read a job's status and progress."""
    async with service.database.reading() as connection:
        job = await store.find(connection, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return JobAnswer.of(job)
