"""The connection to PostgreSQL: one engine, short transactions, and one answer when the server is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import QueuePool

from service.disk import no_room
from service.errors import DatabaseUnavailable

SEARCH_PATH_OPTION = "-c search_path=public,procrastinate"
"""The queue's tables live in a schema of their own; both are found without naming them."""


def sqlalchemy_url(url: str) -> str:
    """`url` with the driver that this project uses, psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def conninfo(url: str) -> str:
    """`url` as libpq reads it, for those who connect without SQLAlchemy."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class Database:
    """Engine and pool of one process.

    Args:
        url: `postgresql://...`; any driver suffix is replaced.
        connections: connections held at most.
    """

    def __init__(self, url: str, connections: int = 20) -> None:
        self.url = sqlalchemy_url(url)
        self._engine = create_async_engine(
            self.url,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=5,
            # A restarted server leaves dead connections in the pool. The first query that meets one fails, with a 503,
            # and SQLAlchemy then drops them all; asking each before every use would cost every request a round trip.
            connect_args={"options": SEARCH_PATH_OPTION, "connect_timeout": 5},
        )
        self._changing = asyncio.Semaphore(max(1, connections // 2))
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose work is committed at the end of the block, or rolled back by an exception.

        Raises:
            DatabaseUnavailable: the server is away, starting, or has no connection to spare.
            InsufficientStorage: its disk is full.
        """
        with unavailable_when_gone():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """As `transaction`, for uploads and deletions, many of which may wait for one gallery's row.

        They have half of the connections, so that searches find one whatever the others wait for.

        Raises:
            DatabaseUnavailable: as `transaction`.
        """
        async with self._changing, self.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads that need not agree with one another: each statement stands for itself.

        Raises:
            DatabaseUnavailable: as `transaction`.
        """
        with unavailable_when_gone():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[AsyncConnection]:
        """A read-only connection that sees the database as it stood at its first statement (REPEATABLE READ).

        Raises:
            DatabaseUnavailable: as `transaction`.
        """
        with unavailable_when_gone():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def session_lock(self, key: int, wait: Callable[[], Awaitable[None]]) -> AsyncIterator[AsyncConnection]:
        """Hold an advisory lock during the block, over every process on this database.

        Args:
            wait: called before every further try while somebody else holds it; may raise.

        Yields:
            The connection that holds the lock: a statement over it fails once the lock may be lost.

        Raises:
            DatabaseUnavailable: as `transaction`.
        """
        with unavailable_when_gone():
            async with self._reader.connect() as connection:
                while not await connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
                    await wait()
                try:
                    yield connection
                finally:
                    if not connection.invalidated:
                        await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})

    @property
    def in_use(self) -> int:
        """Connections of the pool that somebody has taken out."""
        pool = self._engine.pool
        assert isinstance(pool, QueuePool)
        return pool.checkedout()

    async def ping(self) -> None:
        """Ask the server for a sign of life.

        Raises:
            DatabaseUnavailable: there is none.
        """
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()


class unavailable_when_gone:  # noqa: N801 - reads as a verb where it is used
    """Turns the driver's ways of saying "no server" into `DatabaseUnavailable`, and "no room" into
    `InsufficientStorage`; passes everything else on.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PoolTimeoutError):
            raise DatabaseUnavailable("Every database connection is busy; try again shortly.") from error
        if isinstance(error.orig if isinstance(error, DBAPIError) else error, psycopg.errors.DiskFull):
            raise no_room("PostgreSQL's data") from error
        if isinstance(error, DBAPIError) and (error.connection_invalidated or _server_is_away(error.orig)):
            raise DatabaseUnavailable("PostgreSQL does not answer; try again shortly.") from error
        if isinstance(error, psycopg.OperationalError) and _server_is_away(error):
            raise DatabaseUnavailable("PostgreSQL does not answer; try again shortly.") from error


def _server_is_away(error: BaseException | None) -> bool:
    """Connection failures have no SQLSTATE, or one of class 08 (connection), 57P (shutdown), 53 (no resources).

    Only psycopg's OperationalError is one: its InterfaceError says that we used a cursor or a connection wrongly.
    """
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = error.sqlstate
    return state is None or state.startswith(("08", "57P", "53"))
