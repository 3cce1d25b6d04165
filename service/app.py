"""The application: `create_app(settings)` builds everything when it starts and closes everything when it stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from service.api.description import complete
from service.api.middleware import BodyLimit, JoinedConditions, RequestContext, UriLimit
from service.api.problems import install_problem_handlers
from service.api.routers import ROUTERS
from service.assembly import start
from service.errors import StartupError
from service.metrics import Metrics
from service.settings import Settings

_DESCRIPTION = """
A person seen by one camera is a *tracklet*, a short sequence of crops. Upload tracklets, then ask where else a person
was seen: the answer is a ranking by cosine similarity of TF-CLIP descriptors, exact over the whole gallery.

Every request carries `Authorization: Bearer <key>`. Every error is `application/problem+json` (RFC 9457).
"""


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application. Nothing is opened before its lifespan begins.

    A start that fails raises `StartupError` from the lifespan and leaves it in `app.state.startup_error`.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            service = await start(settings, metrics)
        except StartupError as error:
            app.state.startup_error = error
            raise
        app.state.service = service
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="tfclip: video person re-identification",
        version=version("tfclip"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        separate_input_output_schemas=False,
        # A redirect would send the caller, key and all, wherever the Host header says.
        redirect_slashes=False,
    )
    app.state.startup_error = None
    for router in ROUTERS:
        app.include_router(router)
    install_problem_handlers(app)
    _complete_description(app)
    app.add_middleware(JoinedConditions)
    # The last one added is the outermost: a refused body has a request id too.
    app.add_middleware(
        BodyLimit,
        limit=settings.max_body_bytes,
        model_limit=settings.max_model_bytes,
        batch_limit=settings.max_batch_bytes,
    )
    app.add_middleware(UriLimit, limit=settings.max_uri_bytes)
    app.add_middleware(RequestContext, metrics=metrics)
    return app


def _complete_description(app: FastAPI) -> None:
    """Make the OpenAPI document whole when it is first asked for."""
    generate = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            complete(generate())
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]
