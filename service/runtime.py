"""Everything that one service process consists of: built in order, closed in reverse."""

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import structlog
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from model import WeightsError
from model.caution import caution
from model.default_weights import DEMO_WEIGHTS, open_model
from model.devices import resolve_device
from service.embedding.models import Models
from service.embedding.registry import ModelRegistry, register_default
from service.errors import DatabaseUnavailable, GalleryDeleting, StartupError
from service.gallery.following import Follower
from service.gallery.galleries import Galleries
from service.gallery.ranking import Search
from service.gallery.snapshot_folder import SnapshotFolder
from service.ingest.admission import Admission
from service.ingest.images import ImageLimits
from service.ingest.uploads import Uploads
from service.integrity.checks import Checker
from service.integrity.repair import REPAIR, Repairs
from service.jobs import reindex
from service.jobs.deleting import DELETE_GALLERY, Deletions, resume
from service.jobs.describing import Describer
from service.jobs.queue import JobQueue
from service.metrics import Metrics
from service.settings import Settings
from service.store import galleries as gallery_store
from service.store import keys, migrate
from service.store import models as model_store
from service.store.database import Database
from service.store.embedded import EmbeddedPostgres, PostgresError
from service.store.frames import FrameStore
from service.store.model_files import ModelFiles
from service.store.models import ModelRecord

log = structlog.get_logger(__name__)

DEFAULT_GALLERY = "default"
_WATCH_SECONDS = 1.0


@dataclass
class Service:
    """The parts that the API works with."""

    settings: Settings
    metrics: Metrics
    database: Database
    model: ModelRecord
    models: Models
    registry: ModelRegistry
    galleries: Galleries
    uploads: Uploads
    frames: FrameStore
    admission: Admission
    search: Search
    jobs: JobQueue
    checker: Checker
    parts: AsyncExitStack

    @classmethod
    async def start(cls, settings: Settings, metrics: Metrics) -> "Service":
        """Start the database, bring its schema up to date, load the model, begin to follow the galleries.

        Raises:
            StartupError: one line that says what is wrong and what to do.
        """
        async with AsyncExitStack() as parts:
            try:
                service = await _assemble(settings, metrics, parts)
            except (PostgresError, WeightsError, DatabaseUnavailable) as error:
                raise StartupError(str(error)) from error
            except (SQLAlchemyError, CommandError) as error:
                first_line = str(error).strip().splitlines()[0]
                raise StartupError(f"the database cannot be used: {first_line}") from error
            except OSError as error:
                raise StartupError(f"the data directory {settings.data_dir} cannot be used: {error}") from error
            service.parts = parts.pop_all()
        return service

    async def close(self) -> None:
        """Stop everything, in reverse order, saving what makes the next start fast."""
        await self.parts.aclose()


