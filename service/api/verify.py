"""One to one: how alike are two tracklets?"""

import time
import uuid
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.dependencies import ReadKey, ServiceDep
from service.api.examples.common import OTHER_ID, TRACKLET_ID
from service.api.frames_query import frames_field
from service.api.json_body import json_body, read_json
from service.api.multipart import Form, read_form
from service.api.problems import FRAMES, problems
from service.api.query import parse_options
from service.api.search_schemas import CalibrationReference
from service.api.values import GalleryName, Schema
from service.errors import FieldError, InvalidRequest

router = APIRouter(prefix="/verify", tags=["search"])


class VerifyParameters(Schema):
    """Two stored tracklets: the JSON body."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "tracklet_id": TRACKLET_ID,
                    "other_tracklet_id": OTHER_ID,
                }
            ]
        }
    )

    gallery: GalleryName = "default"
    tracklet_id: uuid.UUID
    other_tracklet_id: uuid.UUID


class FramesParameters(Schema):
    """What comes beside the frames of a multipart body."""

    gallery: GalleryName = "default"
    tracklet_id: uuid.UUID | None = None


class Verification(BaseModel):
    """How alike two tracklets are. What came as frames has no id."""

    gallery: str
    tracklet_id: uuid.UUID | None
    other_tracklet_id: uuid.UUID | None
    score: float = Field(description="Cosine similarity, -1 to 1.")
    probability: float | None = Field(
        description="That they are the same person; null without a calibration, and for two of one camera."
    )
    calibration: CalibrationReference | None
    model_id: str
    generation: int
    took_ms: float


def _body() -> dict[str, Any]:
    body = json_body(VerifyParameters)
    properties = FramesParameters.model_json_schema()["properties"]
    body["requestBody"]["content"]["multipart/form-data"] = {
        "schema": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": frames_field("One tracklet's crops in order of time: JPEG, PNG or WebP."),
                "other_frames": frames_field("The other's, unless `tracklet_id` names it."),
                **properties,
            },
        }
    }
    return body


@router.post(
    "",
    operation_id="verify",
    responses=problems(401, 403, 404, 422, 503, *FRAMES),
    openapi_extra=_body(),
)
async def verify(request: Request, caller: ReadKey, service: ServiceDep) -> Verification:
    """Compare two tracklets of a gallery; or, as multipart, one with frames, or frames with frames. Nothing is stored.

    The score is the one that a search gives the second in the ranking of the first.
    """
    began = time.perf_counter()
    queries = service.search.queries
    second: uuid.UUID | None
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        async with service.admission:
            form = await read_form(request, service.settings, list(FramesParameters.model_fields), other_frames=True)
            given = _parse(form)
            ids = [given.tracklet_id] if given.tracklet_id else []
            sets = [form.frames, form.other_frames] if form.other_frames else [form.frames]
            compared = await queries.compare(given.gallery, ids, sets)
            gallery, first, second = given.gallery, given.tracklet_id, None
    else:
        asked = await read_json(request, VerifyParameters)
        compared = await queries.compare(asked.gallery, [asked.tracklet_id, asked.other_tracklet_id], [])
        gallery, first, second = asked.gallery, asked.tracklet_id, asked.other_tracklet_id
    return Verification(
        gallery=gallery,
        tracklet_id=first,
        other_tracklet_id=second,
        score=compared.score,
        probability=compared.probability,
        calibration=compared.calibration
        and CalibrationReference.model_validate(compared.calibration, from_attributes=True),
        model_id=compared.model_id,
        generation=compared.generation,
        took_ms=round((time.perf_counter() - began) * 1000, 3),
    )


def _parse(form: Form) -> FramesParameters:
    """The fields beside the frames.

    Raises:
        InvalidRequest: one is wrong or there twice, or there are not two tracklets in all.
    """
    given = parse_options(FramesParameters, form.fields)
    if bool(form.other_frames) == (given.tracklet_id is not None):
        message = "besides `frames`, send either `other_frames` or `tracklet_id`"
        raise InvalidRequest(f"Two tracklets are compared: {message}.", [FieldError("other_frames", message)])
    return given
