"""A ranking as a file."""

import json
import time
from collections.abc import AsyncIterator
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from service.api.dependencies import ReadKey, ServiceDep
from service.api.problems import problems
from service.api.query import query_options, read_query
from service.api.search_schemas import Ranking, Result, TrackletSearchParameters
from service.errors import FieldError, InvalidRequest
from service.export import csv_rows
from service.gallery.ranking import Answer
from service.settings import Settings

router = APIRouter(prefix="/search", tags=["search"])

_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json", "png": "image/png"}


class ExportParameters(TrackletSearchParameters):
    """Options of an export: those of a search, with more places."""

    format: Literal["csv", "json", "png"] = Field(
        description="`csv`: a table; `json`: a ranking; `png`: the frames of the query and of each place."
    )
    k: int = Field(default=20, ge=1, le=1_000_000, description="Places in the file at most.")


@router.get(
    "/export",
    operation_id="exportSearch",
    response_class=Response,
    responses={
        200: {
            "description": "The file",
            "content": {
                "text/csv": {"schema": {"type": "string"}},
                "application/json": {"schema": {"$ref": "#/components/schemas/Ranking"}},
                "image/png": {"schema": {"type": "string", "format": "binary"}},
            },
        },
        **problems(401, 403, 404, 409, 422, 503),
    },
    openapi_extra=query_options(ExportParameters),
)
async def export_search(request: Request, caller: ReadKey, service: ServiceDep) -> Response:
    """Rank the gallery against a stored tracklet and send the ranking as a file, of more places than one answer has.

    CSV and JSON are sent as they are computed, all from the index that gave the first place; rows that are deleted
    meanwhile are left out. A file that breaks off was not sent to its end.
    """
    began = time.perf_counter()
    asked = read_query(request, ExportParameters)
    _check_size(asked, service.settings)
    pages = service.search.pages(asked.query_id, asked.options(), asked.k)
    # What can be refused is refused here, before the answer begins.
    first = await anext(pages)
    headers = {"Content-Disposition": f'attachment; filename="search-{asked.query_id}.{asked.format}"'}
    if asked.format == "png":
        content = await service.sheets.of_answer(asked.query_id, first)
        return Response(content, media_type=_TYPES["png"], headers=headers)
    ranking = Ranking.of(first, asked.gallery, asked.query_id, (time.perf_counter() - began) * 1000)
    parts = _csv(first, pages) if asked.format == "csv" else _json(ranking, first, pages)
    return StreamingResponse(parts, media_type=_TYPES[asked.format], headers=headers)


def _check_size(asked: ExportParameters, settings: Settings) -> None:
    limit, name = settings.max_export_places, "TFCLIP_MAX_EXPORT_PLACES"
    if asked.format == "png":
        limit, name = settings.max_sheet_places, "TFCLIP_MAX_SHEET_PLACES"
    if asked.k > limit:
        message = f"must not be larger than {limit} ({name})"
        raise InvalidRequest(f"query.k {message}.", [FieldError("query.k", message)])


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
