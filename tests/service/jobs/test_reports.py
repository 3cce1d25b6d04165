"""What a running job reports of itself, and hears."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from service.jobs.running import JobCancelled, RunningJob
from service.store import jobs, migrate
from service.store.database import Database

pytestmark = pytest.mark.anyio

FULL = (
    "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
    "CREATE TRIGGER no_room BEFORE UPDATE ON jobs EXECUTE FUNCTION no_room()",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    await asyncio.to_thread(migrate.upgrade, database_url)
    database = Database(database_url)
    yield database
    await database.close()


async def go_on(running: RunningJob) -> None:
    """Work as a job's function does, without an end."""
    while True:
        running.check()
        await asyncio.sleep(0.01)


async def test_a_job_hears_of_its_cancellation_after_reports_that_failed(database: Database) -> None:
    async with database.transaction() as connection:
        job = await jobs.create(connection, "reindex", None)
        await jobs.start(connection, job.id)
    running = RunningJob(database, job)
    async with running.reporting(), asyncio.timeout(20):
        with capture_logs() as logs:
            async with database.transaction() as connection:
                for statement in FULL:
                    await connection.execute(text(statement))
            while not logs:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with database.transaction() as connection:
            await connection.execute(text("DROP TRIGGER no_room ON jobs"))
            await jobs.request_cancel(connection, job.id)
        with pytest.raises(JobCancelled):
            await go_on(running)
