"""Many searches in one request, each answered or refused alone."""

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, ValidationError

from service.api.dependencies import ReadKey, ServiceDep
from service.api.examples.common import OTHER_ID, TRACKLET_ID
from service.api.json_body import MAX_BYTES, read_json
from service.api.problems import Problem, field_errors, problem_document, problems
from service.api.search_schemas import Ranking, TrackletSearchParameters
from service.api.values import Schema
from service.errors import FieldError, InvalidRequest, ServiceError
from service.runtime import Service

router = APIRouter(prefix="/search", tags=["search"])

_AT_A_TIME = 8
"""Queries worked on at a time: the index answers them together, and other callers keep database connections."""

_QUERY_BYTES = 16 * 1024
"""For each query that a batch may have: names of hundreds of people and cameras."""

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["queries"],
                    "additionalProperties": False,
                    "properties": {
                        "queries": {
                            "type": "array",
                            "minItems": 1,
                            "description": "The options of `GET /search`, one object for each query.",
                            "items": TrackletSearchParameters.model_json_schema(),
                        }
                    },
                    "examples": [
                        {"queries": [{"query_id": TRACKLET_ID, "k": 3}, {"query_id": OTHER_ID, "gallery": "archive"}]}
                    ],
                }
            }
        },
    }
}


class BatchParameters(Schema):
    """The JSON body; each query is checked by itself."""

    queries: list[dict[str, Any]] = Field(min_length=1)


class BatchItem(BaseModel):
    """What became of one query: a ranking or a problem."""

    ranking: Ranking | None
    problem: Problem | None


class BatchAnswer(BaseModel):
    """One item for each query, in their order."""

    items: list[BatchItem]


@router.post(
    "/batch", operation_id="searchBatch", responses=problems(401, 403, 413, 415, 422, 503), openapi_extra=_BODY
)
async def search_batch(request: Request, caller: ReadKey, service: ServiceDep) -> BatchAnswer:
    """Answer several searches by stored tracklets; one that fails does not stop the others."""
    limit = service.settings.max_batch_queries
    asked = await read_json(
        request,
        BatchParameters,
        max_bytes=max(limit * _QUERY_BYTES, MAX_BYTES),
        too_large=f"That goes by TFCLIP_MAX_BATCH_QUERIES, which is {limit}. Send several batches, or shorter filters.",
    )
    if len(asked.queries) > limit:
        message = f"at most {limit} in one batch (TFCLIP_MAX_BATCH_QUERIES)"
        raise InvalidRequest(f"body.queries: {message}.", [FieldError("body.queries", message)])
    turns = asyncio.Semaphore(_AT_A_TIME)

    async def answer(query: dict[str, Any]) -> BatchItem:
        async with turns:
            try:
                return BatchItem(ranking=await _search(service, query), problem=None)
            except ServiceError as error:
                return BatchItem(ranking=None, problem=problem_document(error, request.scope))

    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(answer(query)) for query in asked.queries]
    return BatchAnswer(items=[task.result() for task in answers])


async def _search(service: Service, query: dict[str, Any]) -> Ranking:
    began = time.perf_counter()
    try:
        parameters = TrackletSearchParameters.model_validate(query)
    except ValidationError as error:
        errors = field_errors(error)
        raise InvalidRequest(f"{errors[0].location}: {errors[0].message}", errors) from None
    asked = await service.search.prepare.tracklet(parameters.query_id, parameters.options())
    answer = await service.search.answer(asked)
    return Ranking.of(answer, parameters.gallery, parameters.query_id, (time.perf_counter() - began) * 1000)
