"""Re-index: build a gallery's next generation beside the serving one, catch up, switch."""

import asyncio
import uuid

from service.gallery.galleries import Galleries, apply_changes, build_index
from service.store import galleries as gallery_store
from service.store import jobs as job_store
from service.store.database import Database

KIND = "reindex"

_PROGRESS_SECONDS = 0.5


async def reindex(database: Database, galleries: Galleries, job_id: uuid.UUID) -> None:
    """Rebuild the gallery's index from the stored descriptors while the present one goes on answering.

    May be run again after a crash: it begins anew, and what an interrupted run leaves is a generation number without
    an index.
    """
    async with database.transaction() as connection:
        job = await job_store.find(connection, job_id)
        if job is None or job.gallery is None:
            raise LookupError(f"job {job_id} or its gallery was deleted")
        gallery = await gallery_store.find(connection, job.gallery)
        assert gallery is not None
        generation = await gallery_store.add_generation(connection, gallery.id, gallery.model_id)
        total = await gallery_store.count_descriptors(connection, gallery.id, gallery.model_id)
        await job_store.start(connection, job_id, total)

    done = 0

    def note(count: int) -> None:
        nonlocal done
        done = count

    async def report() -> None:
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            async with database.transaction() as connection:
                await job_store.progress(connection, job_id, done)

    reporter = asyncio.create_task(report())
    try:
        index = await build_index(database, gallery.id, gallery.model_id, note)
    finally:
        reporter.cancel()
        await asyncio.gather(reporter, return_exceptions=True)

    async with galleries.switching(gallery.name) as served:
        async with database.transaction() as connection:
            # Locks the gallery's row: from here to COMMIT nobody else can change the gallery.
            await gallery_store.activate(connection, gallery.id, generation)
            while changes := await gallery_store.changes_after(connection, gallery.id, gallery.model_id, index.applied):
                apply_changes(index, changes)
            await job_store.progress(connection, job_id, total)
        await galleries.replace(served, index, generation, gallery.model_id)
