"""Galleries come into memory, and what is in memory is brought up to date with the database."""

import asyncio
from collections.abc import Callable

import structlog

from service.errors import NotFound
from service.gallery.building import IndexLoader, IndexOutOfStep, ModelGone
from service.gallery.index import GalleryIndex
from service.gallery.served import Loaded, ServedGallery
from service.gallery.snapshot_folder import SnapshotFolder
from service.store import cameras as camera_store
from service.store import galleries as store
from service.store.database import Database
from service.store.galleries import Gallery

log = structlog.get_logger(__name__)


class GalleryLoader:
    """Loads galleries and refreshes them.

    Args:
        indexes: makes the indexes.
        as_loaded: makes an index ready to answer, given its generation and model.
    """

    def __init__(
        self,
        database: Database,
        snapshots: SnapshotFolder,
        indexes: IndexLoader,
        as_loaded: Callable[[GalleryIndex, int, str], Loaded],
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._indexes = indexes
        self._as_loaded = as_loaded
        self._clock = clock

    async def open(self, name: str) -> ServedGallery:
        """Load a gallery that is not in memory yet.

        Raises:
            NotFound: there is no such gallery.
            IndexOutOfStep, TooEarly, DatabaseUnavailable, OSError.
        """
        async with self._database.reading() as connection:
            gallery = await store.find(connection, name)
        if gallery is None:
            raise NotFound(f"There is no gallery {name!r}; the first upload that names it makes it.")
        began = self._clock()
        found = await self._indexes.load_serving(gallery.id)
        loaded = self._as_loaded(found.index, found.gallery.generation, found.gallery.model_id)
        saved_at = self._clock() if found.from_snapshot else float("-inf")
        async with self._database.reading() as connection:
            rules = await camera_store.rules(connection, gallery.id)
        served = ServedGallery(gallery.id, name, loaded, found.looked_at, rules, saved=found.saved, saved_at=saved_at)
        log.info(
            "gallery loaded",
            gallery=name,
            generation=loaded.generation,
            tracklets=len(found.index),
            source="snapshot" if found.from_snapshot else "database",
            seconds=round(self._clock() - began, 3),
        )
        return served

    async def refresh(self, served: ServedGallery, until: int | None = None) -> None:
        """Bring the gallery up to date: its changes, and another generation if one serves by now.

        Args:
            until: nothing to do if the index contains this change by the time it is our turn.

        Raises:
            NotFound: it was deleted, or is being.
            IndexOutOfStep, TooEarly, DatabaseUnavailable, OSError.
        """
        async with served.writing:
            loaded = served.loaded
            if until is not None and loaded.index.applied >= until:
                return
            try:
                gallery, looked_at = await self._indexes.advance(loaded.index, served.id, loaded.model_id)
                if loaded.serves(gallery):
                    await self._renew_rules(served, gallery)
                    served.current_at = looked_at
                    return
            except ModelGone:
                pass
            except IndexOutOfStep as error:
                # Its snapshot may be whole all the same: if it is not, loading it finds that out.
                log.error("index thrown away, loading it again", gallery=served.name, reason=str(error))
            await self._load_again(served)

    async def _load_again(self, served: ServedGallery) -> None:
        """Another process switched the generation, or the index is of no use: load what serves, then answer from it."""
        before = served.loaded.generation
        found = await self._indexes.load_serving(served.id)
        await self._renew_rules(served, found.gallery)
        served.loaded = self._as_loaded(found.index, found.gallery.generation, found.gallery.model_id)
        served.current_at = found.looked_at
        served.saved = -1
        served.replaced += 1
        if before != found.gallery.generation:
            await asyncio.to_thread(self._snapshots.forget, served.id, before)
            log.info("gallery switched elsewhere", gallery=served.name, generation=found.gallery.generation)

    async def _renew_rules(self, served: ServedGallery, gallery: Gallery) -> None:
        if served.rules.version != gallery.rules:
            async with self._database.reading() as connection:
                served.rules = await camera_store.rules(connection, served.id)
