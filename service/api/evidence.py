"""Evidence: frames beside frames, where the network looked, and whether a tracklet is of one person."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse, Response

from service.api.dependencies import ReadKey, ServiceDep, single_valued
from service.api.evidence_schemas import AttentionMap, AttentionParameters, Evidence, EvidenceParameters, Purity
from service.api.problems import problems
from service.errors import FramesUnreadable, IndexNotReady, ModelConflict, NoFrames, QueueFull, Unavailable

router = APIRouter(prefix="/tracklets", tags=["evidence"], dependencies=[Depends(single_valued)])

_PROBLEMS = problems(
    401, 403, 404, 422, 503, NoFrames, FramesUnreadable, ModelConflict, Unavailable, QueueFull, IndexNotReady
)


@router.get("/{tracklet_id}/evidence", operation_id="getEvidence", responses=_PROBLEMS)
async def get_evidence(
    tracklet_id: uuid.UUID, parameters: Annotated[EvidenceParameters, Query()], caller: ReadKey, service: ServiceDep
) -> Evidence:
    """Compare two tracklets of one gallery frame by frame, under the model that serves it."""
    async with service.admission:
        found = await service.evidence.compare(tracklet_id, parameters.against)
    return Evidence.of(tracklet_id, parameters.against, found)


@router.get("/{tracklet_id}/purity", operation_id="getPurity", responses=_PROBLEMS)
async def get_purity(tracklet_id: uuid.UUID, caller: ReadKey, service: ServiceDep) -> Purity:
    """Look for an identity switch inside a tracklet, under the model that serves its gallery. Nothing is stored."""
    async with service.admission:
        judged = await service.evidence.judge(tracklet_id)
    return Purity.of(tracklet_id, judged, service.settings.min_purity)


@router.get(
    "/{tracklet_id}/frames/{position}/attention",
    operation_id="getAttention",
    response_class=Response,
    responses={
        200: {"model": AttentionMap, "content": {"image/png": {}}, "description": "The frame, the redder the more"},
        **_PROBLEMS,
    },
)
async def get_attention(
    tracklet_id: uuid.UUID,
    position: Annotated[int, Path(ge=0, le=1_000_000)],
    parameters: Annotated[AttentionParameters, Query()],
    caller: ReadKey,
    service: ServiceDep,
) -> Response:
    """Where the network looks in a frame: a picture, or with `format=json` the weight of every patch."""
    async with service.admission:
        found = await service.evidence.attention(tracklet_id, position)
        if parameters.format == "json":
            return JSONResponse(AttentionMap.of(tracklet_id, position, found).model_dump(mode="json"))
        picture = await service.evidence.paint(found)
    return Response(picture, media_type="image/png", headers={"X-Content-Type-Options": "nosniff"})
