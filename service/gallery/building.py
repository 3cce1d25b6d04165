"""How an index comes to contain what the database does: built from all rows, brought forward by changes."""

import asyncio
from collections.abc import Callable, Sequence

from service.gallery.index import GalleryIndex
from service.store import changes as change_store
from service.store import galleries as gallery_store
from service.store.changes import Change
from service.store.database import Database


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
    new_index: Callable[..., GalleryIndex] = GalleryIndex,
    progress: Callable[[int], None] = lambda done: None,
) -> GalleryIndex:
    """Build an index from the database alone.

    Args:
        new_index: makes the empty index, called as `GalleryIndex` is.
        progress: called with the number of tracklets read so far.

    Raises:
        DatabaseUnavailable: PostgreSQL went away meanwhile.
        IndexOutOfStep: a descriptor cannot be used.
    """
    async with database.frozen() as connection:
        gallery = await gallery_store.get_state(connection, gallery_id)
        index = new_index(await gallery_store.dimension(connection, model_id), applied=gallery.change)
        done = 0
        async for rows in change_store.copy_rows(connection, gallery_id, model_id):
            try:
                await asyncio.to_thread(index.add, rows)
            except ValueError as error:
                raise IndexOutOfStep(str(error)) from error
            done += len(rows)
            progress(done)
    return index
