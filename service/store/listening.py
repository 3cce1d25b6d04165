"""Hearing of changes as they are committed: LISTEN, over a connection of its own."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import structlog

from service.store.changes import CHANNEL
from service.store.database import conninfo

log = structlog.get_logger(__name__)

_RECONNECT_SECONDS = 1.0


async def announcements(url: str) -> AsyncIterator[str]:
    """What is announced on `CHANNEL`, for ever; an empty text after every connect: something may have been missed.

    A server that goes away is connected to again when it is back. Nobody may rely on this alone: look now and then.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                conninfo(url), autocommit=True, connect_timeout=5
            ) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                yield ""
                async for note in connection.notifies():
                    yield note.payload
        except psycopg.Error as error:
            log.warning("changes are not announced for now, and are looked for instead", error=str(error).strip())
        await asyncio.sleep(_RECONNECT_SECONDS)