async def _assemble(settings: Settings, metrics: Metrics, parts: AsyncExitStack) -> Service:
    try:
        device = resolve_device(settings.device)
        index_device = device if settings.index_device == "auto" else resolve_device(settings.index_device)
    except ValueError as error:
        raise StartupError(str(error)) from error
    network, provenance = await asyncio.to_thread(open_model, settings.weights)
    _prepare_data_directory(settings)
    url = await _database_url(settings, parts)
    await asyncio.to_thread(migrate.upgrade, url)
    database = Database(url, settings.database_connections)
    parts.push_async_callback(database.close)

    files = ModelFiles(settings.folder("models"))
    await asyncio.to_thread(files.discard_incoming)
    model = await register_default(database, files, network, provenance, settings.weights or DEMO_WEIGHTS)
    async with database.transaction() as connection:
        # There always is one, unless it is just being deleted: it is made anew at the end of that.
        with suppress(GalleryDeleting):
            await gallery_store.find_or_create(connection, DEFAULT_GALLERY, model.id)
        await _say_which_models_answer(connection, model)
    if settings.auth == "keys":
        await _ensure_admin_key(settings, database)

    def count_batch(clips: int) -> None:
        metrics.batch_clips.observe(clips)

    models = Models(
        files,
        network,
        device,
        settings.batch_clips,
        settings.queue_clips,
        count_batch,
        settings.precision,
    )
    parts.push_async_callback(models.close)
    registry = ModelRegistry(database, files, models, settings.max_model_bytes)
    metrics.watch_queue(lambda: models.load)

    snapshots = SnapshotFolder(settings.folder("index"))
    galleries = Galleries(
        database,
        snapshots,
        max_lag_seconds=settings.max_lag_seconds,
        index_options={
            "row_type": settings.index_rows,
            "device": index_device,
            "scratch": settings.folder("index"),
        },
        on_batch=metrics.batch_questions.observe,
    )
    parts.push_async_callback(galleries.close)
    follower = Follower(
        database,
        galleries,
        snapshots,
        poll_seconds=settings.poll_seconds,
        snapshot_seconds=settings.snapshot_seconds,
    )
    follower.start()
    parts.push_async_callback(follower.close)

    frames = FrameStore(settings.folder("frames"))
    uploads = Uploads(
        database,
        frames,
        models,
        galleries,
        metrics,
        ImageLimits(settings.min_frame_side, settings.max_frame_side, settings.max_pixels),
        settings.frame_cap,
        settings.decode_threads,
    )
    parts.callback(uploads.close)
    _in_background(_sweep_once(uploads), "frame sweep", parts)

    describer = Describer(database, frames, models, settings.frame_cap)
    parts.callback(describer.close)
    generations = reindex.Generations(database, galleries, describer)
    checker = Checker(database, frames, galleries, snapshots, describer)
    deletions = Deletions(database, galleries, frames, uploads.sweep, always=DEFAULT_GALLERY, model_id=model.id)
    repairs = Repairs(database, galleries, uploads, describer, checker, generations)
    jobs = JobQueue(
        database,
        {
            reindex.REINDEX: generations.reindex,
            reindex.ACTIVATE: generations.activate,
            reindex.PURGE: generations.purge,
            REPAIR: repairs.repair,
            DELETE_GALLERY: deletions.delete,
        },
    )
    await jobs.start()
    parts.push_async_callback(jobs.close)
    await resume(database, jobs)

    log.info("service started", **_described(model), device=device, data_dir=str(settings.data_dir))
    search = Search(database, galleries, uploads, metrics)
    admission = Admission(settings.max_uploads)
    return Service(
        settings,
        metrics,
        database,
        model,
        models,
        registry,
        galleries,
        uploads,
        frames,
        admission,
        search,
        jobs,
        checker,
        parts,
    )


async def _say_which_models_answer(connection: AsyncConnection, default: ModelRecord) -> None:
    """Warn of weights that nobody should rely on, and name the galleries that stay on an earlier model."""
    said = caution(trained=default.trained, demo=default.demo)
    if said is not None:
        log.warning(said, **_described(default))
    for gallery in await gallery_store.list_all(connection):
        if gallery.model_id != default.id:
            model = await model_store.get(connection, gallery.model_id)
            log.warning("gallery stays on the model that it was made under", gallery=gallery.name, **_described(model))


def _described(model: ModelRecord) -> dict[str, Any]:
    return {"model": model.name, "trained": model.trained, "demo": model.demo, "model_id": model.id}


def _prepare_data_directory(settings: Settings) -> None:
    settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in ("frames", "index", "models"):
        settings.data_dir.joinpath(name).mkdir(mode=0o700, exist_ok=True)


async def _database_url(settings: Settings, parts: AsyncExitStack) -> str:
    """The URL of the user's server, or of an embedded one, which is then watched and stopped with the service."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = EmbeddedPostgres(settings.folder("postgres"))
    await asyncio.to_thread(server.start)
    parts.push_async_callback(asyncio.to_thread, server.stop)
    _in_background(_watch(server), "embedded PostgreSQL watch", parts)
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


async def _sweep_once(uploads: Uploads) -> None:
    try:
        await uploads.sweep_all()
    except DatabaseUnavailable as error:
        log.warning("left-over frame files are kept until the next start", error=str(error))


async def _ensure_admin_key(settings: Settings, database: Database) -> None:
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


def _in_background(work: Coroutine[Any, Any, None], name: str, parts: AsyncExitStack) -> None:
    task = asyncio.create_task(work, name=name)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    parts.push_async_callback(stop)
