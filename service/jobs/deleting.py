"""Deleting a gallery: marked at once, then removed piece by piece, as a job that bears being run again.

1. The gallery is marked, once nobody keeps it (`gallery_locks`). From COMMIT on it is there for nobody: every query of
   a repository passes it over, a change that waits for its number is refused, and so is an upload that is about to
   write files.
2. The job deletes tracklets, with their frames and descriptors, and the files of each batch; then the changes.
3. One transaction, in which nobody writes or removes frame files of the gallery, removes its folder and what is left of
   its rows. The name is free from COMMIT on. A run after a crash finds less to do.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from service.errors import NotFound
from service.gallery.galleries import Galleries
from service.jobs.queue import JobQueue
from service.jobs.reindex import BUILD_LOCK_CLASS
from service.jobs.running import RunningJob
from service.store import frame_locks
from service.store import galleries as gallery_store
from service.store import gallery_records as store
from service.store import generations as generation_store
from service.store import jobs as job_store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.jobs import Job
from service.store.versions import check_version

DELETE_GALLERY = "delete_gallery"

TRACKLETS_AT_ONCE = 200
CHANGES_AT_ONCE = 10_000
_WAIT_SECONDS = 0.2

Sweep = Callable[[int, str, Sequence[bytes]], Awaitable[int]]
"""Removes those of the files that no tracklet refers to: gallery id, name, digests; see `Uploads.sweep`."""


async def start(database: Database, jobs: JobQueue, name: str, versions: frozenset[int] | None = None) -> Job:
    """Mark the gallery and enqueue the job that removes it; its other jobs are asked to stop.

    One whose job failed is taken up again.

    Args:
        versions: those that the caller expects the gallery to have; None: any.

    Raises:
        NotFound: there is no such gallery, or it is being deleted.
        PreconditionFailed: it has another version, or had when it was marked.
    """
    async with database.transaction() as connection:
        found = await store.find_for_deletion(connection, name)
        if found is None or found.job_runs:
            raise NotFound(f"There is no gallery {name!r}.")
        check_version(found.version, versions)
        others = await job_store.unfinished(connection, found.id)
        parameters = {"gallery_id": found.id, "tracklets": await store.count_tracklets(connection, found.id)}
        job = await jobs.enqueue(connection, DELETE_GALLERY, found.id, parameters)
        await store.mark_deleting(connection, found.id)
    for other in others:
        # Not in that transaction: some lock their job's row first, and some the gallery's. Those that are not reached
        # find the gallery gone.
        async with database.transaction() as connection:
            await job_store.request_cancel(connection, other)
    return job


async def resume(database: Database, jobs: JobQueue) -> None:
    """Take up the deletions whose job failed, as after a disk that did not answer."""
    async with database.reading() as connection:
        left = await store.half_deleted(connection)
    for name in left:
        # Another process that starts may have been faster.
        with suppress(NotFound):
            await start(database, jobs, name)


class Deletions:
    """Removes galleries that were marked.

    Args:
        always: the gallery that there always is: when it was removed it is made anew, empty and under `model_id`.
    """

    def __init__(
        self,
        database: Database,
        galleries: Galleries,
        frame_store: FrameStore,
        sweep: Sweep,
        *,
        always: str,
        model_id: str,
    ) -> None:
        self._database = database
        self._galleries = galleries
        self._frame_store = frame_store
        self._sweep = sweep
        self._always = always
        self._model_id = model_id

    async def delete(self, running: RunningJob) -> dict[str, Any]:
        """Remove the gallery that the job names, which was marked."""
        gallery_id, name = running.job.parameters["gallery_id"], running.job.gallery or ""
        running.total = running.job.parameters["tracklets"]
        served = self._galleries.find(name)
        if served is not None and served.id == gallery_id:
            self._galleries.let_go(served)

        async def wait() -> None:
            await asyncio.sleep(_WAIT_SECONDS)

        # Whoever still builds a generation of it, in a process that was taken for dead, ends first.
        async with self._database.session_lock(BUILD_LOCK_CLASS + gallery_id, wait):
            await self._remove_tracklets(running, gallery_id, name)
            await self._remove_changes(gallery_id)
            await self._remove_rest(gallery_id, name, running.job.id)
        running.done = running.total
        return {"tracklets": running.total}

    async def _remove_tracklets(self, running: RunningJob, gallery_id: int, name: str) -> None:
        async with self._database.reading() as connection:
            left = await store.count_tracklets(connection, gallery_id)
        running.done = max(0, (running.total or 0) - left)
        while True:
            async with self._database.transaction() as connection:
                removed, files = await store.remove_tracklets(connection, gallery_id, TRACKLETS_AT_ONCE)
            if removed == 0:
                return
            await self._sweep(gallery_id, name, files)
            running.done += removed

    async def _remove_changes(self, gallery_id: int) -> None:
        while True:
            async with self._database.transaction() as connection:
                if await store.remove_changes(connection, gallery_id, CHANGES_AT_ONCE) == 0:
                    return

    async def _remove_rest(self, gallery_id: int, name: str, job_id: uuid.UUID) -> None:
        async with self._database.transaction() as connection:
            # Under this lock nobody writes files, and whoever waits for it finds the gallery gone.
            await frame_locks.lock_frames_exclusively(connection, gallery_id)
            if not await store.is_there(connection, gallery_id):
                # By a run before a crash; another gallery may have the name, and the folder, by now.
                return
            for owner, number in await generation_store.numbers(connection):
                if owner == gallery_id:
                    await asyncio.to_thread(self._galleries.forget_snapshot, gallery_id, number)
            await asyncio.to_thread(self._frame_store.remove_folder, name)
            await store.remove(connection, gallery_id, job_id)
            if name == self._always:
                await gallery_store.create(connection, name, self._model_id)
