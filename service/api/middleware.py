"""What happens to every request: an id, a bound on its body, a measurement and a line in the log."""

import re
import time
import uuid
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem_response
from service.errors import BodyTooLarge, ServiceError, UriTooLong
from service.metrics import Metrics

log = structlog.get_logger("service.requests")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,100}")
_QUIET = ("/livez", "/readyz", "/metrics")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_COME_BACK_SECONDS = b"1"


class RequestContext:
    """Gives a request its id (its own `X-Request-ID` where that is sound), and tells what became of it.

    What nobody expected is answered here, and not where Starlette would: outside, without the headers of every answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = sent.decode() if _REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        answered = False
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                message["headers"] = [*message["headers"], *_said(scope, message)]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                if not answered:
                    error = ServiceError("Something failed; the log has the request id.")
                    await problem_response(error, scope)(scope, receive, send_with_id)
                # uvicorn logs the traceback.
                raise
            finally:
                self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        # Label values must be few: the route's pattern, not the path, and no method that somebody made up.
        route = getattr(scope.get("route"), "path", "(none)")
        method = scope["method"] if scope["method"] in _METHODS else "(other)"
        self._metrics.requests.labels(method, route, status).observe(seconds)
        state = scope["state"]
        code = state.get("problem_code")
        if code is not None:
            self._metrics.rejected.labels(code).inc()
        if scope["path"] in _QUIET:
            return
        # Neither path nor query string: they may name people.
        event = {"method": method, "route": route, "status": status, "seconds": round(seconds, 4)}
        if "key" in state:
            event["key"] = state["key"].name
        log.info("request", **event, **({"problem": code} if code else {}))


def _said(scope: Scope, message: Message) -> list[tuple[bytes, bytes]]:
    """Headers of every answer: its request's id, where the caller's rate limit stands, when to ask for a job."""
    state = scope["state"]
    headers = [(b"x-request-id", state["request_id"].encode())]
    if state.get("rate_limit") is not None:
        headers += state["rate_limit"].headers()
    if message["status"] == HTTPStatus.ACCEPTED and b"retry-after" not in dict(message["headers"]):
        headers.append((b"retry-after", _COME_BACK_SECONDS))
    return headers


class UriLimit:
    """Refuses a path and query string of more than `limit` bytes before anybody takes them apart."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and len(scope.get("raw_path", b"")) + len(scope["query_string"]) > self._limit:
            error = UriTooLong(f"Path and query string are longer than {self._limit} bytes (TFCLIP_MAX_URI_BYTES).")
            await problem_response(error, scope)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class JoinedConditions:
    """Makes one line of several `If-Match`, or `If-None-Match`: they are one list (RFC 9110, 5.3)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            for name in (b"if-match", b"if-none-match"):
                lines = [value for sent, value in scope["headers"] if sent == name]
                if len(lines) > 1:
                    others = [(sent, value) for sent, value in scope["headers"] if sent != name]
                    scope["headers"] = [*others, (name, b", ".join(lines))]
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses a body over `limit` bytes: by its Content-Length before reading, else as soon as it grows past it.

    Args:
        model_limit: in its place for the weights files of `POST /admin/models`.
        batch_limit: and for the archives of `POST /tracklets/batch`.
    """

    def __init__(self, app: ASGIApp, limit: int, model_limit: int, batch_limit: int) -> None:
        self._app = app
        self._limit = limit
        self._model_limit = model_limit
        self._batch_limit = batch_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit
        error = BodyTooLarge(
            f"The body is larger than {limit} bytes (TFCLIP_MAX_BODY_BYTES). Send fewer or smaller frames."
        )
        if (scope["method"], scope["path"]) == ("POST", "/admin/models"):
            limit = self._model_limit
            error = BodyTooLarge(f"The weights are larger than {limit} bytes (TFCLIP_MAX_MODEL_BYTES).")
        elif (scope["method"], scope["path"]) == ("POST", "/tracklets/batch"):
            limit = self._batch_limit
            error = BodyTooLarge(
                f"The archive is larger than {limit} bytes (TFCLIP_MAX_BATCH_BYTES). Send several; what was whole by "
                "then is stored."
            )
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced[:20]) > limit:
            await problem_response(error, scope)(scope, receive, send)
            return
        received = 0
        answered = False

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise error
            return message

        async def send_once(message: Message) -> None:
            # Whatever the application makes of the interruption, the answer is ours.
            nonlocal answered
            if received <= limit:
                await send(message)
            elif not answered:
                answered = True
                await problem_response(error, scope)(scope, receive, send)

        await self._app(scope, count, send_once)
