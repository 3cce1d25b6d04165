"""Everything that one service process consists of: built in order, closed in reverse."""

import asyncio
from contextlib import AsyncExitStack, suppress

import structlog
from alembic.util.exc import CommandError
from sqlalchemy.exc import SQLAlchemyError

from model import WeightsError
from model.default_weights import DEMO_WEIGHTS, open_model
from model.devices import resolve_device
from service.calibration.job import CALIBRATE, Calibrator
from service.embedding.models import Models
from service.embedding.registry import ModelRegistry, register_default
from service.errors import DatabaseUnavailable, GalleryDeleting, InsufficientStorage, StartupError
from service.evidence.evidence import Evidence
from service.export.sheets import Sheets
from service.foundation import (
    DEFAULT_GALLERY,
    database_url,
    described,
    ensure_admin_key,
    in_background,
    prepare_data_directory,
    say_which_models_answer,
    sweep_once,
)
from service.gallery import drafts
from service.gallery.awaiting import ChangeBell
from service.gallery.demand import Demand
from service.gallery.following import Follower
from service.gallery.galleries import Galleries
from service.gallery.ranking import Search
from service.gallery.recall import RecallMonitor
from service.gallery.rows import scan_threads
from service.gallery.snapshot_folder import SnapshotFolder
from service.idempotency import IdempotencyKeys
from service.identities.editing import Editor
from service.identities.proposals import Proposals
from service.ingest.admission import Admission
from service.ingest.describing import UploadDescriber
from service.ingest.images import ImageLimits
from service.ingest.leftovers import Leftovers
from service.ingest.sweeping import Sweeper
from service.ingest.uploads import Uploads
from service.integrity.checks import Checker
from service.integrity.repair import REPAIR, Repairs
from service.jobs import reindex
from service.jobs.deleting import DELETE_GALLERY, Deletions, resume
from service.jobs.describing import Describer
from service.jobs.queue import JobQueue
from service.metrics import Metrics
from service.rate_limits import RateLimits
from service.runtime import Service
from service.settings import Settings
from service.store import galleries as gallery_store
from service.store import migrate
from service.store.database import Database
from service.store.embedded import PostgresError
from service.store.frames import FrameStore
from service.store.lookups import ChangesLookup, KeyLookup
from service.store.model_files import ModelFiles

log = structlog.get_logger(__name__)


