"""Re-index: build a gallery's next generation beside the serving one, catch up, switch."""

from typing import Any

from service.gallery.building import apply_changes, build_index
from service.gallery.galleries import Galleries
from service.jobs.running import JobCancelled, JobRefused, RunningJob
from service.store import changes as change_store
from service.store import galleries as gallery_store
from service.store import generations as generation_store
from service.store import jobs as job_store
from service.store.database import Database

KIND = "reindex"


async def reindex(database: Database, galleries: Galleries, running: RunningJob) -> dict[str, Any]:
    """Rebuild the gallery's index from the stored descriptors while the present one goes on answering.

    May be run again after a crash: it begins anew, and what an interrupted run leaves is a generation number without
    an index.
    """
    if running.job.gallery is None:
        raise JobRefused("The gallery was deleted.")
    async with database.transaction() as connection:
        gallery = await gallery_store.find(connection, running.job.gallery)
        assert gallery is not None
        generation = await generation_store.add(connection, gallery.id, gallery.model_id)
        running.total = await change_store.count_described(connection, gallery.id, gallery.model_id)

    def note(count: int) -> None:
        running.done = count

    index = await build_index(database, gallery.id, gallery.model_id, progress=note)
    async with galleries.switching(gallery.name) as served:
        async with database.transaction() as connection:
            if not await job_store.lock_uncancelled(connection, running.job.id):
                raise JobCancelled
            await generation_store.activate(connection, generation)
            while changes := await change_store.after(connection, gallery.id, gallery.model_id, index.applied):
                apply_changes(index, changes)
        await galleries.replace(served, index, generation.number, gallery.model_id)
    running.done = running.total
    return {"generation": generation.number, "generation_id": generation.id, "model_id": generation.model_id}
