"""Frame files that no tracklet refers to are removed: one tracklet's, and what killed uploads left."""

import asyncio
from collections.abc import Sequence

import structlog

from service.store import frame_locks
from service.store import galleries as gallery_store
from service.store import integrity as integrity_store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.galleries import Gallery

log = structlog.get_logger(__name__)

_FILES_AT_ONCE = 5000


class Sweeper:
    """Removes frame files, never one that a tracklet refers to or may be about to."""

    def __init__(self, database: Database, frame_store: FrameStore) -> None:
        self._database = database
        self._frame_store = frame_store

    async def sweep(self, gallery_id: int, gallery: str, digests: Sequence[bytes]) -> int:
        """Remove those files among `digests` that no tracklet refers to; returns how many there were."""
        # It waits for whoever writes files, so it leaves connections to searches.
        async with self._database.changing() as connection:
            await frame_locks.lock_frames_exclusively(connection, gallery_id)
            orphans = await frame_locks.unreferenced(connection, gallery_id, digests)
            return await asyncio.to_thread(self._frame_store.remove, gallery, orphans)

    async def sweep_all(self) -> None:
        """Remove what uploads that were killed half-way left on disk.

        Files of a gallery in which frame rows are wrong are left: they may be those that the rows should name.
        """
        await asyncio.to_thread(self._frame_store.discard_incoming)
        async with self._database.transaction() as connection:
            present = await gallery_store.list_all(connection)
        for gallery in present:
            orphans = await self._orphans(gallery)
            if not orphans:
                continue
            async with self._database.reading() as connection:
                wrong = await integrity_store.with_wrong_frame_rows(connection, gallery.id)
            if wrong:
                log.error(
                    "frame files without a tracklet are left, since frame rows are wrong; tfclip integrity names them",
                    gallery=gallery.name,
                    files=len(orphans),
                    tracklets=len(wrong),
                )
                continue
            removed = 0
            for start in range(0, len(orphans), _FILES_AT_ONCE):
                removed += await self.sweep(gallery.id, gallery.name, orphans[start : start + _FILES_AT_ONCE])
            if removed:
                log.warning("frame files without a tracklet removed", gallery=gallery.name, files=removed)

    async def _orphans(self, gallery: Gallery) -> list[bytes]:
        """Files of the gallery that no row names, or none yet: nobody is locked out for it."""
        digests = await asyncio.to_thread(self._frame_store.digests, gallery.name)
        orphans = []
        async with self._database.reading() as connection:
            for start in range(0, len(digests), _FILES_AT_ONCE):
                orphans += await frame_locks.unreferenced(
                    connection, gallery.id, digests[start : start + _FILES_AT_ONCE]
                )
        return orphans
