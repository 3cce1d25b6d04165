"""Questions by frames that are not stored: a multipart body, its options as form fields or in the query string."""

from collections.abc import Sequence
from typing import Any, TypeVar

from fastapi import Request

from service.api.multipart import Form, read_form
from service.api.query import parse_options
from service.api.search_schemas import FramesSearchParameters
from service.errors import FieldError, InvalidRequest
from service.settings import Settings

Options = TypeVar("Options", bound=FramesSearchParameters)


def frames_field(description: str, least: int = 1) -> dict[str, Any]:
    """A field of image files in the description of a multipart body."""
    return {
        "type": "array",
        "minItems": least,
        "items": {"type": "string", "contentMediaType": "image/jpeg"},
        "description": description,
    }


def frames_body(schema: type[FramesSearchParameters]) -> dict[str, Any]:
    """The `openapi_extra=` of an endpoint that calls `read_frames_query`."""
    described = schema.model_json_schema()
    frames = frames_field("The crops in order of time: JPEG, PNG or WebP.")
    body = {
        "type": "object",
        "required": ["frames", *described.get("required", ())],
        "properties": {"frames": frames, **described["properties"]},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": body}}}}


async def read_frames_query(
    request: Request, settings: Settings, schema: type[Options]
) -> tuple[Sequence[bytes], Options]:
    """The frames, and the options.

    Raises:
        UnsupportedMediaType, InvalidMultipart, TooManyFrames, InvalidFrame, InsufficientStorage: as `read_form`.
        InvalidRequest: an option is unknown, breaks a rule, or is given twice.
    """
    form = await read_form(request, settings, list(schema.model_fields))
    return form.frames, _parse(request, form, schema)


def _parse(request: Request, form: Form, schema: type[Options]) -> Options:
    given: dict[str, list[str]] = {name: list(values) for name, values in form.fields.items()}
    for name, value in request.query_params.multi_items():
        if name in form.fields:
            raise InvalidRequest(
                f"Option {name!r} is both in the query string and in the form.", [FieldError(name, "given twice")]
            )
        given.setdefault(name, []).append(value)
    parameters = parse_options(schema, given)
    if parameters.exclude_query_camera and parameters.query_camera_id is None:
        raise InvalidRequest(
            "exclude_query_camera needs the camera of the frames: name it in query_camera_id.",
            [FieldError("exclude_query_camera", "the frames have no camera")],
        )
    return parameters
