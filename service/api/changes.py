"""The changes of a gallery, one after another: what a system beside this one follows it by."""

import asyncio
import uuid
from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from service.api.dependencies import ReadKey, ServiceDep
from service.api.problems import problems
from service.api.query import query_options, read_query
from service.api.values import GalleryName, Schema
from service.errors import FieldError, InvalidRequest, NotFound, Unavailable
from service.runtime import Service
from service.store.changes import ChangeKind, RecordedChange
from service.store.galleries import Gallery
from service.store.lookups import ChangesAsked

router = APIRouter(prefix="/changes", tags=["tracklets"])


class ChangeParameters(Schema):
    """Where to go on."""

    gallery: GalleryName = "default"
    after: int = Field(default=0, ge=0, le=2**63 - 1, description="Only changes after this number; 0: from the first.")
    limit: int = Field(default=100, ge=1, le=1000)
    wait_seconds: float = Field(
        default=0.0, ge=0, le=30, description="How long to wait for a change where there is none yet."
    )


class ChangeAnswer(BaseModel):
    """One change of a gallery."""

    number: int = Field(description="Counts a gallery's changes without gaps, in the order in which they took effect.")
    kind: ChangeKind = Field(description="`updated`: its labels or its identity.")
    tracklet_id: uuid.UUID
    at: datetime


class ChangePage(BaseModel):
    """Changes in order."""

    items: list[ChangeAnswer]
    next: int = Field(description="Go on with this as `after`.")
    change: int = Field(description="Number of the gallery's last change.")


@router.get(
    "",
    operation_id="listChanges",
    responses=problems(401, 403, 404, 422, 503, Unavailable),
    openapi_extra=query_options(ChangeParameters),
)
async def list_changes(request: Request, caller: ReadKey, service: ServiceDep) -> ChangePage:
    """Follow a gallery: every tracklet that was added, deleted or changed after a number, in order.

    A number that was answered is final: nothing is ever put before it.
    """
    asked = read_query(request, ChangeParameters)
    gallery, found = await _read(service, asked)
    if not found and asked.wait_seconds > 0:
        # No database connection is held meanwhile. Looked at again first: it may have come before the bell was heard.
        with service.bell.await_after(gallery.id, asked.after) as rung:
            gallery, found = await _read(service, asked)
            if not found:
                await _wait(request, rung, asked.wait_seconds)
                gallery, found = await _read(service, asked)
    return ChangePage(
        items=[ChangeAnswer(number=one.number, kind=one.kind, tracklet_id=one.tracklet_id, at=one.at) for one in found],
        next=found[-1].number if found else asked.after,
        # More may have come between the two looks.
        change=found[-1].number if found and found[-1].number > gallery.change else gallery.change,
    )


async def _read(service: Service, asked: ChangeParameters) -> tuple[Gallery, list[RecordedChange]]:
    read = await service.changes.find(ChangesAsked(asked.gallery, asked.after, asked.limit))
    if read is None:
        raise NotFound(f"There is no gallery {asked.gallery!r}.")
    gallery, found = read
    if asked.after > gallery.change:
        message = f"the gallery's last change is {gallery.change}; it was made anew or restored: begin again with 0"
        raise InvalidRequest(f"after: {message}.", [FieldError("after", message)])
    return gallery, found


async def _wait(request: Request, rung: asyncio.Event, seconds: float) -> None:
    """Until the bell rings, the time is over or the client hangs up."""
    tasks = {asyncio.create_task(rung.wait()), asyncio.create_task(_hung_up(request))}
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
