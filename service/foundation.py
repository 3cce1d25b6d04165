"""What must be there before a service's parts: folders, a database, a key; and what is said at its start."""

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from model.caution import caution
from service.errors import DatabaseUnavailable
from service.ingest.sweeping import Sweeper
from service.settings import Settings
from service.store import galleries as gallery_store
from service.store import keys
from service.store import models as model_store
from service.store.database import Database
from service.store.embedded import EmbeddedPostgres, PostgresError
from service.store.models import ModelRecord

log = structlog.get_logger(__name__)

DEFAULT_GALLERY = "default"
_WATCH_SECONDS = 1.0


async def say_which_models_answer(connection: AsyncConnection, default: ModelRecord) -> None:
    """Warn of weights that nobody should rely on, and name the galleries that stay on an earlier model."""
    said = caution(trained=default.trained, demo=default.demo)
    if said is not None:
        log.warning(said, **described(default))
    for gallery in await gallery_store.list_all(connection):
        if gallery.model_id != default.id:
            model = await model_store.get(connection, gallery.model_id)
            log.warning("gallery stays on the model that it was made under", gallery=gallery.name, **described(model))


def described(model: ModelRecord) -> dict[str, Any]:
    """How a model is named in the log."""
    return {"model": model.name, "trained": model.trained, "demo": model.demo, "model_id": model.id}


def prepare_data_directory(settings: Settings) -> None:
    """Make the data directory's folders; PostgreSQL may run as another user, who must be able to enter."""
    settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in ("frames", "index", "models"):
        settings.data_dir.joinpath(name).mkdir(mode=0o700, exist_ok=True)


async def database_url(settings: Settings, parts: AsyncExitStack) -> str:
    """The URL of the user's server, or of an embedded one, which is then watched and stopped with the service."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = EmbeddedPostgres(settings.folder("postgres"))
    await asyncio.to_thread(server.start)
    parts.push_async_callback(asyncio.to_thread, server.stop)
    in_background(_watch(server), "embedded PostgreSQL watch", parts)
    return server.url()


async def _watch(server: EmbeddedPostgres) -> None:
    """Bring the embedded server back when it dies."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        try:
            if await asyncio.to_thread(server.ensure_running):
                log.warning("embedded PostgreSQL had died and was started again")
        except PostgresError as error:
            log.error("embedded PostgreSQL cannot be started", error=str(error))


async def sweep_once(sweeper: Sweeper) -> None:
    """Remove files that killed uploads left, at a start."""
    try:
        await sweeper.sweep_all()
    except DatabaseUnavailable as error:
        log.warning("left-over frame files are kept until the next start", error=str(error))


async def ensure_admin_key(settings: Settings, database: Database) -> None:
    """See to it that a valid admin key exists; a new one is shown once, on stderr."""
    async with database.transaction() as connection:
        if settings.admin_key is not None:
            await keys.ensure(connection, "TFCLIP_ADMIN_KEY", list(keys.SCOPES), settings.admin_key.get_secret_value())
            return
        if await keys.any_admin(connection):
            return
        secret = keys.new_secret()
        await keys.create(connection, "first admin key", list(keys.SCOPES), secret)
    # For the person at the terminal, once; it is nowhere else to be found, logs included.
    sys.stderr.write(f"\nAdmin key, shown this once. Keep it:\n\n    {secret}\n\n")
    sys.stderr.flush()


def in_background(work: Coroutine[Any, Any, None], name: str, parts: AsyncExitStack) -> None:
    """Run `work` until the service closes."""
    task = asyncio.create_task(work, name=name)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    parts.push_async_callback(stop)
