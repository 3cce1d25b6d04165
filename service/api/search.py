"""Search: by a stored tracklet, by frames that are not stored, or by examples."""

import time

from fastapi import APIRouter, Request

from service.api.dependencies import ReadKey, ServiceDep
from service.api.frames_query import frames_body, read_frames_query
from service.api.json_body import json_body, read_json
from service.api.problems import FRAMES, problems
from service.api.query import query_options, read_query
from service.api.search_schemas import ExamplesParameters, FramesSearchParameters, Ranking, TrackletSearchParameters
from service.errors import CursorExpired, IndexNotReady

router = APIRouter(prefix="/search", tags=["search"])


@router.get(
    "",
    operation_id="searchByTracklet",
    responses=problems(401, 403, 404, 422, 503, CursorExpired, IndexNotReady),
    openapi_extra=query_options(TrackletSearchParameters),
)
async def search_by_tracklet(request: Request, caller: ReadKey, service: ServiceDep) -> Ranking:
    """Rank the gallery against a stored tracklet; the query itself is never in the ranking."""
    began = time.perf_counter()
    parameters = read_query(request, TrackletSearchParameters)
    asked = await service.search.prepare.tracklet(parameters.query_id, parameters.options())
    answer = await service.search.answer(asked)
    return Ranking.of(answer, parameters.gallery, parameters.query_id, _milliseconds_since(began))


@router.post(
    "",
    operation_id="searchByFrames",
    responses=problems(401, 403, 404, 422, 503, CursorExpired, *FRAMES),
    openapi_extra=frames_body(FramesSearchParameters),
)
async def search_by_frames(request: Request, caller: ReadKey, service: ServiceDep) -> Ranking:
    """Rank the gallery against frames sent along; nothing is stored.

    Options come as form fields beside `frames`, or in the query string.
    """
    began = time.perf_counter()
    async with service.admission:
        frames, parameters = await read_frames_query(request, service.settings, FramesSearchParameters)
        asked = await service.search.prepare.frames(frames, parameters.options(parameters.sighting()))
        answer = await service.search.answer(asked)
    return Ranking.of(answer, parameters.gallery, None, _milliseconds_since(began))


@router.post(
    "/examples",
    operation_id="searchByExamples",
    responses=problems(401, 403, 404, 413, 415, 422, 503, CursorExpired, IndexNotReady),
    openapi_extra=json_body(ExamplesParameters),
)
async def search_by_examples(request: Request, caller: ReadKey, service: ServiceDep) -> Ranking:
    """Rank the gallery against several tracklets at once, and against others; no example is in the ranking."""
    began = time.perf_counter()
    parameters = await read_json(request, ExamplesParameters)
    asked = await service.search.prepare.examples(
        parameters.positive, parameters.negative, parameters.combine, parameters.options()
    )
    answer = await service.search.answer(asked)
    return Ranking.of(answer, parameters.gallery, None, _milliseconds_since(began))


def _milliseconds_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
