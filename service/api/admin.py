"""Administration of galleries."""

from fastapi import APIRouter, Request, Response

from service.api.admin_schemas import JobAnswer, ReindexRequest
from service.api.creating import CreatingRoute
from service.api.dependencies import AdminKey, ServiceDep
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.errors import NotFound
from service.jobs import reindex
from service.store import galleries as gallery_store
from service.store import models as model_store

router = APIRouter(prefix="/admin", tags=["admin"], route_class=CreatingRoute)


@router.post(
    "/reindex",
    operation_id="reindex",
    status_code=202,
    responses=problems(401, 403, 404, 413, 415, 422, 503),
    openapi_extra=json_body(ReindexRequest, required=False),
)
async def start_reindex(request: Request, response: Response, caller: AdminKey, service: ServiceDep) -> JobAnswer:
    """Build a gallery's next generation, as a job, while searches go on with the present one; then switch to it.

    Under another model, every tracklet is described again from its stored frames.
    """
    wanted = await read_json(request, ReindexRequest, empty=ReindexRequest())
    async with service.database.transaction() as connection:
        gallery = await gallery_store.find(connection, wanted.gallery)
        if gallery is None:
            raise NotFound(f"There is no gallery {wanted.gallery!r}.")
        if wanted.model_id is not None and await model_store.find(connection, wanted.model_id) is None:
            raise NotFound(f"There is no model {wanted.model_id!r}; GET /admin/models lists them.")
        parameters = {} if wanted.model_id is None else {"model_id": wanted.model_id}
        job = await service.jobs.enqueue(connection, reindex.REINDEX, gallery.id, parameters)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobAnswer.of(job)
