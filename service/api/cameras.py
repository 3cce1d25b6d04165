"""Cameras of a gallery: where they are, and whose clock is wrong by how much."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.convertors import PathConvertor, register_url_convertor

from service.api.conditional import TAGGED, IfMatch, IfNew, check_new, check_unchanged, etag
from service.api.cursors import cut_page, decode_number, encode_number
from service.api.dependencies import ReadKey, ServiceDep, WriteKey, single_valued
from service.api.gallery_schemas import CameraAnswer, CameraFields, CameraPage
from service.api.json_body import json_body, read_json
from service.api.metadata import check_new_name
from service.api.problems import problems
from service.api.schemas import ListParameters
from service.api.values import GALLERY_PATTERN, KeptName, StoredName
from service.errors import CameraInUse, GalleryDeleting, NotFound
from service.store import cameras as store
from service.store import galleries as gallery_store


class _WholeName(PathConvertor):
    """The rest of a path with its line breaks, which `path` drops at the end: another camera would be meant."""

    regex = "(?s:.*)"


register_url_convertor("name", _WholeName())
router = APIRouter(prefix="/cameras", tags=["cameras"], dependencies=[Depends(single_valued)])

Gallery = Annotated[str, Path(pattern=GALLERY_PATTERN)]
_NAMED = Path(description="As tracklets name it; it may have slashes.")


@router.get("", operation_id="listCameras", responses=problems(401, 403, 404, 422, 503))
async def list_cameras(
    parameters: Annotated[ListParameters, Query()], caller: ReadKey, service: ServiceDep
) -> CameraPage:
    """List a gallery's cameras, in the order in which they were made."""
    after = decode_number(parameters.cursor) if parameters.cursor else None
    async with service.database.reading() as connection:
        gallery = await gallery_store.get(connection, parameters.gallery)
        found = await store.list_page(connection, gallery.id, parameters.limit + 1, after)
    page, next_cursor = cut_page(found, parameters.limit, lambda camera: encode_number(camera.id))
    return CameraPage(
        items=[CameraAnswer.of(camera) for camera in page],
        next_cursor=next_cursor,
    )


@router.get(
    "/{gallery}/{name:name}",
    operation_id="getCamera",
    responses={200: TAGGED, **problems(401, 403, 404, 422, 503)},
)
async def get_camera(
    gallery: Gallery,
    name: Annotated[StoredName, _NAMED],
    response: Response,
    caller: ReadKey,
    service: ServiceDep,
) -> CameraAnswer:
    """Read one camera."""
    async with service.database.reading() as connection:
        found = await gallery_store.get(connection, gallery)
        camera = await store.find(connection, found.id, name)
    if camera is None:
        raise _unknown(gallery, name)
    response.headers["ETag"] = etag(camera.version)
    return CameraAnswer.of(camera)


@router.put(
    "/{gallery}/{name:name}",
    operation_id="putCamera",
    responses={
        200: TAGGED,
        201: TAGGED | {"model": CameraAnswer, "description": "The camera is new"},
        **problems(401, 403, 404, 412, 413, 415, 422, 503, GalleryDeleting),
    },
    openapi_extra=json_body(CameraFields),
)
async def put_camera(
    gallery: Gallery,
    name: Annotated[KeptName, _NAMED],
    request: Request,
    response: Response,
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
    if_none_match: IfNew = None,
) -> CameraAnswer:
    """Say everything of a camera, and make it if no tracklet named it yet; what is left out is put back to its default.

    When this answers, the next search of this process goes by its time offset.
    """
    wanted = await read_json(request, CameraFields)
    async with service.database.transaction() as connection:
        found = await gallery_store.get(connection, gallery)
        await gallery_store.keep(connection, found.id)
        held, created = await store.hold_or_create(connection, found.id, name)
        if created:
            check_new_name(name, "path.name")
        current = None if created else etag(held.version)
        check_unchanged(if_match, current)
        check_new(if_none_match, current)
        number = await store.put(connection, held, found.id, wanted.model_dump())
        camera = await store.find(connection, found.id, name)
    assert camera is not None
    await service.galleries.follow_rules(gallery, number)
    response.headers["ETag"] = etag(camera.version)
    if created:
        response.status_code = 201
        response.headers["Location"] = f"{router.prefix}/{gallery}/{_segment(name)}"
    return CameraAnswer.of(camera)


@router.delete(
    "/{gallery}/{name:name}",
    operation_id="deleteCamera",
    status_code=204,
    responses=problems(401, 403, 404, 412, 422, 503, CameraInUse, GalleryDeleting),
)
async def delete_camera(
    gallery: Gallery,
    name: Annotated[StoredName, _NAMED],
    caller: WriteKey,
    service: ServiceDep,
    if_match: IfMatch = None,
) -> None:
    """Delete a camera that no tracklet names, with what is said of the ways from and to it."""
    async with service.database.transaction() as connection:
        found = await gallery_store.get(connection, gallery)
        await gallery_store.keep(connection, found.id)
        camera = await store.hold(connection, found.id, name)
        if camera is None:
            raise _unknown(gallery, name)
        check_unchanged(if_match, etag(camera.version))
        number = await store.remove(connection, camera, found.id)
    if number is None:
        raise CameraInUse(f"Tracklets of gallery {gallery} name camera {name!r}; delete them first.")
    await service.galleries.follow_rules(gallery, number)


def _segment(name: str) -> str:
    """A name as one segment of a path; `.` and `..`, which would be steps, with their dots encoded."""
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def _unknown(gallery: str, name: str) -> NotFound:
    return NotFound(f"Gallery {gallery} has no camera {name!r}; GET /cameras?gallery={gallery} lists them.")
