"""Administration of galleries."""

from fastapi import APIRouter, Response

from service.api.dependencies import AdminKey, ServiceDep
from service.api.problems import problems
from service.api.schemas import JobAnswer, ReindexRequest
from service.errors import ModelConflict, NotFound
from service.jobs import reindex
from service.store import galleries as gallery_store

router = APIRouter(prefix="/admin", tags=["admin"])


@router.post(
    "/reindex", operation_id="reindex", status_code=202, responses=problems(400, 401, 403, 404, 409, 413, 422, 503)
)
async def start_reindex(
    response: Response, caller: AdminKey, service: ServiceDep, body: ReindexRequest | None = None
) -> JobAnswer:
    """Rebuild a gallery's index from the database, as a job, while searches go on with the present one."""
    wanted = body or ReindexRequest()
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
