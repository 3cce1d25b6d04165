"""What PostgreSQL's failures are called: away, full, or a fault of ours."""

from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import DatabaseUnavailable, InsufficientStorage
from service.store.database import Database, unavailable_when_gone

pytestmark = pytest.mark.anyio

FULL = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
TERMINATED = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database."""
    database = Database(database_url, connections=1)
    yield database
    await database.close()


async def by_driver(connection: AsyncConnection, statement: str) -> None:
    """Past SQLAlchemy, as rows are copied."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    async with driver.cursor() as cursor:
        await cursor.execute(statement)


@pytest.mark.parametrize(
    ("statement", "called"), [(FULL, InsufficientStorage), (TERMINATED, DatabaseUnavailable)], ids=["full", "away"]
)
@pytest.mark.parametrize("raw", [False, True])
async def test_a_failure_has_its_name_and_the_next_statement_works(
    database: Database, statement: str, called: type[Exception], raw: bool
) -> None:
    for block in (database.transaction, database.reading, database.frozen):
        with pytest.raises(called):
            async with block() as connection:
                await (by_driver(connection, statement) if raw else connection.execute(text(statement)))
        async with block() as connection:
            assert await connection.scalar(text("SELECT 7")) == 7


async def test_a_server_that_is_not_there_is_away() -> None:
    nowhere = Database("postgresql://127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable):
        await nowhere.ping()
    await nowhere.close()


async def test_a_cursor_that_is_used_wrongly_is_no_outage(database: Database) -> None:
    async with database.reading() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        cursor = driver.cursor()
        await cursor.close()
    with pytest.raises(psycopg.InterfaceError, match="cursor is closed"), unavailable_when_gone():
        await cursor.execute("SELECT 1")
