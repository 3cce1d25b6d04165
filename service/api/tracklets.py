"""Tracklets: store, read, list, delete; and their frames."""

import asyncio
import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import ValidationError

from service.api.conditional import TAGGED, IfMatch, IfNoneMatch, etag, still_good, versions_in
from service.api.creating import CreatingRoute
from service.api.cursors import cut_page, decode_cursor, decode_number, encode_cursor
from service.api.dependencies import ReadKey, ServiceDep, WriteKey, owner_of, single_valued
from service.api.frames_query import frames_field
from service.api.identity_schemas import EventPage, TrackletChange
from service.api.json_body import json_body, read_json
from service.api.metadata import check_labels, check_metadata, check_new_name, upload_of
from service.api.multipart import read_form
from service.api.problems import FRAMES, field_errors, problems
from service.api.schemas import ListParameters, StoredAnswer, Tracklet, TrackletMetadata, TrackletPage
from service.api.values import OLD_NAMES, PageParameters, is_name
from service.errors import (
    ExternalIdConflict,
    FieldError,
    GalleryDeleting,
    GalleryMoved,
    IdentityConflict,
    InvalidFrame,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
)
from service.identities import changing
from service.identities.changing import TrackletEdit
from service.runtime import Service
from service.settings import Settings
from service.store import galleries as gallery_store
from service.store import identity_events
from service.store import tracklets as store

router = APIRouter(
    prefix="/tracklets", tags=["tracklets"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)

_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["metadata"],
                    "properties": {
                        "metadata": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/TrackletMetadata"},
                            "description": "JSON: who saw what, when. Only `camera_id` is required.",
                        },
                        "frames": frames_field(
                            "The crops in order of time: JPEG, PNG or WebP. A descriptor needs none.", least=0
                        ),
                    },
                }
            }
        },
    }
}


@router.post(
    "",
    operation_id="createTracklet",
    status_code=201,
    response_model=StoredAnswer,
    responses={
        200: TAGGED | {"model": StoredAnswer, "description": "The same tracklet was there already"},
        201: TAGGED,
        **problems(401, 403, 422, 503, ExternalIdConflict, GalleryDeleting, GalleryMoved, QuotaExceeded, *FRAMES),
    },
    openapi_extra=_UPLOAD_BODY,
)
async def create_tracklet(request: Request, response: Response, caller: WriteKey, service: ServiceDep) -> StoredAnswer:
    """Store a tracklet. When this answers, the tracklet is durable and the next search finds it.

    Sending the same `external_id` with the same frames again answers 200 with the tracklet that is there; with other
    frames it answers 409.
    """
    async with service.admission:
        with service.metrics.stage("receive"):
            form = await read_form(request, service.settings, ["metadata"], frames_needed=False)
        metadata, refusal = _parse_metadata(form.fields.get("metadata", []), service.settings)
        if not form.frames and metadata.descriptor is None:
            raise InvalidFrame("There is no frame: send one or more image files as `frames`, or a `descriptor`.")
        upload = upload_of(metadata, metadata.gallery, caller, owner_of(request, service), refusal)
        stored, model_id, created = await service.uploads.add(upload, form.frames)
    response.status_code = 201 if created else 200
    response.headers["Location"] = f"/tracklets/{stored.id}"
    response.headers["ETag"] = etag(stored.version)
    return StoredAnswer(**Tracklet.of(stored, service.settings.min_purity).model_dump(), model_id=model_id)


@router.get("", operation_id="listTracklets", responses=problems(401, 403, 404, 422, 503))
async def list_tracklets(
    parameters: Annotated[ListParameters, Query()], caller: ReadKey, service: ServiceDep
) -> TrackletPage:
    """List a gallery's tracklets, newest first."""
    before = decode_cursor(parameters.cursor) if parameters.cursor is not None else None
    async with service.database.reading() as connection:
        await gallery_store.get(connection, parameters.gallery)
        found = await store.list_page(connection, parameters.gallery, parameters.limit + 1, before)
    page, next_cursor = cut_page(found, parameters.limit, lambda stored: encode_cursor(stored.created_at, stored.id))
    return TrackletPage(
        items=[Tracklet.of(stored, service.settings.min_purity) for stored in page],
        next_cursor=next_cursor,
    )


@router.get(
    "/{tracklet_id}",
    operation_id="getTracklet",
    responses={200: TAGGED, **problems(401, 403, 404, 422, 503)},
)
async def get_tracklet(tracklet_id: uuid.UUID, response: Response, caller: ReadKey, service: ServiceDep) -> Tracklet:
    """Read one tracklet."""
    return await _tracklet(tracklet_id, response, service)


