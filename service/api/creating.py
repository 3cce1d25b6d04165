"""POSTs that create, once: the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).

A router says `APIRouter(..., route_class=CreatingRoute)`, and its POSTs take the header.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message

from service import creation
from service.api.fingerprint import Fingerprint
from service.api.problems import with_problems
from service.errors import FieldError, IdempotencyInProgress, IdempotencyKeyReused, InvalidRequest, ServiceError
from service.idempotency import another_request
from service.runtime import Service
from service.store.idempotency import Answer, Claim, Name, Taken

# A string of Structured Fields (RFC 9651), as the draft has it, or the same without quotes, as most clients send it.
_KEY = re.compile(r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"|([A-Za-z0-9._:/+=@~-]{1,255})')
_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[A-Za-z0-9._:/+=@~-]+$"},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
    "description": "A new one for every new request. Sent again with the same key, a request is carried out once.",
}
_KEPT_HEADERS = ("content-type", "location", "etag")

Endpoint = TypeVar("Endpoint", bound=Callable[..., Awaitable[Any]])


class CreatingRoute(APIRoute):
    """A route that carries a POST out once, however often it is sent under the same `Idempotency-Key`.

    The key is claimed when the body has come in, so before the endpoint does anything with it; then the endpoint goes
    on, or the first answer takes its place, or it is refused. An endpoint that acts on its body while it comes in is
    marked `acts_early`, and claims the key by itself with `claim_early`.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._creates = "POST" in (options.get("methods") or ())
        if self._creates and not hasattr(endpoint, "claims_key"):
            endpoint = _claiming(endpoint)
            extra = dict(options.get("openapi_extra") or {})
            options["openapi_extra"] = extra | {"parameters": [*extra.get("parameters", []), _HEADER]}
            options["responses"] = with_problems(
                options.get("responses") or {}, IdempotencyInProgress, IdempotencyKeyReused
            )
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with what it answered kept for the next request under the same key."""
        handler = super().get_route_handler()
        if not self._creates:
            return handler

        async def handle(request: Request) -> Response:
            if "idempotency-key" not in request.headers:
                # Some servers begin a request in the context of the one before it on the same connection.
                _running.set(None)
                creation.current.set(None)
                return await handler(request)
            exchange = _Exchange(request)
            running, creating = _running.set(exchange), creation.current.set(exchange.creation)
            try:
                response = await handler(Request(request.scope, exchange.receive))
            except _Answered as found:
                exchange.count_replay()
                return found.response
            except Exception as error:
                await exchange.failed(_status_of(error))
                raise
            except BaseException:
                # Told to stop: the claim runs out by itself.
                exchange.abandon()
                raise
            finally:
                creation.current.reset(creating)
                _running.reset(running)
            await exchange.answered(response)
            return response

        return handle


def acts_early(endpoint: Endpoint) -> Endpoint:
    """Marks an endpoint that acts on its body before that has ended. Before it does, it calls `claim_early`."""
    endpoint.acts_early = True  # type: ignore[attr-defined]
    return endpoint


async def claim_early(beginning: bytes) -> None:
    """Claim the key of the running request, if it has one, by the beginning of its body.

    Where the key was answered before, the rest of the body is read, and nothing is done with it: the answer comes again
    if the body is the same to its end.

    Args:
        beginning: SHA-256 of what tells the request from others before it has come in.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
        IdempotencyInProgress: the same request is being worked on.
    """
    exchange = _running.get()
    if exchange is not None:
        await exchange.claim_early(beginning)


class _Answered(Exception):
    """The request was answered before; ends the endpoint where it read the last of the body."""

    def __init__(self, response: Response) -> None:
        self.response = response


class _Exchange:
    """One request under a key, from its first byte to its answer."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._service: Service = request.app.state.service
        self._fingerprint = Fingerprint(request.scope.get("query_string", b""), request.headers.get("content-type", ""))
        self._body_ended = False
        self._acts_early = False
        self._name: Name | None = None
        self._claim: Claim | None = None
        self.creation = creation.Creation()

    async def begin(self, *, reads_body: bool, acts_early: bool) -> None:
        """The caller is known and the endpoint begins: claim the key now, or when the body has ended.

        Args:
            acts_early: the endpoint calls `claim_early`.

        Raises:
            InvalidRequest: the key is none.
        """
        key = getattr(self._request.state, "key", None)
        if key is not None:
            self.creation.caller_secret = self._request.headers["authorization"].partition(" ")[2].strip()
        # Without keys (TFCLIP_AUTH=off) all callers are one.
        caller = "anyone" if key is None else str(key.id)
        self._name = Name(caller, self._request.url.path, self._parse())
        self._acts_early = acts_early
        if acts_early:
            return
        headers = self._request.headers
        announced = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if self._body_ended or not (reads_body and announced):
            await self._claim_key()

    async def receive(self) -> Message:
        """The request's messages, as the endpoint reads them."""
        message = await self._request.receive()
        if message["type"] == "http.request" and not self._body_ended:
            self._fingerprint.feed(message.get("body", b""))
            self._body_ended = not message.get("more_body", False)
            unclaimed = self._name is not None and self._claim is None
            if self._body_ended and unclaimed and not self._acts_early:
                await self._claim_key()
        return message

    async def claim_early(self, beginning: bytes) -> None:
        """See the function of this name."""
        assert self._name is not None
        found = await self._service.idempotency.claim(self._name, beginning, early=True)
        if isinstance(found, Claim):
            self._begin(found)
            return
        while not self._body_ended:
            if (await self.receive())["type"] == "http.disconnect":
                raise ClientDisconnect
        if found.fingerprint != self._fingerprint.digest():
            raise another_request()
        raise _Answered(self._replay(found))

    async def answered(self, response: Response) -> None:
        """The endpoint answered: keep it if it says that the request was carried out (2xx)."""
        assert self._claim is not None or response.status_code >= 300, "the endpoint answered without reading its body"
        if self._claim is None:
            return
        body = getattr(response, "body", None)
        if not 200 <= response.status_code < 300 or body is None:
            await self.failed(response.status_code)
            return
        if self.creation.secret is not None:
            body = bytes(body).replace(self.creation.secret.encode(), creation.place_of_secret(self._claim.seed))
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        answer = Answer(response.status_code, headers, bytes(body))
        whole = self._fingerprint.digest() if self._acts_early else None
        await self._service.idempotency.finish(self._claim, answer, whole)

    async def failed(self, status: int) -> None:
        """The endpoint failed with this status.

        What is refused changed nothing, unless an earlier try did, or the endpoint acted before the body had ended.
        """
        if self._claim is not None:
            await self._service.idempotency.give_up(self._claim, unchanged=status < 500 and not self._acts_early)

    def count_replay(self) -> None:
        """The first answer takes the place of another one."""
        self._service.metrics.replayed.inc()

    def abandon(self) -> None:
        """Nobody waits for the answer any more."""
        if self._claim is not None:
            self._service.idempotency.abandon(self._claim)

    async def _claim_key(self) -> None:
        assert self._name is not None
        found = await self._service.idempotency.claim(self._name, self._fingerprint.digest())
        if isinstance(found, Taken):
            raise _Answered(self._replay(found))
        self._begin(found)

    def _begin(self, claim: Claim) -> None:
        self._claim = claim
        self.creation.seed = claim.seed
        self.creation.repeated = not claim.fresh

    def _replay(self, found: Taken) -> Response:
        assert found.answer is not None
        secret = creation.secret_of(found.seed, self.creation.caller_secret).encode()
        body = found.answer.body.replace(creation.place_of_secret(found.seed), secret)
        headers = found.answer.headers | {"Idempotent-Replayed": "true"}
        return Response(body, found.answer.status, headers)

    def _parse(self) -> str:
        sent = self._request.headers.getlist("idempotency-key")
        found = _KEY.fullmatch(sent[0].strip()) if len(sent) == 1 else None
        if found is None:
            raise InvalidRequest(
                "Idempotency-Key must be there once, of 1 to 255 visible ASCII characters, such as a UUID.",
                [FieldError("Idempotency-Key", "is no key")],
            )
        return found[1] or found[2]


_running: ContextVar[_Exchange | None] = ContextVar("exchange", default=None)


def _claiming(endpoint: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The endpoint, which begins by claiming the key, unless it is about to read a body, whose end claims it."""
    parameters = inspect.signature(endpoint).parameters
    # Only an endpoint that takes the request can read its body.
    reads_body = "request" in parameters
    early = hasattr(endpoint, "acts_early")

    @functools.wraps(endpoint)
    async def run(*args: Any, **kwargs: Any) -> Any:
        exchange = _running.get()
        if exchange is not None:
            await exchange.begin(reads_body=reads_body, acts_early=early)
        return await endpoint(*args, **kwargs)

    run.claims_key = True  # type: ignore[attr-defined]
    return run


def _status_of(error: Exception) -> int:
    if isinstance(error, ServiceError):
        return error.status
    return error.status_code if isinstance(error, HTTPException) else 500
