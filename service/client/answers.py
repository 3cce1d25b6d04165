"""Reading the service's answers and writing what is sent, for the client."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from service.client.errors import UnexpectedAnswerError
from service.client.wire import Tracklet
from service.client.wire.galleries import Transits

Answer = TypeVar("Answer", bound=BaseModel)
_IMAGE_TYPES = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"RI": "webp"}


@dataclass(frozen=True)
class StoredTracklet:
    """A tracklet that the service holds; `created` is false when it held it before this request."""

    tracklet: Tracklet
    created: bool


def parse(kind: type[Answer], response: httpx.Response) -> Answer:
    """Read the answer's body.

    Raises:
        UnexpectedAnswerError: it is something else.
    """
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "body"
        raise UnexpectedAnswerError(
            f"{response.request.method} {response.url} answered {response.status_code} with something that is not a "
            f"{kind.__name__} ({where}: {fault['msg']}); is this the service's address?"
        ) from error


def segment(identifier: object) -> str:
    """An identifier as one segment of a path; `.` and `..`, which would be steps, with their dots encoded."""
    quoted = quote(str(identifier), safe="")
    return quoted.replace(".", "%2E") if quoted in (".", "..") else quoted


def if_match(version: int | str | None) -> dict[str, str]:
    """The header with which only this version is changed; none where any is."""
    return {} if version is None else {"If-Match": f'"{version}"'}


def transits_of(response: httpx.Response) -> Transits:
    """The transit times that were answered; their version is in the answer's header."""
    return parse(Transits, response).model_copy(update={"version": response.headers.get("ETag", "").strip('"') or None})


def frame_parts(frames: Sequence[bytes], field: str = "frames") -> list[tuple[str, tuple[str, bytes, str]]]:
    """Image files as parts of a multipart body, in their order."""
    kinds = [_IMAGE_TYPES.get(frame[:2], "octet-stream") for frame in frames]
    return [
        (field, (f"{n:05d}", frame, f"image/{kind}" if kind != "octet-stream" else f"application/{kind}"))
        for n, (frame, kind) in enumerate(zip(frames, kinds, strict=True))
    ]
