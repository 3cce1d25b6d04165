"""Idempotency keys of this process: claimed, renewed while their requests run, and forgotten in the end."""

import asyncio
import time
import uuid
from datetime import timedelta

import structlog

from service.errors import DatabaseUnavailable, IdempotencyInProgress, IdempotencyKeyReused, ServiceError
from service.store import idempotency as store
from service.store.database import Database
from service.store.idempotency import Answer, Claim, Name, Taken

log = structlog.get_logger(__name__)

LEASE_SECONDS = 10.0
"""A claim that was not renewed for so long is of a dead process, and the next request may take it over."""

_RENEW_SECONDS = 3.0
_PURGE_SECONDS = 60.0
_COME_BACK_SECONDS = 2


def another_request() -> IdempotencyKeyReused:
    """The refusal of a request whose key belongs to another one."""
    return IdempotencyKeyReused(
        "This Idempotency-Key came with another request before. Send every new request under a new key."
    )


class IdempotencyKeys:
    """Who may work on a request that was sent under a key.

    Args:
        keep_seconds: for how long a key and its answer are remembered.
    """

    def __init__(self, database: Database, keep_seconds: float) -> None:
        self._database = database
        self._lease = timedelta(seconds=LEASE_SECONDS)
        self._keep = timedelta(seconds=keep_seconds)
        self._held: dict[uuid.UUID, Claim] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to renew and to purge."""
        self._tasks = [
            asyncio.create_task(self._renew(), name="idempotency keys"),
            asyncio.create_task(self._purge(), name="expired idempotency keys"),
        ]

    async def close(self) -> None:
        """Stop; claims that are still held run out."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def claim(self, name: Name, fingerprint: bytes, *, early: bool = False) -> Claim | Taken:
        """Claim the key for a request, or get what was answered to it.

        Args:
            early: the fingerprint is of the beginning of a request. Where one was answered, the caller sees whether it
                is the same to its end.

        Raises:
            IdempotencyKeyReused: it belongs to another request.
            IdempotencyInProgress: the same request is being worked on.
        """
        async with self._database.transaction() as connection:
            found = await store.claim(connection, name, fingerprint, self._lease, self._keep)
        if isinstance(found, Claim):
            self._held[found.owner] = found
            return found
        if found.fingerprint != fingerprint and not (early and found.answer is not None):
            raise another_request()
        if found.answer is None:
            raise IdempotencyInProgress(
                "The first request under this Idempotency-Key is not answered yet; send it again shortly.",
                retry_after=_COME_BACK_SECONDS,
            )
        return found

    async def finish(self, held: Claim, answer: Answer, whole: bytes | None = None) -> None:
        """Keep the answer of a request that changed something.

        Args:
            whole: the fingerprint of the whole request, where the claim was early.

        Never fails: what was created is there, and the same request finds it although the answer was not kept.
        """
        try:
            async with self._database.transaction() as connection:
                await store.finish(connection, held, answer, whole)
        except Exception as error:
            log.warning("the answer to a request under an idempotency key was not kept", error=repr(error))
        finally:
            self.abandon(held)

    async def give_up(self, held: Claim, *, unchanged: bool) -> None:
        """The request failed. Never fails itself: what cannot be written down runs out.

        Args:
            unchanged: it surely changed nothing, nor did an earlier try. Else only the same request may be sent again.
        """
        try:
            async with self._database.transaction() as connection:
                if unchanged and held.fresh:
                    await store.forget(connection, held)
                else:
                    await store.unlock(connection, held)
        except Exception as error:
            log.warning("an idempotency key stays locked for a while", error=repr(error))
        finally:
            self.abandon(held)

    def abandon(self, held: Claim) -> None:
        """Renew the claim no longer."""
        self._held.pop(held.owner, None)

    async def _renew(self) -> None:
        while True:
            began = time.monotonic()
            for held in list(self._held.values()):
                try:
                    async with self._database.transaction() as connection:
                        await store.renew(connection, held, self._lease)
                except ServiceError as error:
                    log.warning("an idempotency key is not renewed for now", error=str(error))
                except Exception:
                    log.exception("an idempotency key cannot be renewed")
            await asyncio.sleep(max(0.1, _RENEW_SECONDS - (time.monotonic() - began)))

    async def _purge(self) -> None:
        while True:
            try:
                async with self._database.transaction() as connection:
                    await store.purge(connection)
            except DatabaseUnavailable as error:
                log.warning("expired idempotency keys stay for now", error=str(error))
            except Exception:
                log.exception("expired idempotency keys cannot be removed")
            await asyncio.sleep(_PURGE_SECONDS)
