"""Examples of problems."""

from typing import Any

_REQUEST_ID = "ae1a884edbbe4e398a908e3021d9210e"
_FIELD = {"location": "k", "message": "Input should be less than or equal to 1000"}


def no_gallery(name: str, instance: str) -> dict[str, Any]:
    """The problem that there is no such gallery."""
    return {
        "type": "urn:tfclip:problem:not_found",
        "title": "Not found",
        "status": 404,
        "detail": f"There is no gallery {name!r}; the first upload that names it makes it.",
        "instance": instance,
        "code": "not_found",
        "request_id": _REQUEST_ID,
        "errors": [],
    }


EXAMPLES: dict[str, dict[str, Any]] = {
    "ProblemField": _FIELD,
    "Problem": {
        "type": "urn:tfclip:problem:invalid_request",
        "title": "The request is not valid",
        "status": 422,
        "detail": "k: Input should be less than or equal to 1000",
        "instance": "/search",
        "code": "invalid_request",
        "request_id": _REQUEST_ID,
        "errors": [_FIELD],
    },
}
