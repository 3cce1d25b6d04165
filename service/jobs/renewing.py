"""Describing tracklets again that were described of another number of frames than their gallery says now."""

import uuid

from service.gallery.galleries import Galleries
from service.jobs.describing import TRACKLETS_AT_ONCE, Describer, as_stored
from service.jobs.running import RunningJob
from service.store import changes as change_store
from service.store import descriptors as store
from service.store import integrity as integrity_store
from service.store.database import Database
from service.store.galleries import Gallery


async def renew(
    running: RunningJob, database: Database, galleries: Galleries, describer: Describer, gallery: Gallery, model_id: str
) -> int:
    """Describe again what is not of the gallery's frame cap; how many there were.

    Every index hears of it as a deletion and an addition, in one transaction. A tracklet whose frames are lost keeps
    the descriptor that it has.

    Raises:
        JobCancelled: what was described anew stays so.
        ModelConflict, GalleryDeleting, DatabaseUnavailable.
    """
    frame_cap, renewed, last = describer.frame_cap(gallery), 0, uuid.UUID(int=0)
    while True:
        running.check()
        async with database.reading() as connection:
            page = await store.of_other_frames(
                connection, gallery.id, model_id, frame_cap, describer.usual_frame_cap, last, TRACKLETS_AT_ONCE
            )
        if not page:
            return renewed
        last = page[-1]
        found = await describer.describe_many(gallery, page, model_id)
        vectors = as_stored(found)
        change = 0
        async with database.transaction() as connection:
            there = [one for one in sorted(vectors) if await integrity_store.lock_tracklet(connection, one)]
            for one in there:
                purity = found.purities[one]
                await integrity_store.replace_descriptor(connection, one, model_id, vectors[one], frame_cap, purity)
            for one in there:
                await change_store.record(connection, gallery.id, "deleted", one)
                change = (await change_store.record(connection, gallery.id, "added", one)).number
        await galleries.catch_up(gallery.name, change)
        renewed += len(there)
        running.done += len(there)
