"""Frame files that a deletion or a failed upload leaves: removed soon, by one sweep of a gallery at a time."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

log = structlog.get_logger(__name__)

Sweep = Callable[[int, str, Sequence[bytes]], Awaitable[int]]
"""Removes those files of a gallery (id, name, digests) that no tracklet refers to; returns how many there were."""

_AGAIN_SECONDS = 2.0


class Leftovers:
    """Files that no tracklet may refer to any more, until a sweep has seen to them.

    A sweep waits for uploads that are writing, with a connection. So a gallery has one at a time, of all files that
    were left until then, and the others wait for it without one.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._files: dict[tuple[int, str], set[bytes]] = {}
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def remove(self, gallery_id: int, gallery: str, digests: Iterable[bytes]) -> None:
        """Remove those files that no tracklet refers to.

        Never fails: what these files were left by is over. What cannot be removed now is tried again.
        """
        self._files.setdefault((gallery_id, gallery), set()).update(digests)
        await self._try(gallery_id, gallery)

    async def keep_trying(self) -> None:
        """Remove what could not be removed at once; the sweep at the next start finds what is left in the end."""
        while True:
            await asyncio.sleep(_AGAIN_SECONDS)
            for gallery_id, gallery in list(self._files):
                await self._try(gallery_id, gallery)

    async def _try(self, gallery_id: int, gallery: str) -> None:
        async with self._turns[gallery_id]:
            digests = self._files.pop((gallery_id, gallery), None)
            if digests is None:
                # The one before took them along.
                return
            try:
                await self._sweep(gallery_id, gallery, list(digests))
            except Exception as error:
                self._files.setdefault((gallery_id, gallery), set()).update(digests)
                log.warning("frame files without a tracklet remain for now", gallery=gallery, error=repr(error))
