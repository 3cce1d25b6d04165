"""How an index comes to contain what the database does: from a snapshot or from all rows, and then change by change."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog

from service.errors import DatabaseUnavailable
from service.gallery.backoff import Backoff
from service.gallery.index import Frozen, GalleryIndex
from service.gallery.snapshot_folder import SnapshotFolder
from service.store import changes as change_store
from service.store import galleries as gallery_store
from service.store.changes import Change
from service.store.database import Database
from service.store.galleries import Gallery

log = structlog.get_logger(__name__)


class IndexOutOfStep(Exception):
    """The index and the changes do not fit together; it must be built anew. The message says what is wrong."""


class TooEarly(IndexOutOfStep):
    """The index could not be built a moment ago, for the reason that the message says, and nothing changed since."""


class ModelGone(Exception):
    """The gallery has tracklets that the index's model does not describe: another model serves it by now."""


def apply_changes(index: GalleryIndex, changes: Sequence[Change]) -> None:
    """Bring the index forward by changes that follow its `applied` number without a gap.

    Raises:
        IndexOutOfStep: a number is missing, or a row does not fit; the index must not be used any more.
        ModelGone: up to the change before, all is applied.
    """
    for number, change in enumerate(changes, start=index.applied + 1):
        if change.number != number:
            raise IndexOutOfStep(f"change {change.number} follows {number - 1}: numbers between them are missing")
    for kind, run in groupby(changes, key=attrgetter("kind")):
        if kind == "updated":
            # An edit of many tracklets is as many changes in a row: no search may see some of them without the others.
            edits = list(run)
            # One that is not in the index has no descriptor of its model; who adds it later takes it as it is then.
            index.update([change.row for change in edits if change.row is not None])
            index.applied = edits[-1].number
            continue
        for change in run:
            _apply(index, change)
            index.applied = change.number


def _apply(index: GalleryIndex, change: Change) -> None:
    """Apply one addition or deletion."""
    if change.undescribed:
        raise ModelGone(f"tracklet {change.tracklet_id} has no descriptor of the index's model")
    if change.kind == "deleted":
        index.remove(change.tracklet_id)
    elif change.row is not None:
        try:
            index.add([change.row])
        except ValueError as error:
            raise IndexOutOfStep(str(error)) from error
    # An added tracklet without a row was deleted since; its deletion is a later change.


async def build_index(
    database: Database,
    gallery_id: int,
    model_id: str,
    progress: Callable[[int], None] = lambda done: None,
    **index_options: Any,
) -> GalleryIndex:
    """Build an index from the database alone; see `build_with_holes`."""
    index, _ = await build_with_holes(database, gallery_id, model_id, progress, **index_options)
    return index


async def build_with_holes(
    database: Database,
    gallery_id: int,
    model_id: str,
    progress: Callable[[int], None] = lambda done: None,
    *,
    serving: bool = False,
    **index_options: Any,
) -> tuple[GalleryIndex, list[uuid.UUID]]:
    """Build an index from the database alone.

    Args:
        serving: it is to serve as the gallery stands, under the gallery's model.
        progress: called with the number of tracklets read so far.
        index_options: keywords of `GalleryIndex`.

    Returns:
        The index, and its holes: tracklets that were stored at the index's last change without a descriptor of the
        model. No later change brings them.

    Raises:
        DatabaseUnavailable: PostgreSQL went away meanwhile.
        IndexOutOfStep: a descriptor cannot be used.
        ModelGone: it is to serve, and another model serves the gallery by now.
    """
    async with database.frozen() as connection:
        gallery = await gallery_store.get_state(connection, gallery_id)
        if serving and gallery.model_id != model_id:
            raise ModelGone(f"gallery {gallery.name} is served under another model by now")
        dimension = await gallery_store.dimension(connection, model_id)
        index = GalleryIndex(dimension, applied=gallery.change, rebuild=gallery.rebuild, **index_options)
        done = 0
        async for rows in change_store.copy_rows(connection, gallery_id, model_id):
            try:
                await asyncio.to_thread(index.add, rows)
            except ValueError as error:
                raise IndexOutOfStep(str(error)) from error
            done += len(rows)
            progress(done)
        return index, await change_store.undescribed(connection, gallery_id, model_id)


@dataclass(frozen=True)
class Current:
    """A serving index, and the gallery as it stands with it.

    Attributes:
        looked_at: when the database was looked at last.
        saved: last change in the snapshot that it was read from; -1: from the database.
    """

    index: GalleryIndex
    gallery: Gallery
    looked_at: float
    saved: int

    @property
    def from_snapshot(self) -> bool:
        """Whether it was read from a snapshot."""
        return self.saved >= 0