@router.patch(
    "/{tracklet_id}",
    operation_id="changeTracklet",
    responses={200: TAGGED, **problems(401, 403, 404, 412, 413, 415, 422, 503, IdentityConflict, GalleryDeleting)},
    openapi_extra=json_body(TrackletChange),
)
async def change_tracklet(
    tracklet_id: uuid.UUID,
    request: Request,
    response: Response,
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> Tracklet:
    """Change a tracklet's labels or identity. When this answers, the next search filters by what it has now."""
    body = await read_json(request, TrackletChange)
    await _check_new_names(tracklet_id, body, service)
    if body.labels is not None:
        check_labels(body.labels, "body.labels", service.settings)
    asked = TrackletEdit(
        labels=None if body.labels is None else dict(body.labels),
        sets_identity="identity" in body.model_fields_set,
        identity=body.identity,
    )
    await changing.edit_tracklet(service.identities, tracklet_id, asked, versions_in(if_match), caller)
    return await _tracklet(tracklet_id, response, service)


@router.delete(
    "/{tracklet_id}",
    operation_id="deleteTracklet",
    status_code=204,
    responses=problems(401, 403, 404, 412, 422, 503, GalleryDeleting),
)
async def delete_tracklet(
    tracklet_id: uuid.UUID, caller: WriteKey, service: ServiceDep, if_match: IfMatch = None
) -> None:
    """Delete a tracklet with its frames. When this answers, no search finds it any more."""
    # A client that hangs up must not leave the files behind.
    await asyncio.shield(asyncio.create_task(service.uploads.delete(tracklet_id, caller, versions_in(if_match))))


@router.get("/{tracklet_id}/history", operation_id="listTrackletHistory", responses=problems(401, 403, 404, 422, 503))
async def list_history(
    tracklet_id: uuid.UUID, parameters: Annotated[PageParameters, Query()], caller: ReadKey, service: ServiceDep
) -> EventPage:
    """List who gave a tracklet to whom, and what was decided of it, newest first; also of one that was deleted."""
    before = decode_number(parameters.cursor) if parameters.cursor is not None else None
    async with service.database.reading() as connection:
        found = await identity_events.list_page_of_tracklet(connection, tracklet_id, parameters.limit + 1, before)
        if not found and before is None and await store.find(connection, tracklet_id) is None:
            raise NotFound(f"There is no tracklet {tracklet_id}, and nothing is known of one.")
    return EventPage.of(found, parameters.limit)


@router.get(
    "/{tracklet_id}/frames/{position}",
    operation_id="getFrame",
    response_class=FileResponse,
    responses={
        200: TAGGED
        | {"content": {kind: {} for kind in ("image/jpeg", "image/png", "image/webp")}, "description": "The image"},
        304: TAGGED | {"description": "The copy that If-None-Match names is still good"},
        **problems(401, 403, 404, 422, 503),
    },
)
async def get_frame(
    tracklet_id: uuid.UUID,
    position: Annotated[int, Path(ge=0, le=1_000_000)],
    caller: ReadKey,
    service: ServiceDep,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """The bytes of one frame as they were uploaded; positions count from 0."""
    async with service.database.reading() as connection:
        found = await store.find_frame(connection, tracklet_id, position)
    path = service.frames.path(found[0], found[1].sha256) if found else None
    if found is None or path is None or not path.is_file():
        raise NotFound(f"There is no frame {position} of tracklet {tracklet_id}.")
    tag = etag(found[1].sha256.hex())
    # A frame's bytes never change; a browser must not guess at what they are.
    headers = {"Cache-Control": "private, max-age=86400, immutable", "X-Content-Type-Options": "nosniff", "ETag": tag}
    if still_good(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=found[1].media_type, headers=headers)


async def _tracklet(tracklet_id: uuid.UUID, response: Response, service: Service) -> Tracklet:
    async with service.database.reading() as connection:
        stored = await store.find(connection, tracklet_id)
    if stored is None:
        raise NotFound(f"There is no tracklet {tracklet_id}.")
    response.headers["ETag"] = etag(stored.version)
    return Tracklet.of(stored, service.settings.min_purity)


async def _check_new_names(tracklet_id: uuid.UUID, asked: TrackletChange, service: Service) -> None:
    """Check the names that the tracklet does not have yet."""
    named = [("body.labels", key) for key in asked.labels or {}]
    if asked.identity is not None:
        named.append(("body.identity", asked.identity))
    unsound = [(where, name) for where, name in named if not is_name(name)]
    if not unsound:
        return
    # Without a lock: what is taken away meanwhile comes back at worst, as by any change that comes last.
    async with service.database.reading() as connection:
        stored = await store.find(connection, tracklet_id)
    kept = (
        set()
        if stored is None
        else {("body.identity", stored.identity), *(("body.labels", key) for key in stored.labels)}
    )
    for where, name in unsound:
        if (where, name) not in kept:
            check_new_name(name, where)


def _parse_metadata(values: list[str], settings: Settings) -> tuple[TrackletMetadata, InvalidRequest | None]:
    """The metadata, and the refusal of an upload that is new where it has names that nothing new may have."""
    if len(values) != 1:
        raise InvalidRequest(
            f"The field `metadata` is there {len(values)} times, expected once.",
            [FieldError("metadata", "expected once")],
        )
    refusal = None
    try:
        metadata = TrackletMetadata.model_validate_json(values[0])
    except ValidationError as error:
        errors = field_errors(error, prefix="metadata")
        refusal = InvalidRequest(f"{errors[0].location}: {errors[0].message}", errors)
        try:
            metadata = TrackletMetadata.model_validate_json(values[0], context=OLD_NAMES)
        except ValidationError:
            raise refusal from None
    check_metadata(metadata, settings)
    return metadata, refusal
