"""Reading a small JSON body, after the caller's key has been looked at: a stranger's body is never read."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import ValidationError

from service.api.problems import field_errors
from service.api.values import Schema
from service.errors import BodyTooLarge, InvalidRequest, UnsupportedMediaType

Document = TypeVar("Document", bound=Schema)

MAX_BYTES = 64 * 1024
"""As much as an address has by default."""


def json_body(schema: type[Schema], required: bool = True) -> dict[str, Any]:
    """The `openapi_extra=` of an endpoint that calls `read_json`."""
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": required, "content": content}}


async def read_json(
    request: Request,
    schema: type[Document],
    empty: Document | None = None,
    max_bytes: int = MAX_BYTES,
    too_large: str = "Send less in one request.",
) -> Document:
    """Read and check the body.

    Args:
        empty: what no body at all stands for; None when there must be one.
        too_large: what to do when it has more than `max_bytes`, and where they come from.

    Raises:
        UnsupportedMediaType, BodyTooLarge, InvalidRequest.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLarge(f"The JSON body is larger than {max_bytes} bytes. {too_large}")
    if not body and empty is not None:
        return empty
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    try:
        return schema.model_validate_json(bytes(body))
    except ValidationError as error:
        errors = field_errors(error, prefix="body")
        raise InvalidRequest(f"{errors[0].location}: {errors[0].message}", errors) from None
