"""What tests of idempotency keys share: new keys, requests held up or cut off in the database, and claims that end."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support import RunningService

HELD = 8_260_011
"""The advisory lock by which a test holds a request up."""


def new_key() -> str:
    """A key that no request had before."""
    return str(uuid.uuid4())


def count(running: RunningService, table: str = "tracklets") -> int:
    """Rows of a table."""
    with running.database() as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@contextmanager
def trigger(running: RunningService, event: str, what: str) -> Iterator[psycopg.Connection]:
    """In the block, `event` on a table does `what`, PL/pgSQL, in the database first."""
    with running.database() as connection:
        connection.execute(
            f"CREATE FUNCTION first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NEW; END $$"
        )
        connection.execute(f"CREATE TRIGGER first BEFORE {event} FOR EACH ROW EXECUTE FUNCTION first()")
        try:
            yield connection
        finally:
            connection.execute("DROP FUNCTION first() CASCADE")


@contextmanager
def no_answer_kept(running: RunningService) -> Iterator[None]:
    """In the block, requests come as far as their COMMIT, and what a process killed there would not do fails."""
    what = "IF NEW.status IS NOT NULL THEN RAISE EXCEPTION 'killed'; END IF"
    with trigger(running, "UPDATE ON idempotency_keys", what):
        yield


def waits(connection: psycopg.Connection) -> bool:
    """Whether somebody waits for the lock that the test holds."""
    return connection.execute("SELECT bool_or(NOT granted) FROM pg_locks WHERE locktype = 'advisory'").fetchone()[0]


def let_claims_run_out(running: RunningService) -> None:
    """As if the process that held them had been killed a while ago."""
    with running.database() as connection:
        connection.execute("UPDATE idempotency_keys SET locked_until = now() - interval '1 s' WHERE status IS NULL")
