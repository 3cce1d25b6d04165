"""Galleries: make, describe, count, delete; and how long the ways between their cameras take."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from service import creation
from service.api.admin_schemas import JobAnswer
from service.api.conditional import TAGGED, IfMatch, check_unchanged, etag, versions_in
from service.api.creating import CreatingRoute
from service.api.cursors import cut_page, decode_number, encode_number
from service.api.dependencies import AdminKey, ReadKey, ServiceDep, WriteKey, single_valued
from service.api.gallery_schemas import (
    GalleryAnswer,
    GalleryDetails,
    GalleryFields,
    GalleryPage,
    IndexState,
    NewGallery,
    Transits,
)
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.api.values import GALLERY_PATTERN, PageParameters
from service.errors import FieldError, GalleryDeleting, GalleryExists, InvalidRequest
from service.jobs import deleting
from service.runtime import Service
from service.store import cameras as camera_store
from service.store import galleries as gallery_store
from service.store import gallery_records as store
from service.store.gallery_records import GalleryRecord

router = APIRouter(
    prefix="/galleries", tags=["galleries"], dependencies=[Depends(single_valued)], route_class=CreatingRoute
)

Name = Annotated[str, Path(pattern=GALLERY_PATTERN)]
_MATRIX_BYTES = 4 * 1024 * 1024


@router.post(
    "",
    operation_id="createGallery",
    status_code=201,
    responses={201: TAGGED, **problems(401, 403, 413, 415, 422, 503, GalleryExists, GalleryDeleting)},
    openapi_extra=json_body(NewGallery),
)
async def create_gallery(request: Request, response: Response, caller: AdminKey, service: ServiceDep) -> GalleryAnswer:
    """Make an empty gallery under the default model. The first upload that names a gallery makes it, too."""
    wanted = await read_json(request, NewGallery)
    said = wanted.model_dump(exclude={"name"})
    async with service.database.transaction() as connection:
        created = await gallery_store.create(connection, wanted.name, service.model.id, said)
        record = await store.find(connection, wanted.name)
    if record is None:
        raise GalleryDeleting(f"Gallery {wanted.name} is being deleted; its name is free when that job is done.")
    # Sent again under its idempotency key, the request may have made it the first time.
    if created is None and not (creation.may_exist() and said.items() <= asdict(record).items()):
        raise GalleryExists(f"There is a gallery {wanted.name!r} already; PATCH /galleries/{wanted.name} changes it.")
    response.headers["Location"] = f"/galleries/{record.name}"
    response.headers["ETag"] = etag(record.version)
    return GalleryAnswer.of(record)


@router.get("", operation_id="listGalleries", responses=problems(401, 403, 422, 503))
async def list_galleries(
    parameters: Annotated[PageParameters, Query()], caller: ReadKey, service: ServiceDep
) -> GalleryPage:
    """List galleries, oldest first."""
    after = decode_number(parameters.cursor) if parameters.cursor else None
    async with service.database.reading() as connection:
        found = await store.list_page(connection, parameters.limit + 1, after)
    page, next_cursor = cut_page(found, parameters.limit, lambda record: encode_number(record.id))
    return GalleryPage(
        items=[GalleryAnswer.of(record) for record in page],
        next_cursor=next_cursor,
    )


@router.get(
    "/{name}",
    operation_id="getGallery",
    responses={200: TAGGED, **problems(401, 403, 404, 422, 503)},
)
async def get_gallery(name: Name, response: Response, caller: ReadKey, service: ServiceDep) -> GalleryDetails:
    """Read what is said of a gallery, what serves it, and how much it holds."""
    async with service.database.reading() as connection:
        record = await store.get(connection, name)
        statistics = await store.count(connection, record.id)
    response.headers["ETag"] = etag(record.version)
    return GalleryDetails.counted(record, statistics, _index_state(service, record))


@router.patch(
    "/{name}",
    operation_id="changeGallery",
    responses={200: TAGGED, **problems(401, 403, 404, 412, 413, 415, 422, 503)},
    openapi_extra=json_body(GalleryFields),
)
async def change_gallery(
    name: Name,
    request: Request,
    response: Response,
    caller: AdminKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> GalleryAnswer:
    """Change what is said of a gallery: the fields that are sent, and no others; null takes one back.

    Another frame cap is for tracklets that are stored from now on. Those that are there keep their descriptors until
    POST /admin/reindex.
    """
    values = (await read_json(request, GalleryFields)).model_dump(exclude_unset=True)
    number = None
    async with service.database.transaction() as connection:
        record = await store.get(connection, name, lock=True)
        check_unchanged(if_match, etag(record.version))
        if values:
            number = await store.change(connection, record.id, values)
            record = await store.get(connection, name)
    if number is not None:
        await service.galleries.follow_rules(name, number)
    response.headers["ETag"] = etag(record.version)
    return GalleryAnswer.of(record)


@router.delete(
    "/{name}", operation_id="deleteGallery", status_code=202, responses=problems(401, 403, 404, 412, 422, 503)
)
async def delete_gallery(
    name: Name, response: Response, caller: AdminKey, service: ServiceDep, if_match: IfMatch = None
) -> JobAnswer:
    """Delete a gallery with everything in it, as a job. From this answer on it is there for nobody.

    Its name is free again when the job is done. The gallery `default` is then made anew, empty.
    """
    job = await deleting.start(service.database, service.jobs, name, versions_in(if_match))
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobAnswer.of(job)


@router.get(
    "/{name}/transits",
    operation_id="getTransits",
    responses={200: TAGGED, **problems(401, 403, 404, 422, 503)},
)
async def get_transits(name: Name, response: Response, caller: ReadKey, service: ServiceDep) -> Transits:
    """Read how long the ways between a gallery's cameras take."""
    async with service.database.reading() as connection:
        gallery = await gallery_store.get(connection, name)
        said = await camera_store.transits(connection, gallery.id)
    response.headers["ETag"] = etag(camera_store.version_of(said))
    return Transits.of(said)


