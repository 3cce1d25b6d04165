"""Galleries follow the database: changes are announced as they are committed, and looked for besides."""

import asyncio
import contextlib

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import DatabaseUnavailable
from service.gallery.awaiting import ChangeBell
from service.gallery.galleries import Galleries
from service.gallery.snapshot_folder import SnapshotFolder
from service.store import galleries as store
from service.store import generations as generation_store
from service.store.database import Database
from service.store.galleries import Gallery
from service.store.listening import announcements

log = structlog.get_logger(__name__)

_LEAST_SECONDS_BETWEEN_LOOKS = 0.02


class Follower:
    """Keeps every gallery of the database loaded and current, in the background.

    Args:
        bell: rung at every change that is heard of, this process's own included.
        poll_seconds: time between two looks at the change numbers, if nothing is announced.
        snapshot_seconds: least time between two snapshots of one gallery.
    """

    def __init__(
        self,
        database: Database,
        galleries: Galleries,
        snapshots: SnapshotFolder,
        bell: ChangeBell,
        *,
        poll_seconds: float,
        snapshot_seconds: float,
    ) -> None:
        self._database = database
        self._galleries = galleries
        self._snapshots = snapshots
        self._bell = bell
        self._poll = poll_seconds
        self._snapshot_seconds = snapshot_seconds
        self._announced = asyncio.Event()
        self._swept = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Load every gallery and follow them."""
        self._tasks = [
            asyncio.create_task(self._follow(), name="gallery follower"),
            asyncio.create_task(self._listen(), name="gallery listener"),
        ]

    async def close(self) -> None:
        """Stop following."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        async for announcement in announcements(self._database.url):
            gallery_id, _, change = announcement.partition(" ")
            if not announcement:
                self._bell.ring_all()
            elif change.isdigit():
                self._bell.ring(int(gallery_id), int(change))
            # Most announcements are of this process's own changes, which its index contains already.
            if not any(
                str(served.id) == gallery_id and change.isdigit() and served.index.applied >= int(change)
                for served in self._galleries.served()
            ):
                self._announced.set()

    async def _follow(self) -> None:
        while True:
            try:
                await self._look()
            except DatabaseUnavailable as error:
                log.warning("galleries cannot follow the database", error=str(error))
            except Exception:
                log.exception("galleries failed to follow the database")
            await asyncio.sleep(_LEAST_SECONDS_BETWEEN_LOOKS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._announced.wait(), self._poll)

    async def _look(self) -> None:
        self._announced.clear()
        looked_at = self._galleries.clock()
        async with self._database.reading() as connection:
            present = await store.list_all(connection)
            if not self._swept:
                await self._sweep(connection)
                self._swept = True
            await self._galleries.calibrations.refresh(connection)
        self._galleries.keep_only([gallery.name for gallery in present])
        for gallery in present:
            self._bell.ring(gallery.id, gallery.change)
            self._attend(gallery, looked_at)

    async def _sweep(self, connection: AsyncConnection) -> None:
        """Remove snapshots of generations that do not exist, and what was left half-written."""
        # The files first: another process may add a generation meanwhile, and save it.
        saved = await asyncio.to_thread(self._snapshots.generations)
        for gone in saved - await generation_store.numbers(connection):
            await asyncio.to_thread(self._snapshots.forget, *gone)
        await asyncio.to_thread(self._snapshots.discard_half_written)

    def _attend(self, gallery: Gallery, looked_at: float) -> None:
        """See what a gallery needs, and have it done beside the others'."""
        served = self._galleries.find(gallery.name)
        if served is not None and served.id != gallery.id:
            # Deleted, and made anew under the same name.
            self._galleries.let_go(served)
            served = None
        if served is None:
            self._galleries.open_soon(gallery.name)
            return
        state = (served.index.applied, served.rules.version)
        if served.loaded.serves(gallery) and state == (gallery.change, gallery.rules):
            served.current_at = max(served.current_at, looked_at)
        else:
            self._galleries.refresh_soon(served)
        self._galleries.renewer.renew_soon(served, gallery)
        if self._galleries.clock() - served.saved_at > self._snapshot_seconds:
            self._galleries.saver.save_soon(served)