class IndexLoader:
    """Makes the indexes of one process.

    Args:
        database: the truth.
        snapshots: where indexes are saved.
        index_options: how this process keeps rows, as keywords of `GalleryIndex`.
    """

    def __init__(
        self,
        database: Database,
        snapshots: SnapshotFolder,
        index_options: dict[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._options = index_options
        self._clock = clock
        self._backoff = Backoff(clock)

    async def load_serving(self, gallery_id: int) -> Current:
        """The index of the generation that serves, with everything that is committed.

        Begins again when the gallery is switched meanwhile: an index is never of one generation and current by another.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
            IndexOutOfStep: the database has descriptors that no index can be made of.
            TooEarly: it failed a moment ago, for another reason than the database's absence, and the gallery is as it
                was: reading all of it again would end alike.
            OSError: float16 rows, and the disk is full.
        """
        async with self._database.reading() as connection:
            gallery = await gallery_store.get_state(connection, gallery_id)
        state = (gallery.change, gallery.generation, gallery.rebuild)
        if error := self._backoff.too_early(gallery_id, state):
            raise TooEarly(str(error)) from error
        try:
            current = await self._load_serving(gallery_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            seconds = self._backoff.failed(gallery_id, state, error)
            log.warning("index is built again later", gallery=gallery.name, seconds=seconds)
            raise
        self._backoff.worked(gallery_id)
        return current

    async def _load_serving(self, gallery_id: int) -> Current:
        while True:
            async with self._database.reading() as connection:
                gallery = await gallery_store.get_state(connection, gallery_id)
            index = await asyncio.to_thread(self._snapshots.load, gallery, **self._options)
            saved = -1 if index is None else index.applied
            try:
                if index is None:
                    index = await self._build_serving(gallery)
                now, looked_at = await self.advance(index, gallery_id, gallery.model_id)
            except (ModelGone, IndexOutOfStep) as error:
                async with self._database.reading() as connection:
                    now = await gallery_store.get_state(connection, gallery_id)
                if (now.generation, now.model_id) != (gallery.generation, gallery.model_id):
                    continue
                if saved < 0:
                    raise IndexOutOfStep(str(error)) from error
                log.error(
                    "snapshot does not fit, rebuilding from the database", gallery=gallery.name, reason=str(error)
                )
                self._snapshots.forget(gallery.id, gallery.generation)
                continue
            if (now.generation, now.model_id) == (gallery.generation, gallery.model_id):
                return Current(index, now, looked_at, saved)

    async def _build_serving(self, gallery: Gallery) -> GalleryIndex:
        index, holes = await build_with_holes(
            self._database, gallery.id, gallery.model_id, serving=True, **self._options
        )
        if holes:
            log.error(
                "tracklets without a descriptor cannot be found; repair mends them",
                gallery=gallery.name,
                tracklets=len(holes),
            )
        return index

    async def build_with_holes(
        self, gallery_id: int, model_id: str, progress: Callable[[int], None] = lambda done: None
    ) -> tuple[GalleryIndex, list[uuid.UUID]]:
        """An index from the database alone, and its holes; see the function."""
        return await build_with_holes(self._database, gallery_id, model_id, progress, **self._options)

    def compact(self, frozen: Frozen) -> GalleryIndex:
        """The same rows in an index of their own; see `GalleryIndex.of`."""
        return GalleryIndex.of(frozen, **self._options)

    async def advance(self, index: GalleryIndex, gallery_id: int, model_id: str) -> tuple[Gallery, float]:
        """Apply changes until there are none left. The caller is the index's only writer.

        Returns:
            The gallery at the last look, and when that look began: the index contains all that was committed then.

        Raises:
            IndexOutOfStep: the index must not be used any more.
            ModelGone: the index cannot go on; what it contains is right.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        while True:
            looked_at = self._clock()
            async with self._database.reading() as connection:
                gallery = await gallery_store.get_state(connection, gallery_id)
                changes = await change_store.whole_edits_after(connection, gallery_id, model_id, index.applied)
            if index.applied > gallery.change:
                # Nobody but the caller moves the index, so this is no matter of who looked first.
                raise IndexOutOfStep(
                    f"the index contains change {index.applied}, the gallery has only {gallery.change}: "
                    "the database is older"
                )
            apply_changes(index, changes)
            if index.applied >= gallery.change:
                return gallery, looked_at
            if not changes:
                raise IndexOutOfStep(
                    f"the index contains change {index.applied}, the gallery's last is {gallery.change}"
                )