@router.put(
    "/{name}/transits",
    operation_id="putTransits",
    responses={200: TAGGED, **problems(401, 403, 404, 412, 413, 415, 422, 503, GalleryDeleting)},
    openapi_extra=json_body(Transits),
)
async def put_transits(
    name: Name,
    request: Request,
    response: Response,
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> Transits:
    """Say how long the ways between a gallery's cameras take, all of them; what was said before is forgotten.

    When this answers, the next search of this process goes by it.
    """
    wanted = await read_json(
        request, Transits, max_bytes=_MATRIX_BYTES, too_large="Send fewer cameras, or seconds of fewer digits."
    )
    most = service.settings.max_transit_cameras
    if len(wanted.cameras) > most:
        raise InvalidRequest(
            f"There are {len(wanted.cameras)} cameras, expected at most {most} (TFCLIP_MAX_TRANSIT_CAMERAS).",
            [FieldError("body.cameras", "too many")],
        )
    async with service.database.transaction() as connection:
        gallery = await gallery_store.get(connection, name)
        await gallery_store.keep(connection, gallery.id)
        await camera_store.lock_transits(connection, gallery.id)
        before = await camera_store.transits(connection, gallery.id)
        check_unchanged(if_match, etag(camera_store.version_of(before)))
        unknown = await camera_store.unknown(connection, gallery.id, wanted.cameras)
        if unknown:
            raise InvalidRequest(
                f"Gallery {name} has no camera {unknown[0]!r}; PUT /cameras/{name}/... makes one.",
                [FieldError("body.cameras", f"no camera {one!r}") for one in unknown],
            )
        said = wanted.transits()
        number = await camera_store.put_transits(connection, gallery.id, said)
    await service.galleries.follow_rules(name, number)
    response.headers["ETag"] = etag(camera_store.version_of(said))
    return Transits.of(said)


def _index_state(service: Service, record: GalleryRecord) -> IndexState | None:
    served = service.galleries.find(record.name)
    if served is None or served.id != record.id:
        return None
    return IndexState(
        rows=len(served.index),
        lag_changes=max(0, record.change - served.index.applied),
        lag_seconds=round(service.galleries.lag_seconds(served), 3),
    )
