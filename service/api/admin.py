"""Administration of galleries."""

from fastapi import APIRouter, Request, Response

from service.api.dependencies import AdminKey, ServiceDep
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.api.schemas import JobAnswer, ReindexRequest
from service.errors import ModelConflict, NotFound
from service.jobs import reindex
from service.store import galleries as gallery_store

router = APIRouter(prefix="/admin", tags=["admin"])


@router.post(
    "/reindex",
    operation_id="reindex",
    status_code=202,
    responses=problems(401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=json_body(ReindexRequest, required=False),
)
async def start_reindex(request: Request, response: Response, caller: AdminKey, service: ServiceDep) -> JobAnswer:
    """Rebuild a gallery's index from the database, as a job, while searches go on with the present one."""
    wanted = await read_json(request, ReindexRequest, empty=ReindexRequest())
    async with service.database.transaction() as connection:
        gallery = await gallery_store.find(connection, wanted.gallery)
        if gallery is None:
            raise NotFound(f"There is no gallery {wanted.gallery!r}.")
        if wanted.model_id not in (None, gallery.model_id):
            raise ModelConflict(
                f"Gallery {gallery.name} is indexed under model {gallery.model_id}. Moving a gallery to another model "
                "is not possible yet; leave model_id out to rebuild under the present one."
            )
        job = await service.jobs.enqueue(connection, reindex.KIND, gallery.id)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobAnswer.of(job)
