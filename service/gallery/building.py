"""How an index comes to contain what the database does: from a snapshot or from all rows, and then change by change."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from service.gallery.index import GalleryIndex
from service.gallery.snapshot_folder import SnapshotFolder
from service.store import changes as change_store
from service.store import galleries as gallery_store
from service.store.changes import Change
from service.store.database import Database
from service.store.galleries import Gallery


class IndexOutOfStep(Exception):
    """The index and the changes do not fit together; it must be built anew. The message says what is wrong."""


class ModelGone(Exception):
    """The gallery has tracklets that the index's model does not describe: another model serves it by now."""


def apply_changes(index: GalleryIndex, changes: Sequence[Change]) -> None:
    """Bring the index forward by changes that follow its `applied` number without a gap.

    Raises:
        IndexOutOfStep: a number is missing, or a row does not fit; the index must not be used any more.
        ModelGone: up to the change before, all is applied.
    """
    for change in changes:
        if change.number != index.applied + 1:
            raise IndexOutOfStep(f"change {change.number} follows {index.applied}: numbers between them are missing")
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
        index.applied = change.number


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
    **index_options: Any,
) -> tuple[GalleryIndex, list[uuid.UUID]]:
    """Build an index from the database alone.

    Args:
        progress: called with the number of tracklets read so far.
        index_options: keywords of `GalleryIndex`.

    Returns:
        The index, and its holes: tracklets that were stored at the index's last change without a descriptor of the
        model. No later change brings them.

    Raises:
        DatabaseUnavailable: PostgreSQL went away meanwhile.
        IndexOutOfStep: a descriptor cannot be used.
    """
    async with database.frozen() as connection:
        gallery = await gallery_store.get_state(connection, gallery_id)
        dimension = await gallery_store.dimension(connection, model_id)
        index = GalleryIndex(dimension, applied=gallery.change, **index_options)
        done = 0
        async for rows in change_store.copy_rows(connection, gallery_id, model_id):
            try:
                await asyncio.to_thread(index.add, rows)
            except ValueError as error:
                raise IndexOutOfStep(str(error)) from error
            done += len(rows)
            progress(done)
        return index, await change_store.undescribed(connection, gallery_id, model_id)


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

    async def load(self, gallery: Gallery) -> tuple[GalleryIndex, bool]:
        """The index of the gallery's serving generation as it was at some time, and whether from a snapshot.

        Raises:
            DatabaseUnavailable, IndexOutOfStep.
        """
        index = await asyncio.to_thread(self._snapshots.load, gallery, **self._options)
        if index is not None:
            return index, True
        return await self.build(gallery.id, gallery.model_id), False

    async def build(self, gallery_id: int, model_id: str) -> GalleryIndex:
        """An index from the database alone; see `build_with_holes`."""
        index, _ = await self.build_with_holes(gallery_id, model_id)
        return index

    async def build_with_holes(
        self, gallery_id: int, model_id: str, progress: Callable[[int], None] = lambda done: None
    ) -> tuple[GalleryIndex, list[uuid.UUID]]:
        """An index from the database alone, and its holes; see the function."""
        return await build_with_holes(self._database, gallery_id, model_id, progress, **self._options)

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
                changes = await change_store.after(connection, gallery_id, model_id, index.applied)
            apply_changes(index, changes)
            if index.applied >= gallery.change:
                return gallery, looked_at
            if not changes:
                raise IndexOutOfStep(
                    f"the index contains change {index.applied}, the gallery's last is {gallery.change}"
                )
