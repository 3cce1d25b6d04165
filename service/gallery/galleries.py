"""The galleries as this process serves them: loaded, following the database, or honestly not ready."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from service.errors import DatabaseUnavailable, IndexNotReady, NotFound
from service.gallery import snapshot
from service.gallery.building import IndexOutOfStep, apply_changes, build_index
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex, Hit
from service.store import changes as change_store
from service.store import galleries as store
from service.store.database import Database

log = structlog.get_logger(__name__)


@dataclass
class ServedGallery:
    """One gallery in memory.

    Attributes:
        index: what searches read; replaced as a whole when a generation is switched.
        current_at: when the index was last known to contain every committed change (monotonic seconds).
        saved: change number of the snapshot on disk, and when it was written.
        writing: held by whoever changes the index or replaces it.
    """

    id: int
    name: str
    generation: int
    model_id: str
    index: GalleryIndex
    current_at: float = float("-inf")
    saved: int = -1
    saved_at: float = float("-inf")
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True)
class Ranking:
    """Hits, best first, and which generation of which model ranked them."""

    hits: list[Hit]
    model_id: str
    generation: int


class Galleries:
    """Every gallery of the database, kept current by polling and by the writers of this process.

    Args:
        database: the truth.
        folder: `index/` of the data directory, for snapshots.
        max_lag_seconds: an index that is not known to be current for longer does not answer.
        poll_seconds: time between two looks at the change numbers.
        snapshot_seconds: least time between two snapshots of one gallery.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        max_lag_seconds: float,
        poll_seconds: float,
        snapshot_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._folder = folder
        self._max_lag = max_lag_seconds
        self._poll = poll_seconds
        self._snapshot_seconds = snapshot_seconds
        self._clock = clock
        self._served: dict[str, ServedGallery] = {}
        self._opening = asyncio.Lock()
        self._complete = False
        self._follower: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Load every gallery and follow them, in the background."""
        self._follower = asyncio.create_task(self._follow(), name="gallery follower")

    async def close(self) -> None:
        """Stop following and save what changed since the last snapshots."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        for served in self._served.values():
            async with served.writing:
                await self._save(served)

    def served(self) -> list[ServedGallery]:
        """The galleries that are loaded."""
        return list(self._served.values())

    def lag_seconds(self, served: ServedGallery) -> float:
        """For how long the index has not been known to be current."""
        return self._clock() - served.current_at

    def problems(self) -> list[str]:
        """Why searches cannot be answered, one line each; empty when they can."""
        if not self._complete:
            return ["galleries are being loaded"]
        return [
            f"gallery {served.name} is behind the database for {self.lag_seconds(served):.0f} s"
            for served in self._served.values()
            if self.lag_seconds(served) > self._max_lag
        ]

    async def search(
        self,
        name: str,
        query: NDArray[np.float32],
        k: int,
        filters: Filters,
        model_id: str,
        exclude: uuid.UUID | None = None,
    ) -> Ranking:
        """Rank the gallery against a descriptor that `model_id` made.

        Raises:
            NotFound: there is no such gallery.
            IndexNotReady: the index is being loaded, is behind for too long, or changed to another model just now.
        """
        served = await self._current(name)
        # Taken together, without an await in between: the answer is of this generation as a whole.
        index, generation, indexed_model = served.index, served.generation, served.model_id
        if indexed_model != model_id:
            raise IndexNotReady(f"Gallery {name} has just been switched to another model; try again.")
        hits = await asyncio.to_thread(index.search, query, k, filters, exclude)
        return Ranking(hits, model_id, generation)

    async def catch_up(self, name: str, change: int) -> None:
        """See to it that the index contains change number `change`, so that the next request sees it.

        Never fails: the change is committed whatever becomes of the index, and an index that stays behind says so.
        """
        try:
            served = self._served.get(name) or await self._open(name)
            await self._apply_changes(served, until=change)
        except Exception as error:
            log.error("index could not follow a change", gallery=name, change=change, error=repr(error))

    @asynccontextmanager
    async def switching(self, name: str) -> AsyncIterator[ServedGallery]:
        """The loaded gallery, with its index held still, for whoever replaces it."""
        served = self._served.get(name) or await self._open(name)
        async with served.writing:
            yield served

    async def replace(self, served: ServedGallery, index: GalleryIndex, generation: int, model_id: str) -> None:
        """Serve another index from now on. The caller holds `switching` and has committed the switch."""
        served.index, served.generation, served.model_id = index, generation, model_id
        served.saved = -1
        await self._save(served)

    async def _current(self, name: str) -> ServedGallery:
        served = self._served.get(name)
        if served is None:
            served = await self._open(name)
        if self.lag_seconds(served) > self._max_lag:
            try:
                await asyncio.wait_for(self._apply_changes(served), timeout=self._max_lag)
            except (DatabaseUnavailable, TimeoutError) as error:
                raise IndexNotReady(
                    f"The index of gallery {name} may lack changes of the last {self.lag_seconds(served):.0f} s: the "
                    "database does not answer."
                ) from error
        return served

    async def _follow(self) -> None:
        while True:
            try:
                await self._look_once()
            except DatabaseUnavailable as error:
                log.warning("galleries cannot follow the database", error=str(error))
            except Exception:
                log.exception("galleries failed to follow the database")
            await asyncio.sleep(self._poll)

    async def _look_once(self) -> None:
        looked_at = self._clock()
        async with self._database.reading() as connection:
            present = await store.list_all(connection)
        for gallery in present:
            served = self._served.get(gallery.name) or await self._open(gallery.name)
            if served.generation != gallery.generation:
                await self._reload(served, gallery)
            if served.index.applied != gallery.change:
                await self._apply_changes(served)
            else:
                served.current_at = max(served.current_at, looked_at)
            if self._clock() - served.saved_at > self._snapshot_seconds:
                async with served.writing:
                    await self._save(served)
        self._complete = True

    async def _open(self, name: str) -> ServedGallery:
        """Load a gallery that is not in memory yet."""
        async with self._opening:
            if name in self._served:
                return self._served[name]
            async with self._database.reading() as connection:
                gallery = await store.find(connection, name)
            if gallery is None:
                raise NotFound(f"There is no gallery {name!r}.")
            began = self._clock()
            index, source = await self._load(gallery)
            served = ServedGallery(gallery.id, gallery.name, gallery.generation, gallery.model_id, index)
            if source == "snapshot":
                served.saved, served.saved_at = index.applied, self._clock()
            await self._apply_changes(served)
            self._served[name] = served
            log.info(
                "gallery loaded",
                gallery=name,
                generation=served.generation,
                tracklets=len(served.index),
                source=source,
                seconds=round(self._clock() - began, 3),
            )
            return served

    async def _reload(self, served: ServedGallery, gallery: store.Gallery) -> None:
        """Another process switched the generation: load it, then serve it."""
        index, _ = await self._load(gallery)
        async with served.writing:
            # The old index may contain changes that were committed while the new one was loaded.
            served.current_at = await self._advance(index, gallery.id, gallery.model_id)
            served.index, served.generation, served.model_id = index, gallery.generation, gallery.model_id
            served.saved = -1
        log.info("gallery switched elsewhere", gallery=served.name, generation=served.generation)

    async def _load(self, gallery: store.Gallery) -> tuple[GalleryIndex, str]:
        path = self._path(gallery.id, gallery.generation)
        try:
            manifest, index = await asyncio.to_thread(snapshot.read, path)
            _verify(manifest, gallery)
            return index, "snapshot"
        except FileNotFoundError:
            pass
        except (snapshot.SnapshotError, OSError, ValueError) as error:
            log.error("snapshot thrown away, rebuilding from the database", path=str(path), reason=str(error))
            path.unlink(missing_ok=True)
        return await build_index(self._database, gallery.id, gallery.model_id), "database"

    async def _apply_changes(self, served: ServedGallery, until: int | None = None) -> None:
        """Bring the index up to date; nothing to do when somebody else brought it to `until` meanwhile."""
        async with served.writing:
            if until is not None and served.index.applied >= until:
                return
            try:
                served.current_at = await self._advance(served.index, served.id, served.model_id)
            except IndexOutOfStep as error:
                log.error("index thrown away, rebuilding from the database", gallery=served.name, reason=str(error))
                served.index = await build_index(self._database, served.id, served.model_id)

    async def _advance(self, index: GalleryIndex, gallery_id: int, model_id: str) -> float:
        """Apply changes until there are none left.

        Returns:
            When the last look at the database began: the index contains all that was committed then.

        Raises:
            IndexOutOfStep: the index and the changes do not fit together; the index must not be used any more.
        """
        while True:
            looked_at = self._clock()
            async with self._database.reading() as connection:
                newest = (await store.get_state(connection, gallery_id)).change
                changes = await change_store.after(connection, gallery_id, model_id, index.applied)
            apply_changes(index, changes)
            if index.applied >= newest:
                return looked_at
            if not changes:
                raise IndexOutOfStep(f"the index contains change {index.applied}, the gallery's last is {newest}")

    async def _save(self, served: ServedGallery) -> None:
        """Write a snapshot if the index changed since the last one. The caller holds `writing`."""
        if served.saved == served.index.applied:
            return
        served.saved_at = self._clock()
        path = self._path(served.id, served.generation)
        try:
            await asyncio.to_thread(snapshot.write, path, served.index, served.id, served.generation, served.model_id)
        except OSError as error:
            # Boot will be slower, nothing is lost.
            log.error("snapshot could not be written", path=str(path), error=str(error))
            return
        served.saved = served.index.applied
        for other in self._folder.glob(f"{served.id}-*.snapshot"):
            if other != path:
                other.unlink(missing_ok=True)

    def _path(self, gallery_id: int, generation: int) -> Path:
        return self._folder / f"{gallery_id}-{generation}.snapshot"


def _verify(manifest: snapshot.Manifest, gallery: store.Gallery) -> None:
    found = (manifest.gallery_id, manifest.generation, manifest.model_id, manifest.dimension)
    expected = (gallery.id, gallery.generation, gallery.model_id, gallery.dimension)
    if found != expected:
        raise snapshot.SnapshotError(f"it is of (gallery, generation, model, dimension) {found}, expected {expected}")
    if manifest.applied > gallery.change:
        raise snapshot.SnapshotError(
            f"it contains change {manifest.applied}, but the gallery has only {gallery.change}: the database is older"
        )
