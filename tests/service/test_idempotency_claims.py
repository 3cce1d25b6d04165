"""Claims of idempotency keys, while their requests run."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from sqlalchemy import text

from service import idempotency
from service.idempotency import IdempotencyKeys
from service.store import migrate
from service.store.database import Database
from service.store.idempotency import Name

pytestmark = pytest.mark.anyio

FULL_FOR_ONE = (
    "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
    "CREATE TRIGGER no_room BEFORE UPDATE ON idempotency_keys FOR EACH ROW WHEN (OLD.key = 'one') "
    "EXECUTE FUNCTION no_room()",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    await asyncio.to_thread(migrate.upgrade, database_url)
    database = Database(database_url)
    yield database
    await database.close()


async def locked_until(database: Database, key: str) -> datetime:
    """When the claim runs out."""
    async with database.reading() as connection:
        statement = text("SELECT locked_until FROM idempotency_keys WHERE key = :key")
        return (await connection.execute(statement, {"key": key})).scalar_one()


async def renewed(database: Database, key: str) -> None:
    """Wait until the claim is renewed."""
    before = await locked_until(database, key)
    async with asyncio.timeout(20):
        while await locked_until(database, key) == before:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_claim_that_cannot_be_renewed_stops_neither_others_nor_its_own_renewal(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_RENEW_SECONDS", 0.1)
    keys = IdempotencyKeys(database, 3600)
    for key in ("one", "other"):
        await keys.claim(Name("anyone", "/tracklets", key), b"x" * 32)
    async with database.transaction() as connection:
        for statement in FULL_FOR_ONE:
            await connection.execute(text(statement))
    keys.start()
    try:
        await renewed(database, "other")
        async with database.transaction() as connection:
            await connection.execute(text("DROP TRIGGER no_room ON idempotency_keys"))
        await renewed(database, "one")
    finally:
        await keys.close()
