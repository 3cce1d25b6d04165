"""Search: by a stored tracklet, or by frames that are not stored."""

import time

from fastapi import APIRouter, Request

from service.api.dependencies import ReadKey, ServiceDep
from service.api.json_body import json_body, read_json
from service.api.multipart import Form, read_form
from service.api.problems import problems
from service.api.query import parse_options, query_options, read_query
from service.api.search_schemas import ExamplesParameters, FramesSearchParameters, Ranking, TrackletSearchParameters
from service.errors import FieldError, InvalidRequest

router = APIRouter(prefix="/search", tags=["search"])

_OPTIONS = list(FramesSearchParameters.model_fields)
_SEARCH_SCHEMA = FramesSearchParameters.model_json_schema()
_FRAMES_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["frames"],
                    "properties": {
                        "frames": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "contentMediaType": "image/jpeg"},
                            "description": "The crops in order of time: JPEG, PNG or WebP.",
                        },
                        **_SEARCH_SCHEMA["properties"],
                    },
                }
            }
        },
    }
}


@router.get(
    "",
    operation_id="searchByTracklet",
    responses=problems(401, 403, 404, 409, 422, 503),
    openapi_extra=query_options(TrackletSearchParameters),
)
async def search_by_tracklet(request: Request, caller: ReadKey, service: ServiceDep) -> Ranking:
    """Rank the gallery against a stored tracklet; the query itself is never in the ranking."""
    began = time.perf_counter()
    parameters = read_query(request, TrackletSearchParameters)
    answer = await service.search.by_tracklet(parameters.query_id, parameters.options())
    return Ranking.of(answer, parameters.gallery, parameters.query_id, _milliseconds_since(began))


@router.post(
    "",
    operation_id="searchByFrames",
    responses=problems(400, 401, 403, 404, 409, 413, 415, 422, 503, 507),
    openapi_extra=_FRAMES_BODY,
)
async def search_by_frames(request: Request, caller: ReadKey, service: ServiceDep) -> Ranking:
    """Rank the gallery against frames sent along; nothing is stored.

    Options come as form fields beside `frames`, or in the query string.
    """
    began = time.perf_counter()
    async with service.admission:
        form = await read_form(request, service.settings, _OPTIONS)
        parameters = _parse_options(request, form)
        answer = await service.search.by_frames(form.frames, parameters.options(parameters.sighting()))
    return Ranking.of(answer, parameters.gallery, None, _milliseconds_since(began))


@router.post(
    "/examples",
    operation_id="searchByExamples",
    responses=problems(401, 403, 404, 409, 413, 415, 422, 503),
    openapi_extra=json_body(ExamplesParameters),
)
async def search_by_examples(request: Request, caller: ReadKey, service: ServiceDep) -> Ranking:
    """Rank the gallery against several tracklets at once, and against others; no example is in the ranking."""
    began = time.perf_counter()
    asked = await read_json(request, ExamplesParameters)
    answer = await service.search.by_examples(asked.positive, asked.negative, asked.combine, asked.options())
    return Ranking.of(answer, asked.gallery, None, _milliseconds_since(began))


def _parse_options(request: Request, form: Form) -> FramesSearchParameters:
    given: dict[str, list[str]] = {name: list(values) for name, values in form.fields.items()}
    for name, value in request.query_params.multi_items():
        if name in form.fields:
            raise InvalidRequest(
                f"Option {name!r} is both in the query string and in the form.", [FieldError(name, "given twice")]
            )
        given.setdefault(name, []).append(value)
    parameters = parse_options(FramesSearchParameters, given)
    if parameters.exclude_query_camera and parameters.query_camera_id is None:
        raise InvalidRequest(
            "exclude_query_camera needs the camera of the frames: name it in query_camera_id.",
            [FieldError("exclude_query_camera", "the frames have no camera")],
        )
    return parameters


def _milliseconds_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
