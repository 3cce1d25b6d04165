"""A ranking as a file."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field
from starlette.types import Send

from service.api.dependencies import ReadKey, ServiceDep
from service.api.examples.common import OTHER_ID, STRANGER_ID, TRACKLET_ID
from service.api.frames_query import frames_body, read_frames_query
from service.api.json_body import json_body, read_json
from service.api.problems import FRAMES, problems
from service.api.query import query_options, read_query
from service.api.search_schemas import (
    ExamplesParameters,
    FramesSearchParameters,
    Ranking,
    Result,
    SearchParameters,
    TrackletSearchParameters,
)
from service.errors import CursorExpired, FieldError, IndexNotReady, InvalidRequest, ServiceError
from service.export import csv_rows
from service.gallery.preparing import Prepared
from service.gallery.ranking import Answer
from service.runtime import Service
from service.settings import Settings

router = APIRouter(prefix="/search", tags=["search"])
log = structlog.get_logger(__name__)

_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json", "png": "image/png"}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/json": {"schema": {"$ref": "#/components/schemas/Ranking"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class _ComputedFile(StreamingResponse):
    """A file that is sent while it is computed."""

    async def stream_response(self, send: Send) -> None:
        """Send it; what ends the ranking, as the deletion of its gallery does, breaks it off without an end."""
        try:
            await super().stream_response(send)
        except ServiceError as error:
            # Too late for a problem. uvicorn closes the connection, by which the client knows.
            log.warning("a file broke off", problem=error.code)


class FileParameters(SearchParameters):
    """Options of an export beside the question: those of a search, with more places."""

    format: Literal["csv", "json", "png"] = Field(
        description="`csv`: a table; `json`: a ranking; `png`: the frames of the query and of each place."
    )
    k: int = Field(default=20, ge=1, le=1_000_000, description="Places in the file at most.")


class ExportParameters(FileParameters, TrackletSearchParameters):
    """Options of an export by a stored tracklet."""


class FramesExportParameters(FileParameters, FramesSearchParameters):
    """Options of an export by frames, and where and when they were seen."""


class ExamplesExportParameters(FileParameters, ExamplesParameters):
    """An export by examples: the JSON body."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"positive": [TRACKLET_ID, OTHER_ID], "negative": [STRANGER_ID], "format": "csv", "k": 2000}]
        }
    )


@router.get(
    "/export",
    operation_id="exportSearch",
    response_class=Response,
    responses={**_FILE, **problems(401, 403, 404, 422, 503, CursorExpired, IndexNotReady)},
    openapi_extra=query_options(ExportParameters),
)
async def export_search(request: Request, caller: ReadKey, service: ServiceDep) -> Response:
    """Rank the gallery against a stored tracklet and send the ranking as a file, of more places than one answer has.

    CSV and JSON are sent as they are computed, all from the index that gave the first place; rows that are deleted
    meanwhile are left out. A file that breaks off was not sent to its end.
    """
    began = time.perf_counter()
    given = read_query(request, ExportParameters)
    _check_size(given, service.settings, "query.k")
    asked = await service.search.prepare.tracklet(given.query_id, given.options())

    async def sheet(answer: Answer) -> bytes:
        return await service.sheets.by_tracklet(given.query_id, given.gallery, answer)

    return await _file(service, given, asked, sheet, began, given.query_id)


@router.post(
    "/export",
    operation_id="exportSearchByFrames",
    response_class=Response,
    responses={
        **_FILE,
        **problems(401, 403, 404, 422, 503, CursorExpired, *FRAMES),
    },
    openapi_extra=frames_body(FramesExportParameters),
)
async def export_search_by_frames(request: Request, caller: ReadKey, service: ServiceDep) -> Response:
    """Rank the gallery against frames sent along and send the ranking as a file; nothing is stored.

    Options come as form fields beside `frames`, or in the query string. The sheet shows the frames that were sent.
    """
    began = time.perf_counter()
    # Until the file begins: what follows of a table needs the frames no more.
    async with service.admission:
        frames, given = await read_frames_query(request, service.settings, FramesExportParameters)
        _check_size(given, service.settings, "k")
        asked = await service.search.prepare.frames(frames, given.options(given.sighting()))

        async def sheet(answer: Answer) -> bytes:
            seen = given.query_camera_id, given.query_started_at, given.query_ended_at
            return await service.sheets.by_frames(frames, *seen, given.gallery, answer)

        return await _file(service, given, asked, sheet, began)


