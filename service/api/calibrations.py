"""Calibrations: what scores of a gallery mean."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from service.api.admin_schemas import JobAnswer
from service.api.calibration_schemas import (
    CalibrationAnswer,
    CalibrationListParameters,
    CalibrationPage,
    CalibrationRequest,
)
from service.api.creating import CreatingRoute
from service.api.cursors import cut_page, decode_cursor, encode_cursor
from service.api.dependencies import AdminKey, ReadKey, ServiceDep, single_valued
from service.api.json_body import json_body, read_json
from service.api.problems import problems
from service.calibration.job import CALIBRATE
from service.errors import IndexNotReady, ModelConflict, NotFound
from service.store import calibrations as store
from service.store import galleries as gallery_store

router = APIRouter(tags=["calibration"], dependencies=[Depends(single_valued)], route_class=CreatingRoute)


@router.post(
    "/admin/calibrations",
    operation_id="calibrate",
    status_code=202,
    responses=problems(401, 403, 404, 413, 415, 422, 503, ModelConflict),
    openapi_extra=json_body(CalibrationRequest, required=False),
)
async def start_calibration(request: Request, response: Response, caller: AdminKey, service: ServiceDep) -> JobAnswer:
    """Learn what scores of a gallery mean from its tracklets with an identity, as a job.

    It fails, and says what is missing, when there are too few.
    """
    wanted = await read_json(request, CalibrationRequest, empty=CalibrationRequest())
    async with service.database.transaction() as connection:
        gallery = await gallery_store.find(connection, wanted.gallery)
        reference = gallery
        if wanted.reference_gallery is not None:
            reference = await gallery_store.find(connection, wanted.reference_gallery)
        if gallery is None or reference is None:
            name = wanted.gallery if gallery is None else wanted.reference_gallery
            raise NotFound(f"There is no gallery {name!r}.")
        if gallery.model_id != reference.model_id:
            raise ModelConflict(
                f"Gallery {reference.name} is on another model than {gallery.name}; re-index one of them first."
            )
        parameters = wanted.model_dump(mode="json", exclude={"gallery"}) | {"made_by": caller}
        job = await service.jobs.enqueue(connection, CALIBRATE, gallery.id, parameters)
    response.headers["Location"] = f"/jobs/{job.id}"
    return JobAnswer.of(job)


@router.get(
    "/calibrations", operation_id="listCalibrations", responses=problems(401, 403, 404, 422, 503, IndexNotReady)
)
async def list_calibrations(
    parameters: Annotated[CalibrationListParameters, Query()], caller: ReadKey, service: ServiceDep
) -> CalibrationPage:
    """Read the calibration that a gallery's answers are judged by, and all that were made, newest first."""
    before = decode_cursor(parameters.cursor) if parameters.cursor else None
    loaded = await service.galleries.current(parameters.gallery)
    in_force = service.galleries.calibrations.current(parameters.gallery, loaded.model_id)
    async with service.database.reading() as connection:
        found = await store.list_page(connection, parameters.gallery, parameters.limit + 1, before)
        current = await store.find(connection, in_force.id) if in_force else None
    page, next_cursor = cut_page(found, parameters.limit, lambda one: encode_cursor(one.created_at, one.id))
    state = loaded.model_id, len(loaded.index)
    return CalibrationPage(
        current=CalibrationAnswer.of(current, *state) if current else None,
        items=[CalibrationAnswer.of(calibration, *state) for calibration in page],
        next_cursor=next_cursor,
    )


@router.get(
    "/calibrations/{calibration_id}",
    operation_id="getCalibration",
    responses=problems(401, 403, 404, 422, 503, IndexNotReady),
)
async def get_calibration(calibration_id: uuid.UUID, caller: ReadKey, service: ServiceDep) -> CalibrationAnswer:
    """Read one calibration, such as the one that an answer names; `stale` is as of now."""
    async with service.database.reading() as connection:
        found = await store.find(connection, calibration_id)
    if found is None:
        raise _no_calibration(calibration_id)
    loaded = await service.galleries.current(found.gallery)
    return CalibrationAnswer.of(found, loaded.model_id, len(loaded.index))


@router.delete(
    "/admin/calibrations/{calibration_id}",
    operation_id="deleteCalibration",
    status_code=204,
    responses=problems(401, 403, 404, 422, 503),
)
async def delete_calibration(calibration_id: uuid.UUID, caller: AdminKey, service: ServiceDep) -> Response:
    """Forget a calibration; answers are judged by the one before it, or not at all."""
    async with service.database.transaction() as connection:
        if not await store.remove(connection, calibration_id):
            raise _no_calibration(calibration_id)
    async with service.database.reading() as connection:
        await service.galleries.calibrations.refresh(connection)
    return Response(status_code=204)


def _no_calibration(calibration_id: uuid.UUID) -> NotFound:
    return NotFound(f"There is no calibration {calibration_id}; GET /calibrations lists a gallery's.")
