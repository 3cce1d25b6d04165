"""The job queue: procrastinate in the same PostgreSQL, so that a job is enqueued in its row's own transaction."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import procrastinate
import structlog
from procrastinate.exceptions import ProcrastinateException
from sqlalchemy.ext.asyncio import AsyncConnection

from service import creation
from service.errors import DatabaseUnavailable, ServiceError
from service.jobs.running import JobCancelled, JobRefused, RunningJob
from service.store import jobs as store
from service.store.database import SEARCH_PATH_OPTION, Database, conninfo

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 2.0
STALLED_SECONDS = 10.0
"""A worker without a heartbeat for so long is dead, and its job is taken up again from the beginning."""

JobFunction = Callable[[RunningJob], Awaitable[dict[str, Any] | None]]
"""What a kind of job does; what it returns is the job's result. It must bear being run again after a crash."""


class JobQueue:
    """Enqueues jobs and works them off, one at a time, inside this process.

    Args:
        database: for the jobs' own rows.
        functions: what to run for each kind of job.
        on_end: called with kind, status and seconds of every job that ended, for metrics.
    """

    def __init__(
        self,
        database: Database,
        functions: dict[str, JobFunction],
        on_end: Callable[[str, str, float], None] = lambda kind, status, seconds: None,
    ) -> None:
        self._database = database
        self._on_end = on_end
        connector = procrastinate.PsycopgConnector(
            conninfo=conninfo(database.url),
            kwargs={"options": SEARCH_PATH_OPTION},
            min_size=1,
            max_size=4,
        )
        self._app = procrastinate.App(connector=connector)
        self._tasks = {kind: self._register(kind, function) for kind, function in functions.items()}
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to work."""
        await self._app.open_async()
        self._running = [
            asyncio.create_task(self._keep(self._work), name="job worker"),
            asyncio.create_task(self._keep(self._revive_stalled), name="stalled jobs"),
        ]

    async def close(self) -> None:
        """Stop; a job that runs is taken up again by the next process."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._app.close_async()

    async def enqueue(
        self, connection: AsyncConnection, kind: str, gallery_id: int, parameters: Mapping[str, Any] | None = None
    ) -> store.Job:
        """Write the job and its queue entry in the caller's transaction: both exist, or neither."""
        job_id = creation.new_id(f"job {kind} {gallery_id}")
        if creation.may_exist() and (made := await store.find(connection, job_id)) is not None:
            # Its request was sent again under the same idempotency key.
            return made
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        job = await store.create(connection, kind, gallery_id, parameters, job_id=job_id, request_id=request_id)
        await self._defer(connection, job)
        return job

    async def _defer(self, connection: AsyncConnection, job: store.Job) -> None:
        raw = (await connection.get_raw_connection()).driver_connection
        # The lock makes jobs of one gallery run one after another.
        task = self._tasks[job.kind].configure(connection=raw, lock=f"gallery {job.gallery}")
        await task.defer_async(job_id=str(job.id))

    def _register(self, kind: str, function: JobFunction) -> "procrastinate.tasks.Task[Any, Any, Any]":
        async def run(job_id: str) -> None:
            identifier = uuid.UUID(job_id)
            async with self._database.transaction() as connection:
                job = await store.find(connection, identifier)
                if job is None or job.finished_at is not None:
                    return
                await store.start(connection, identifier)
            about = {"job_id": job_id, "kind": kind} | ({"request_id": job.request_id} if job.request_id else {})
            with structlog.contextvars.bound_contextvars(**about):
                await self._run(RunningJob(self._database, job), function)

        retry = procrastinate.RetryStrategy(wait=2, retry_exceptions={DatabaseUnavailable})
        return self._app.task(name=kind, retry=retry)(run)

    async def _run(self, running: RunningJob, function: JobFunction) -> None:
        log.info("job started")
        began = time.monotonic()
        result: dict[str, Any] | None = None
        status, said = "succeeded", None
        try:
            async with running.reporting():
                # It looks itself whether it was cancelled: one that is run again may have something to take back.
                result = await function(running)
        except DatabaseUnavailable:
            # Nothing can be written down now. The queue retries.
            raise
        except JobCancelled:
            status = "cancelled"
        except (JobRefused, ServiceError) as error:
            log.warning("job cannot be done", reason=str(error))
            status, said = "failed", str(error)
        except Exception as error:
            log.exception("job failed")
            status, said = "failed", f"{type(error).__name__}: {error}"
        await running.report()
        async with self._database.transaction() as connection:
            await store.finish(connection, running.job.id, status, said, result)
        seconds = time.monotonic() - began
        self._on_end(running.job.kind, status, seconds)
        log.info("job ended", status=status, seconds=round(seconds, 3))

    async def _work(self) -> None:
        await self._app.run_worker_async(
            concurrency=1,
            install_signal_handlers=False,
            delete_jobs="always",
            # What is taken up again is not announced.
            fetch_job_polling_interval=HEARTBEAT_SECONDS,
            update_heartbeat_interval=HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
            shutdown_graceful_timeout=0,
        )

    async def _revive_stalled(self) -> None:
        while True:
            for entry in await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
                log.warning("job of a dead process is taken up again", kind=entry.task_name, **entry.task_kwargs)
                await self._app.job_manager.retry_job(entry)
            async with self._database.transaction() as connection:
                # A process that was told to stop gives its queue entry up.
                for job in await store.lost(connection):
                    log.warning("job of a stopped process is taken up again", kind=job.kind, job_id=str(job.id))
                    await self._defer(connection, job)
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` for ever: a database that goes away takes it down, and it comes back."""
        while True:
            try:
                await work()
            except (ProcrastinateException, OSError) as error:
                log.warning("job queue lost the database", error=str(error))
            except Exception:
                log.exception("job queue failed")
            await asyncio.sleep(1.0)