async def start(settings: Settings, metrics: Metrics) -> Service:
    """Start the database, bring its schema up to date, load the model, begin to follow the galleries.

    Raises:
        StartupError: one line that says what is wrong and what to do.
    """
    async with AsyncExitStack() as parts:
        try:
            service = await _assemble(settings, metrics, parts)
        except (PostgresError, WeightsError, DatabaseUnavailable, InsufficientStorage) as error:
            raise StartupError(str(error)) from error
        except (SQLAlchemyError, CommandError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise StartupError(f"the database cannot be used: {first_line}") from error
        except OSError as error:
            raise StartupError(f"the data directory {settings.data_dir} cannot be used: {error}") from error
        service.parts = parts.pop_all()
    return service


def _drafts(settings: Settings, device: str) -> bool:
    """Whether indexes have drafts.

    Raises:
        StartupError: they are wanted, and this processor is not up to them.
    """
    wanted = settings.index_drafts
    if wanted == "off" or settings.index_rows != "float32" or device != "cpu":
        return False
    # On one core, as searches read them.
    sound = scan_threads().submit(drafts.are_exact_enough).result()
    if wanted == "on" and not sound:
        raise StartupError("TFCLIP_INDEX_DRAFTS=on: this processor's products of bfloat16 are too coarse; use auto.")
    return sound and (wanted == "on" or scan_threads().submit(drafts.are_faster).result())


async def _assemble(settings: Settings, metrics: Metrics, parts: AsyncExitStack) -> Service:
    try:
        device = resolve_device(settings.device)
        index_device = device if settings.index_device == "auto" else resolve_device(settings.index_device)
    except ValueError as error:
        raise StartupError(str(error)) from error
    network, provenance = await asyncio.to_thread(open_model, settings.weights)
    prepare_data_directory(settings)
    url = await database_url(settings, parts)
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
        await say_which_models_answer(connection, model)
    if settings.auth == "keys":
        await ensure_admin_key(settings, database)

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

    demand = Demand()

    def count_questions(questions: int) -> None:
        demand.note()
        metrics.batch_questions.observe(questions)

    has_drafts = await asyncio.to_thread(_drafts, settings, index_device)
    recall = RecallMonitor(settings.recall_share, metrics.count_recall)
    parts.callback(recall.close)
    snapshots = SnapshotFolder(settings.folder("index"))
    galleries = Galleries(
        database,
        snapshots,
        max_lag_seconds=settings.max_lag_seconds,
        index_options={
            "row_type": settings.index_rows,
            "device": index_device,
            "scratch": settings.folder("index"),
            "drafts": has_drafts,
        },
        on_batch=count_questions,
        recall=recall,
    )
    parts.push_async_callback(galleries.close)
    bell = ChangeBell(settings.max_followers)
    follower = Follower(
        database,
        galleries,
        snapshots,
        bell,
        poll_seconds=settings.poll_seconds,
        snapshot_seconds=settings.snapshot_seconds,
    )
    follower.start()
    parts.push_async_callback(follower.close)

    frames = FrameStore(settings.folder("frames"))
    limits = ImageLimits(settings.min_frame_side, settings.max_frame_side, settings.max_pixels)
    upload_describer = UploadDescriber(models, metrics, limits, settings.frame_cap, settings.decode_threads)
    parts.callback(upload_describer.close)
    sweeper = Sweeper(database, frames)
    leftovers = Leftovers(sweeper.sweep)
    uploads = Uploads(database, frames, leftovers, upload_describer, models, galleries, metrics)
    in_background(sweep_once(sweeper), "frame sweep", parts)
    in_background(leftovers.keep_trying(), "frame files left", parts)

    evidence = Evidence(database, frames, models, galleries, settings.frame_cap, settings.decode_threads)
    parts.callback(evidence.close)

    describer = Describer(database, frames, models, settings.frame_cap, lambda: demand.recent)
    parts.callback(describer.close)
    generations = reindex.Generations(database, galleries, describer)
    checker = Checker(database, frames, galleries, snapshots, describer)
    repairs = Repairs(database, galleries, sweeper, describer, checker)
    deletions = Deletions(database, galleries, frames, sweeper.sweep, always=DEFAULT_GALLERY, model_id=model.id)
    jobs = JobQueue(
        database,
        {
            reindex.REINDEX: generations.reindex,
            reindex.ACTIVATE: generations.activate,
            reindex.PURGE: generations.purge,
            REPAIR: repairs.repair,
            DELETE_GALLERY: deletions.delete,
            CALIBRATE: Calibrator(database, galleries).calibrate,
        },
        lambda kind, status, seconds: metrics.job_seconds.labels(kind, status).observe(seconds),
    )
    await jobs.start()
    parts.push_async_callback(jobs.close)
    await resume(database, jobs)

    idempotency = IdempotencyKeys(database, settings.idempotency_seconds)
    idempotency.start()
    parts.push_async_callback(idempotency.close)

    log.info("service started", **described(model), device=device, drafts=has_drafts, data_dir=str(settings.data_dir))
    search = Search(database, galleries, upload_describer, metrics, settings.max_rerank_top)
    parts.callback(search.close)
    sheets = Sheets(database, frames, limits)
    parts.callback(sheets.close)
    admission = Admission(settings.max_uploads)
    metrics.watch_uploads(lambda: admission.inside)
    metrics.watch_connections(lambda: database.in_use)
    return Service(
        settings=settings,
        metrics=metrics,
        database=database,
        callers=KeyLookup(database),
        model=model,
        models=models,
        registry=registry,
        galleries=galleries,
        changes=ChangesLookup(database, max(1, settings.database_connections // 4)),
        bell=bell,
        uploads=uploads,
        evidence=evidence,
        frames=frames,
        admission=admission,
        batches=Admission(settings.max_batches, "archives", "TFCLIP_MAX_BATCHES"),
        search=search,
        sheets=sheets,
        jobs=jobs,
        checker=checker,
        identities=Editor(database, galleries),
        proposals=Proposals(database, galleries, settings.max_proposal_tracklets),
        idempotency=idempotency,
        rate_limits=RateLimits(settings.requests_per_minute),
        parts=parts,
    )