@router.post(
    "/examples/export",
    operation_id="exportSearchByExamples",
    response_class=Response,
    responses={**_FILE, **problems(401, 403, 404, 413, 415, 422, 503, CursorExpired, IndexNotReady)},
    openapi_extra=json_body(ExamplesExportParameters),
)
async def export_search_by_examples(request: Request, caller: ReadKey, service: ServiceDep) -> Response:
    """Rank the gallery against several tracklets, and against others, and send the ranking as a file.

    The sheet shows the first frames of the first positive examples.
    """
    began = time.perf_counter()
    given = await read_json(request, ExamplesExportParameters)
    _check_size(given, service.settings, "body.k")
    asked = await service.search.prepare.examples(given.positive, given.negative, given.combine, given.options())

    async def sheet(answer: Answer) -> bytes:
        examples = given.positive, given.negative, given.combine
        return await service.sheets.by_examples(*examples, given.gallery, answer)

    return await _file(service, given, asked, sheet, began)


def _check_size(asked: FileParameters, settings: Settings, location: str) -> None:
    limit, name = settings.max_export_places, "TFCLIP_MAX_EXPORT_PLACES"
    if asked.format == "png":
        limit, name = settings.max_sheet_places, "TFCLIP_MAX_SHEET_PLACES"
    if asked.k > limit:
        message = f"must not be larger than {limit} ({name})"
        raise InvalidRequest(f"{location} {message}.", [FieldError(location, message)])


async def _file(
    service: Service,
    given: FileParameters,
    asked: Prepared,
    sheet: Callable[[Answer], Awaitable[bytes]],
    began: float,
    query_id: uuid.UUID | None = None,
) -> Response:
    """The answer: a sheet as a whole, a table or a document as they are computed.

    Args:
        sheet: draws the sheet of an answer.
        began: when the request did, by `time.perf_counter`.
    """
    pages = service.search.pages(asked, given.k)
    # What can be refused is refused here, before the answer begins.
    first = await anext(pages)
    name = "search" if query_id is None else f"search-{query_id}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.{given.format}"'}
    if given.format == "png":
        return Response(await sheet(first), media_type=_TYPES["png"], headers=headers)
    ranking = Ranking.of(first, given.gallery, query_id, (time.perf_counter() - began) * 1000)
    parts = _csv(first, pages) if given.format == "csv" else _json(ranking, first, pages)
    return _ComputedFile(parts, media_type=_TYPES[given.format], headers=headers)


async def _csv(first: Answer, pages: AsyncIterator[Answer]) -> AsyncIterator[bytes]:
    yield csv_rows.header() + csv_rows.lines(first.results)
    async for page in pages:
        yield csv_rows.lines(page.results)


async def _json(ranking: Ranking, first: Answer, pages: AsyncIterator[Answer]) -> AsyncIterator[bytes]:
    """The ranking with the places of all pages, and the cursor after the last."""
    head = ranking.model_dump_json(exclude={"results", "next_cursor"})
    yield head.removesuffix("}").encode() + b',"results":[' + _results(first)
    cursor = first.next_cursor
    async for page in pages:
        if page.results:
            yield b"," + _results(page)
        cursor = page.next_cursor
    yield f'],"next_cursor":{json.dumps(cursor)}}}'.encode()


def _results(page: Answer) -> bytes:
    return ",".join(Result.of(place).model_dump_json() for place in page.results).encode()
