"""How a request to the service can fail, seen from the client."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx


class ClientError(Exception):
    """A request brought no answer that can be used; the message is one line for a person."""


class UnreachableError(ClientError):
    """No connection, or it broke before the answer came."""


class TooLongError(ClientError):
    """What is asked does not fit an address, so nothing was sent."""


class UnexpectedAnswerError(ClientError):
    """Something answered, but not as this service does; most often the address is wrong."""


class JobTimeoutError(ClientError):
    """A job was still running when the caller's patience ended; the job itself goes on."""


class ApiProblem(ClientError):
    """The service refused or failed (RFC 9457 `application/problem+json`).

    Attributes:
        status: HTTP status code.
        code: the service's stable name for the problem; `http_<status>` where the answer came from something else.
        title: what kind of problem, in words.
        detail: what was wrong in this request, in words.
        errors: single faults, for example one for each wrong field.
        request_id: names the request in the service's log.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        request_id: str | None = None,
    ) -> None:
        message = f"{title}: {detail}" if detail and detail != title else title
        super().__init__(f"{message} ({status} {code}" + (f", request {request_id})" if request_id else ")"))
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id


def no_answer(url: str, error: Exception) -> ClientError:
    """What to raise when the service at `url` did not answer, or could not even be asked."""
    if isinstance(error, httpx.InvalidURL) and "too long" in str(error):
        return TooLongError(
            "the options are too long for the address of a request, which holds 64 KiB: name fewer cameras, identities "
            "or labels"
        )
    return UnreachableError(f"the service at {url} does not answer: {error or type(error).__name__}")


def problem_of(response: httpx.Response) -> ApiProblem:
    """Turn an answer that is no success into an `ApiProblem`, also one that a proxy made without a JSON body."""
    status = response.status_code
    try:
        body = response.json()
    except ValueError:
        body = None
    fields: dict[str, Any] = body if isinstance(body, dict) else {}
    phrase = response.reason_phrase or f"HTTP status {status}"
    errors = fields.get("errors")
    return ApiProblem(
        status=status,
        code=str(fields.get("code") or f"http_{status}"),
        title=str(fields.get("title") or phrase),
        detail=None if fields.get("detail") is None else str(fields["detail"]),
        errors=[error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else (),
        request_id=fields.get("request_id") or response.headers.get("x-request-id"),
    )
