"""Waiting for a gallery's next change, without asking for it again and again."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Unavailable


class ChangeBell:
    """Wakes those who wait for a change when it is heard of; they then read for themselves.

    Args:
        limit: who may wait at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[int, dict[asyncio.Event, int]] = defaultdict(dict)
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(len(events) for events in self._waiting.values())

    @contextmanager
    def await_after(self, gallery_id: int, change: int) -> Iterator[asyncio.Event]:
        """An event that is set once a change after this one is heard of. Look for one after the block began.

        Raises:
            Unavailable: too many wait already.
        """
        if self.waiting >= self._limit:
            raise Unavailable(
                f"{self._limit} requests wait for changes already (TFCLIP_MAX_FOLLOWERS); try again, or ask with "
                "wait_seconds=0."
            )
        event = asyncio.Event()
        if self._closed:
            event.set()
        self._waiting[gallery_id][event] = change
        try:
            yield event
        finally:
            del self._waiting[gallery_id][event]
            if not self._waiting[gallery_id]:
                del self._waiting[gallery_id]

    def ring(self, gallery_id: int, change: int) -> None:
        """The gallery is at this change by now."""
        for event, known in self._waiting.get(gallery_id, {}).items():
            if change > known:
                event.set()

    def ring_all(self) -> None:
        """Something may have been missed: everybody looks."""
        for events in self._waiting.values():
            for event in events:
                event.set()

    def close(self) -> None:
        """Nobody waits any more, now or later: the service stops."""
        self._closed = True
        self.ring_all()
