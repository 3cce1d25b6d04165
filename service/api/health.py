"""Health: is the process alive, is it ready, and what does it count."""

from fastapi import APIRouter, Response

from service.api.dependencies import ServiceDep
from service.api.served_model import DefaultModel, Readiness
from service.errors import DatabaseUnavailable

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
    service.metrics.forget_galleries()
    for served in service.galleries.served():
        service.metrics.show_gallery(served.name, len(served.index), service.galleries.lag_seconds(served))
    return Response(service.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
