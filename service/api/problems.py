"""The one place that turns errors into answers: RFC 9457 `application/problem+json`, the framework's own included."""

from collections.abc import Iterator, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import compile_path

from service.api.values import message_of
from service.errors import (
    BodyTooLarge,
    DatabaseUnavailable,
    FieldError,
    Forbidden,
    IndexNotReady,
    InsufficientStorage,
    InvalidFrame,
    InvalidMultipart,
    InvalidRequest,
    ModelConflict,
    NotFound,
    PreconditionFailed,
    QueueFull,
    RateLimited,
    ServiceError,
    TooManyFrames,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    UriTooLong,
)

PROBLEM_TYPE = "application/problem+json"
_INSTANCE_LENGTH = 200
_GENERAL: dict[int, type[ServiceError]] = {
    error.status: error
    for error in (
        InvalidMultipart,
        Unauthorized,
        Forbidden,
        NotFound,
        PreconditionFailed,
        BodyTooLarge,
        UriTooLong,
        UnsupportedMediaType,
        InvalidRequest,
        RateLimited,
        ServiceError,
        DatabaseUnavailable,
        InsufficientStorage,
    )
}
"""The error that a status stands for by itself. 409 has none: what is in conflict with what?"""

FRAMES = (400, 413, 415, InvalidFrame, TooManyFrames, ModelConflict, Unavailable, QueueFull, IndexNotReady)
"""Of an endpoint that takes frames and describes them by the gallery's model."""

Answers = dict[int | str, dict[str, Any]]


class ProblemField(BaseModel):
    """One thing wrong with a request."""

    location: str
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details, with a stable `code` and the request's id."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str = Field(description="Stable: one of those that the operation lists for the status.")
    request_id: str | None
    errors: list[ProblemField]


def problems(*errors: int | type[ServiceError]) -> Answers:
    """The `responses=` of an endpoint that may answer with these errors; a status stands for its general one."""
    return with_problems({}, *errors)


def with_problems(answers: Mapping[int | str, dict[str, Any]], *errors: int | type[ServiceError]) -> Answers:
    """An endpoint's answers, and these errors, beside what it answers with the same status."""
    known = {error.code: error for error in every_error()}
    answers = dict(answers)
    for error in (_GENERAL[one] if isinstance(one, int) else one for one in errors):
        status: int | str = str(error.status) if str(error.status) in answers else error.status
        codes = sorted({*codes_of(answers.get(status, {})), error.code})
        answers[status] = {
            "description": "; ".join(f"`{code}`: {known[code].title}" for code in codes),
            "content": {
                PROBLEM_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem", "properties": {"code": {"enum": codes}}},
                    "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
                }
            },
        }
    return answers


def codes_of(answer: Mapping[str, Any]) -> list[str]:
    """The codes of the errors of one status, as `problems` described them."""
    schema = answer.get("content", {}).get(PROBLEM_TYPE, {}).get("schema", {})
    codes: list[str] = schema.get("properties", {}).get("code", {}).get("enum", [])
    return codes


def every_error(root: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    """All errors that a request can be answered with."""
    yield root
    for error in root.__subclasses__():
        yield from every_error(error)


def field_errors(error: ValidationError | RequestValidationError, prefix: str = "") -> list[FieldError]:
    """Pydantic's findings; what was sent is not repeated, since it may be huge or secret."""
    return [
        FieldError(
            ".".join(str(part) for part in ([prefix] if prefix else []) + list(found["loc"]))[:_INSTANCE_LENGTH],
            message_of(found)[:500],
        )
        for found in error.errors()[:50]
    ]


def problem_response(error: ServiceError, scope: MutableMapping[str, Any]) -> JSONResponse:
    """The answer to a request that failed with `error`; `scope` is the request's ASGI scope."""
    return _respond(
        scope, error.status, error.code, error.title, error.detail, error.errors, retry_after=error.retry_after
    )


def problem_document(error: ServiceError, scope: MutableMapping[str, Any]) -> Problem:
    """What is said of a part of a request that failed alone."""
    return _document(scope, error.status, error.code, error.title, error.detail, error.errors)


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""

    @app.exception_handler(ServiceError)
    async def service_error(request: Request, error: ServiceError) -> JSONResponse:
        return problem_response(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def validation_error(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = field_errors(error)
        detail = "; ".join(f"{one.location}: {one.message}" for one in errors[:3])
        return problem_response(InvalidRequest(detail, errors), request.scope)

    @app.exception_handler(ClientDisconnect)
    async def hung_up(request: Request, error: ClientDisconnect) -> JSONResponse:
        # Nobody reads this; it keeps an everyday event out of the log of failures.
        return problem_response(InvalidMultipart("The connection ended before the body did."), request.scope)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        if error.status_code == 404:
            return problem_response(NotFound("There is nothing at this address."), request.scope)
        return _respond(
            request.scope,
            error.status_code,
            phrase.lower().replace(" ", "_"),
            phrase,
            str(error.detail)[:500],
            [],
            headers={"Allow": _allowed_methods(request)} if error.status_code == 405 else dict(error.headers or {}),
        )


def _allowed_methods(request: Request) -> str:
    """Every method that the path takes; Starlette names those of the first route alone."""
    paths = request.app.openapi()["paths"]
    matching = [operations for path, operations in paths.items() if compile_path(path)[0].match(request.url.path)]
    # What is not in the document is the document itself and the pages that show it.
    return ", ".join(sorted({method.upper() for operations in matching for method in operations})) or "GET, HEAD"


def _document(
    scope: MutableMapping[str, Any], status: int, code: str, title: str, detail: str, errors: list[FieldError]
) -> Problem:
    return Problem(
        type=f"urn:tfclip:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        instance=quote(str(scope.get("path", ""))[:_INSTANCE_LENGTH]),
        code=code,
        request_id=scope.get("state", {}).get("request_id"),
        errors=[ProblemField(location=error.location, message=error.message) for error in errors],
    )


def _respond(
    scope: MutableMapping[str, Any],
    status: int,
    code: str,
    title: str,
    detail: str,
    errors: list[FieldError],
    retry_after: int | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    problem = _document(scope, status, code, title, detail, errors)
    answer_headers = dict(headers or {})
    if retry_after is not None:
        answer_headers["Retry-After"] = str(retry_after)
    if status == 401:
        answer_headers["WWW-Authenticate"] = "Bearer"
    scope.setdefault("state", {})["problem_code"] = code
    return JSONResponse(
        problem.model_dump(mode="json"),
        status_code=status,
        headers=answer_headers,
        media_type=PROBLEM_TYPE,
    )
