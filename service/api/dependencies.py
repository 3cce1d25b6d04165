"""What endpoints ask for, as annotated types: the service, and a caller with the right scope."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.values import REPEATABLE
from service.errors import FieldError, Forbidden, InvalidRequest, RateLimited, Unauthorized
from service.ingest.arriving import Owner
from service.runtime import Service
from service.store.keys import ApiKey, Scope

_LONGEST_KEY = 300

bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer <key>`.")


# FastAPI calls dependencies that are not async in a thread: two hand-overs to one and back, of every request.
async def get_service(request: Request) -> Service:
    """The running service."""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(get_service)]


async def single_valued(request: Request) -> None:
    """Refuse an option that is given twice, unless it is one that may be.

    Raises:
        InvalidRequest: which of the two was meant?
    """
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        if times > 1 and name not in REPEATABLE:
            raise InvalidRequest(f"{name[:100]!r} is given more than once.", [FieldError(name[:100], "given twice")])


def _require(scope: Scope) -> Callable[..., Awaitable[str]]:
    async def caller(
        request: Request,
        service: ServiceDep,
        credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    ) -> str:
        """The name of the caller's key, which has the scope."""
        if service.settings.auth == "off":
            return "anyone"
        if credentials is None:
            raise Unauthorized("Send an API key: `Authorization: Bearer <key>`.")
        if len(credentials.credentials) > _LONGEST_KEY or not credentials.credentials.isascii():
            raise Unauthorized("The API key is not known.")
        key = await service.callers.find(credentials.credentials)
        if key is None:
            raise Unauthorized("The API key is not known, or was revoked.")
        request.state.key = key
        limit = service.rate_limits.take(key)
        request.state.rate_limit = limit
        if limit is not None and limit.wait:
            raise RateLimited(
                f"This key may send {limit.quota} requests a minute. Wait {limit.wait} s, or ask an administrator for "
                "more (`requests_per_minute` of the key).",
                retry_after=limit.wait,
            )
        if scope not in key.scopes:
            raise Forbidden(f"This needs a key with scope `{scope}`; yours has {', '.join(sorted(key.scopes))}.")
        return key.name

    return caller


def owner_of(request: Request, service: Service) -> Owner:
    """Whose a tracklet is that this request stores; its caller is known by now."""
    key: ApiKey | None = getattr(request.state, "key", None)
    if key is None:
        return Owner()
    quota = service.settings.max_tracklets if key.max_tracklets is None else key.max_tracklets
    return Owner(key.id, quota or None)


ReadKey = Annotated[str, Depends(_require("read"))]
WriteKey = Annotated[str, Depends(_require("write"))]
AdminKey = Annotated[str, Depends(_require("admin"))]
