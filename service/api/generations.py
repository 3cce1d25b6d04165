"""Generations: which indexes a gallery has, going back to one, and removing one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from service.api.admin_schemas import AdminListParameters, GenerationAnswer, GenerationPage, JobAnswer
from service.api.creating import CreatingRoute
from service.api.cursors import cut_page, decode_number, encode_number
from service.api.dependencies import AdminKey, ServiceDep, single_valued
from service.api.problems import problems
from service.errors import GenerationServing, NotFound
from service.jobs import reindex
from service.runtime import Service
from service.store import galleries as gallery_store
from service.store import generations as store
from service.store.jobs import Job

router = APIRouter(
    prefix="/admin/generations", tags=["admin"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)

GenerationId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("", operation_id="listGenerations", responses=problems(401, 403, 404, 422, 503))
async def list_generations(
    parameters: Annotated[AdminListParameters, Query()], caller: AdminKey, service: ServiceDep
) -> GenerationPage:
    """List generations, newest first."""
    before = decode_number(parameters.cursor) if parameters.cursor else None
    async with service.database.reading() as connection:
        if parameters.gallery is not None:
            await gallery_store.get(connection, parameters.gallery)
        found = await store.list_page(connection, parameters.gallery, parameters.limit + 1, before)
    page, next_cursor = cut_page(found, parameters.limit, lambda generation: encode_number(generation.id))
    return GenerationPage(
        items=[GenerationAnswer.of(generation) for generation in page],
        next_cursor=next_cursor,
    )


@router.post(
    "/{generation_id}/activate",
    operation_id="activateGeneration",
    status_code=202,
    responses=problems(401, 403, 404, 422, 503),
)
async def activate_generation(
    generation_id: GenerationId, response: Response, caller: AdminKey, service: ServiceDep
) -> JobAnswer:
    """Make a generation the serving one, as a job: going back to it, or going on with one that was not finished.

    Tracklets that its model has not described yet are described first.
    """
    return await _start(reindex.ACTIVATE, generation_id, response, service)


@router.delete(
    "/{generation_id}",
    operation_id="purgeGeneration",
    status_code=202,
    responses=problems(401, 403, 404, 422, 503, GenerationServing),
)
async def purge_generation(
    generation_id: GenerationId, response: Response, caller: AdminKey, service: ServiceDep
) -> JobAnswer:
    """Remove a generation that does not serve, as a job, with the descriptors that only it needed."""
    return await _start(reindex.PURGE, generation_id, response, service)


async def _start(kind: str, generation_id: int, response: Response, service: Service) -> JobAnswer:
    async with service.database.transaction() as connection:
        generation = await store.find(connection, generation_id)
        if generation is None:
            raise NotFound(f"There is no generation {generation_id}; GET /admin/generations lists them.")
        if generation.serving and kind == reindex.PURGE:
            raise GenerationServing(
                f"Generation {generation_id} serves gallery {generation.gallery}; activate another one first."
            )
        job: Job = await service.jobs.enqueue(connection, kind, generation.gallery_id, {"generation_id": generation_id})
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobAnswer.of(job)
