"""The galleries as this process serves them: loaded, kept current, or honestly not ready."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

from service.calibration.answers import ServedCalibrations
from service.errors import DatabaseUnavailable, IndexNotReady, NotFound
from service.gallery.batching import SearchBatcher
from service.gallery.building import IndexLoader, IndexOutOfStep, ModelGone, TooEarly
from service.gallery.filters import NO_RULES
from service.gallery.index import GalleryIndex
from service.gallery.recall import RecallMonitor
from service.gallery.renewing import Renewer
from service.gallery.served import Loaded, ServedGallery
from service.gallery.snapshot_folder import SnapshotFolder
from service.store import cameras as camera_store
from service.store import galleries as store
from service.store.cameras import Rules
from service.store.database import Database
from service.store.galleries import Gallery

log = structlog.get_logger(__name__)

T = TypeVar("T")

_SEARCH_THREADS = 2


class Galleries:
    """Every gallery that this process has in memory.

    Args:
        database: the truth.
        snapshots: where indexes are saved.
        max_lag_seconds: an index that is not known to be current for longer does not answer.
        index_options: how indexes of this process are made, as keywords of `GalleryIndex`.
        on_batch: called with the number of questions that were answered together.
        recall: compares some answers with brute force.
    """

    def __init__(
        self,
        database: Database,
        snapshots: SnapshotFolder,
        *,
        max_lag_seconds: float,
        index_options: dict[str, Any] | None = None,
        on_batch: Callable[[int], None] = lambda size: None,
        recall: RecallMonitor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.calibrations = ServedCalibrations()
        self._database = database
        self._snapshots = snapshots
        self._loader = IndexLoader(database, snapshots, index_options or {}, clock)
        self._max_lag = max_lag_seconds
        self._on_batch = on_batch
        self._recall = recall
        self._served: dict[str, ServedGallery] = {}
        self._known: frozenset[str] | None = None
        self._opening: dict[str, asyncio.Task[ServedGallery]] = {}
        self._threads = ThreadPoolExecutor(_SEARCH_THREADS, thread_name_prefix="search")
        self.renewer = Renewer(self._loader, self._as_loaded, clock)

    async def close(self) -> None:
        """Save what changed since the last snapshots."""
        tasks: list[asyncio.Task[Any]] = [*self._opening.values()]
        for served in self._served.values():
            tasks += [task for task in (served.refreshing, served.renewing) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for served in self._served.values():
            try:
                # One that is being written may lack the latest changes.
                for _ in range(2):
                    if served.saving:
                        await served.saving
                    self.save_soon(served)
            except Exception as error:
                log.error("snapshot could not be written", gallery=served.name, error=repr(error))
        self._threads.shutdown(wait=True)

    def served(self) -> list[ServedGallery]:
        """The galleries that are loaded."""
        return list(self._served.values())

    def find(self, name: str) -> ServedGallery | None:
        """The gallery, if it is loaded."""
        return self._served.get(name)

    def lag_seconds(self, served: ServedGallery) -> float:
        """For how long the index has not been known to be current."""
        return self.clock() - served.current_at

    def problems(self) -> list[str]:
        """Why searches cannot be answered, one line each; empty when they can."""
        if self._known is None:
            return ["galleries are being loaded"]
        return [f"gallery {name} is being loaded" for name in sorted(self._known - self._served.keys())] + [
            f"gallery {served.name} is behind the database for {self.lag_seconds(served):.0f} s"
            for served in self._served.values()
            if self.lag_seconds(served) > self._max_lag
        ]

    async def current(self, name: str) -> Loaded:
        """The index of a gallery: with every change of this process, and others' up to `max_lag_seconds` ago.

        Raises:
            NotFound: there is no such gallery.
            IndexNotReady: the index is being loaded, or is behind for too long.
        """
        served = await self._in_time(name, self._get(name))
        owing = served.index.applied < served.owed or served.rules.version < served.owed_rules
        if owing or self.lag_seconds(served) > self._max_lag:
            await self._in_time(name, self.refresh(served))
        return served.loaded

    async def renewed(self, name: str) -> Loaded:
        """As `current`, after another look at the database.

        Raises:
            NotFound, IndexNotReady: as `current`.
        """
        served = await self._in_time(name, self._get(name))
        await self._in_time(name, self.refresh(served))
        return served.loaded

    async def current_with(self, name: str, tracklet_id: uuid.UUID) -> Loaded:
        """As `current`, after another look at the database if the index lacks the tracklet.

        Raises:
            NotFound: there is no such gallery, or it has no such tracklet.
            IndexNotReady: as `current`.
        """
        loaded = await self.current(name)
        if tracklet_id not in loaded.index:
            loaded = await self.renewed(name)
        if tracklet_id not in loaded.index:
            raise NotFound(f"Gallery {name} has no tracklet {tracklet_id}.")
        return loaded

    async def catch_up(self, name: str, change: int) -> None:
        """See to it that the index contains change number `change`, so that the next request sees it.

        Never fails: the change is committed whatever becomes of the index, and one that lacks it does not answer.
        """
        try:
            served = await self._get(name)
            served.owed = max(served.owed, change)
            await self.refresh(served, until=change)
        except Exception as error:
            log.error("index could not follow a change", gallery=name, change=change, error=repr(error))

    async def confirm(self, name: str) -> None:
        """See in the database whether the gallery is there still, whatever this process has in memory.

        Raises:
            NotFound: it was deleted, or is being.
        """
        async with self._database.reading() as connection:
            await store.get(connection, name)

    async def follow_rules(self, name: str, number: int) -> None:
        """See to it that this process knows the gallery's rules of this number; never fails, as `catch_up`."""
        try:
            served = await self._get(name)
            served.owed_rules = max(served.owed_rules, number)
            await self.refresh(served)
        except Exception as error:
            log.error("rules could not be followed", gallery=name, rules=number, error=repr(error))

    def rules(self, name: str) -> Rules:
        """The rules of a gallery that is loaded, as current as its index."""
        served = self._served.get(name)
        return NO_RULES if served is None else served.rules

    async def build(
        self, gallery_id: int, model_id: str, progress: Callable[[int], None] = lambda done: None
    ) -> tuple[GalleryIndex, list[uuid.UUID]]:
        """Build an index from the database alone, kept as this process keeps its rows; see `build_with_holes`."""
        return await self._loader.build_with_holes(gallery_id, model_id, progress)

    async def save_snapshot(self, index: GalleryIndex, gallery_id: int, generation: int, model_id: str) -> None:
        """Save an index that is about to serve, so that other processes on the same data directory load it fast."""
        await asyncio.to_thread(self._snapshots.save, index.freeze(), gallery_id, generation, model_id)

    def forget_snapshot(self, gallery_id: int, generation: int) -> None:
        """Remove the snapshot of a generation that does not serve."""
        self._snapshots.forget(gallery_id, generation)

    @asynccontextmanager
    async def switching(self, name: str) -> AsyncIterator[ServedGallery]:
        """The loaded gallery, with its index held still, for whoever replaces it."""
        served = await self._get(name)
        async with served.writing:
            yield served

    async def replace(self, served: ServedGallery, index: GalleryIndex, generation: int, model_id: str) -> None:
        """Serve another index from now on: the caller holds `switching`, committed it, and calls `save_soon` after."""
        before = served.loaded.generation
        served.loaded = self._as_loaded(index, generation, model_id)
        served.current_at = self.clock()
        served.saved = -1
        served.replaced += 1
        if before != generation:
            await asyncio.to_thread(self._snapshots.forget, served.id, before)

    def keep_only(self, names: Collection[str]) -> None:
        """These are all the galleries that exist; others leave memory."""
        self._known = frozenset(names)
        for gone in self._served.keys() - self._known:
            self.let_go(self._served[gone])

    def let_go(self, served: ServedGallery) -> None:
        """A gallery that was deleted leaves memory, and its snapshot the disk."""
        if self._served.get(served.name) is served:
            del self._served[served.name]
            self._known = None if self._known is None else self._known - {served.name}
        self._snapshots.forget(served.id, served.loaded.generation)

    def open_soon(self, name: str) -> asyncio.Task[ServedGallery]:
        """Load a gallery that is not in memory yet; whoever asks meanwhile waits for the same task."""
        opening = self._opening.get(name)
        if opening is None:
            opening = self._opening[name] = asyncio.create_task(self._open(name), name="gallery opening")
            opening.add_done_callback(lambda task: self._opened(name, task))
        return opening

    def refresh_soon(self, served: ServedGallery) -> None:
        """Bring a gallery up to date in the background, unless that is being done."""
        if served.refreshing is None or served.refreshing.done():
            served.refreshing = asyncio.create_task(self._refresh_quietly(served), name="gallery refresh")

    def save_soon(self, served: ServedGallery) -> None:
        """Write a snapshot in the background if the index changed since the last one; searches and writes go on."""
        idle = served.saving is None or served.saving.done()
        if idle and served.saved != served.index.applied and not served.writing.locked():
            frozen, loaded, replaced = served.index.freeze(), served.loaded, served.replaced
            served.saved_at = self.clock()

            async def save() -> None:
                done = await asyncio.to_thread(
                    self._snapshots.save, frozen, served.id, loaded.generation, loaded.model_id
                )
                if done and served.replaced == replaced and self._served.get(served.name) is served:
                    served.saved = frozen.applied
                elif done:
                    # Switched, rebuilt or deleted meanwhile: nobody needs what was written.
                    await asyncio.to_thread(self._snapshots.forget, served.id, loaded.generation)

            served.saving = asyncio.create_task(save(), name="gallery snapshot")

    async def refresh(self, served: ServedGallery, until: int | None = None) -> None:
        """Bring the gallery up to date: its changes, and another generation if one serves by now.

        Args:
            until: nothing to do if the index contains this change by the time it is our turn.

        Raises:
            NotFound: it was deleted, or is being.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        try:
            await self._refresh(served, until)
        except NotFound:
            self.let_go(served)
            raise

    async def _refresh(self, served: ServedGallery, until: int | None) -> None:
        async with served.writing:
            loaded = served.loaded
            if until is not None and loaded.index.applied >= until:
                return
            try:
                gallery, looked_at = await self._loader.advance(loaded.index, served.id, loaded.model_id)
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

    async def _get(self, name: str) -> ServedGallery:
        served = self._served.get(name)
        return served if served is not None else await asyncio.shield(self.open_soon(name))

    async def _in_time(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await asyncio.wait_for(work, self._max_lag)
        except IndexOutOfStep as error:
            raise IndexNotReady(
                f"The index of gallery {name} cannot be built: {error}. GET /admin/integrity names what is broken.",
                retry_after=60,
            ) from error
        except (DatabaseUnavailable, OSError) as error:
            # A TimeoutError is an OSError.
            raise IndexNotReady(
                f"The index of gallery {name} is being loaded, or may lack the latest changes."
            ) from error

    async def _load_again(self, served: ServedGallery) -> None:
        """Another process switched the generation, or the index is of no use: load what serves, then answer from it."""
        before = served.loaded.generation
        found = await self._loader.load_serving(served.id)
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

    async def _refresh_quietly(self, served: ServedGallery) -> None:
        try:
            await self.refresh(served)
        except TooEarly:
            pass
        except NotFound:
            log.info("gallery deleted", gallery=served.name)
        except Exception as error:
            log.error("index could not follow the database", gallery=served.name, error=repr(error))

    async def _open(self, name: str) -> ServedGallery:
        async with self._database.reading() as connection:
            gallery = await store.find(connection, name)
        if gallery is None:
            raise NotFound(f"There is no gallery {name!r}; the first upload that names it makes it.")
        began = self.clock()
        found = await self._loader.load_serving(gallery.id)
        loaded = self._as_loaded(found.index, found.gallery.generation, found.gallery.model_id)
        saved_at = self.clock() if found.from_snapshot else float("-inf")
        async with self._database.reading() as connection:
            rules = await camera_store.rules(connection, gallery.id)
        served = ServedGallery(gallery.id, name, loaded, found.looked_at, rules, saved=found.saved, saved_at=saved_at)
        self._served[name] = served
        log.info(
            "gallery loaded",
            gallery=name,
            generation=loaded.generation,
            tracklets=len(found.index),
            source="snapshot" if found.from_snapshot else "database",
            seconds=round(self.clock() - began, 3),
        )
        return served

    def _opened(self, name: str, task: asyncio.Task[ServedGallery]) -> None:
        del self._opening[name]
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, NotFound | TooEarly):
            log.error("gallery could not be loaded", gallery=name, error=repr(error))

    def _as_loaded(self, index: GalleryIndex, generation: int, model_id: str) -> Loaded:
        return Loaded(index, generation, model_id, SearchBatcher(index, self._threads, self._on_batch), self._recall)
