"""Health: is the process alive, is it ready, and what does it count."""

from fastapi import APIRouter, Response

from service.api.dependencies import ServiceDep
from service.api.served_model import DefaultModel, Readiness
from service.errors import DatabaseUnavailable
from service.gallery.served import ServedGallery
from service.metrics import GalleryState
from service.runtime import Service
from service.store import galleries as gallery_store
from service.store import jobs as job_store

router = APIRouter(tags=["health"])


@router.get("/livez", operation_id="livez")
async def livez() -> dict[str, str]:
    """The process answers. Says nothing about the database: restarting the service would not mend that."""
    return {"status": "alive"}


@router.get("/readyz", operation_id="readyz", responses={503: {"model": Readiness, "description": "Not ready"}})
async def readyz(response: Response, service: ServiceDep) -> Readiness:
    """Whether searches and uploads are answered: the database answers, and every index is loaded and current."""
    reasons = service.galleries.problems()
    try:
        await service.database.ping()
    except DatabaseUnavailable as error:
        reasons.insert(0, error.detail)
    if reasons:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
    return Readiness(
        status="not ready" if reasons else "ready",
        reasons=reasons,
        model=DefaultModel.of(service.model),
        galleries={served.name: len(served.index) for served in service.galleries.served()},
    )


@router.get("/metrics", operation_id="metrics", response_class=Response)
async def metrics(service: ServiceDep) -> Response:
    """Metrics in Prometheus' text format."""
    changes: dict[str, int] = {}
    try:
        async with service.database.reading() as connection:
            changes = {gallery.name: gallery.change for gallery in await gallery_store.list_all(connection)}
            service.metrics.show_jobs(await job_store.count(connection))
    except DatabaseUnavailable:
        # What the process knows by itself is worth the more.
        service.metrics.show_jobs({})
    service.metrics.show_galleries([_state(served, changes, service) for served in service.galleries.served()])
    return Response(service.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _state(served: ServedGallery, changes: dict[str, int], service: Service) -> GalleryState:
    change = changes.get(served.name)
    # The index may have gone on since the database was asked.
    behind = None if change is None else max(0, change - served.index.applied)
    return GalleryState(served.name, len(served.index), service.galleries.lag_seconds(served), behind)
