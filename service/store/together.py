"""Lookups that are asked for at the same time, made by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Together(Generic[K, V]):
    """Looks things up by key: whoever asks in the same turn of the event loop shares one call of `load`.

    Nothing is kept: every lookup begins after it was asked for, so an answer is never older than the question.

    Args:
        load: finds what is there of some keys; called with all that were asked for together.
    """

    def __init__(self, load: Callable[[Collection[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._load = load
        self._asked: set[K] = set()
        self._lookup: asyncio.Task[Mapping[K, V]] | None = None

    async def find(self, keys: Iterable[K]) -> Mapping[K, V]:
        """What is there of these keys, and maybe of others.

        Raises:
            Exception: whatever `load` raised, to each who shared the call.
        """
        self._asked.update(keys)
        if self._lookup is None:
            self._lookup = asyncio.create_task(self._run(), name="lookup")
        # One who hangs up must not take the answer from the others.
        return await asyncio.shield(self._lookup)

    async def _run(self) -> Mapping[K, V]:
        # From here on, who asks is too late for this one.
        asked, self._asked, self._lookup = self._asked, set(), None
        return await self._load(asked)
