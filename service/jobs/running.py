"""What a job's function works with: how far it is, and whether it should stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from service.errors import ServiceError
from service.store import jobs as store
from service.store.database import Database
from service.store.jobs import Job

log = structlog.get_logger(__name__)

_REPORT_SECONDS = 0.5


class JobCancelled(Exception):
    """Somebody asked the job to stop, and it did."""


class JobRefused(Exception):
    """The job cannot do what it was asked; the message is for the one who asked and says what to do."""


class RunningJob:
    """A job that runs in this process.

    Attributes:
        job: as it was when it began.
        done: steps done so far; write to it, it is reported now and then.
        total: steps in all, None while unknown; likewise.
    """

    def __init__(self, database: Database, job: Job) -> None:
        self.job = job
        self.done = 0
        self.total: int | None = job.total
        self._database = database
        self._stop = False

    def check(self) -> None:
        """Stop here if somebody asked for it. Call it between two steps, as often as you like: it costs nothing.

        Raises:
            JobCancelled: somebody did.
        """
        if self._stop:
            raise JobCancelled

    async def report(self) -> None:
        """Write down how far the job is, and learn whether it should stop."""
        async with self._database.transaction() as connection:
            self._stop = await store.progress(connection, self.job.id, self.done, self.total)

    @asynccontextmanager
    async def reporting(self) -> AsyncIterator[None]:
        """Report regularly during the block."""
        await self.report()

        async def keep_reporting() -> None:
            while True:
                await asyncio.sleep(_REPORT_SECONDS)
                try:
                    await self.report()
                except ServiceError as error:
                    log.warning("job cannot report for now", job_id=str(self.job.id), error=str(error))
                except Exception:
                    # The next one may be heard, and brings word of a cancellation.
                    log.exception("job cannot report", job_id=str(self.job.id))

        reporter = asyncio.create_task(keep_reporting(), name="job progress")
        try:
            yield
        finally:
            reporter.cancel()
            await asyncio.gather(reporter, return_exceptions=True)
