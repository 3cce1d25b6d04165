"""Health: is the process alive, is it ready, and what does it count."""

import json

from fastapi import APIRouter, Response

from service.api.dependencies import ServiceDep
from service.api.schemas import Readiness, ServedModel
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
    provenance = service.model.provenance
    source = provenance.get("source")
    return Readiness(
        status="not ready" if reasons else "ready",
        reasons=reasons,
        model=ServedModel(
            id=service.model.id,
            trained=bool(provenance.get("trained")),
            source=source if isinstance(source, str | None) else json.dumps(source),
        ),
        galleries={served.name: len(served.index) for served in service.galleries.served()},
    )


@router.get("/metrics", operation_id="metrics", response_class=Response)
async def metrics(service: ServiceDep) -> Response:
    """Metrics in Prometheus' text format."""
    for served in service.galleries.served():
        service.metrics.show_gallery(served.name, len(served.index), service.galleries.lag_seconds(served))
    return Response(service.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
