"""Generations: built beside the serving one, brought up to date, switched to in one transaction, purged.

Re-index and activate are one way. A new generation, or one that is there, comes to serve like this:

1. Every tracklet that lacks a descriptor of the generation's model is described from its stored frames, and committed
   as it is done. Whoever is killed goes on with the others.
2. The index is built from one snapshot of the database. Tracklets that came too late to be described are its holes: no
   later change brings them, so they are remembered. What was uploaded meanwhile is described, and changes are applied.
3. The gallery notes that the generation is joining. An upload learns that from the gallery's state, at the latest with
   its change number, and is described by both models; so what is left to be described is finite, and is described now.
   The note outlives a crash, and is taken back when the job ends in any other way than by switching.
4. One short transaction locks the gallery's row, so that nobody can change the gallery; applies the last changes; and
   makes the generation the serving one. Nothing is described in it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import DatabaseUnavailable
from service.gallery.building import ModelGone, apply_changes
from service.gallery.galleries import Galleries
from service.gallery.index import GalleryIndex
from service.jobs.describing import Describer
from service.jobs.renewing import renew
from service.jobs.running import JobCancelled, JobRefused, RunningJob
from service.jobs.stored_frames import FramesLost
from service.store import changes as change_store
from service.store import descriptors as descriptor_store
from service.store import galleries as gallery_store
from service.store import generations as generation_store
from service.store import jobs as job_store
from service.store.database import Database
from service.store.galleries import Gallery
from service.store.generations import Generation

REINDEX = "reindex"
ACTIVATE = "activate"
PURGE = "purge"

BUILD_LOCK_CLASS = 0x67656E00 << 24
_EXAMPLES = 5
_WAIT_SECONDS = 0.2


@dataclass
class _Build:
    """An index on its way to serve."""

    gallery: Gallery
    generation: Generation
    index: GalleryIndex
    holes: list[uuid.UUID] = field(default_factory=list)


class Generations:
    """Builds, switches and purges generations, as jobs.

    One job at a time works on a gallery, over all processes of a database: an advisory lock sees to that even when a
    process that was taken for dead comes back.
    """

    def __init__(self, database: Database, galleries: Galleries, describer: Describer) -> None:
        self._database = database
        self._galleries = galleries
        self._describer = describer

    async def reindex(self, running: RunningJob) -> dict[str, Any]:
        """Build the gallery's next generation, under its present model or the parameter `model_id`, and switch to it.

        Raises:
            JobCancelled: before the switch; nothing happened but descriptors that a later try need not make.
            JobRefused: it cannot be done.
        """
        async with self._alone(running) as (gallery, lock):
            generation = await self._generation(running, gallery)
            return await self._serve(running, gallery, generation, lock, renewing=True)

    async def activate(self, running: RunningJob) -> dict[str, Any]:
        """Make the generation that the parameter `generation_id` names the serving one; see `reindex`."""
        async with self._alone(running) as (gallery, lock):
            return await self._serve(running, gallery, await self._existing(running), lock)

    async def purge(self, running: RunningJob) -> dict[str, Any]:
        """Remove a generation that does not serve, and descriptors that only it needed.

        Raises:
            JobRefused: it serves.
        """
        async with self._alone(running) as (gallery, _):
            # Kept by a run before a crash: there is no such generation any more to ask.
            removed = running.job.parameters.get("removed") or await self._remove(running, gallery)
            async with self._database.transaction() as connection:
                # Not under the gallery's row: who deletes a tracklet has its descriptors and waits for that row.
                descriptors = await descriptor_store.purge(connection, gallery.id, removed["model_id"])
            await asyncio.to_thread(self._galleries.forget_snapshot, gallery.id, removed["generation"])
        running.done = running.total = descriptors
        return {**removed, "descriptors": descriptors}

    async def _remove(self, running: RunningJob, gallery: Gallery) -> dict[str, Any]:
        generation = await self._existing(running)
        removed = {"generation": generation.number, "generation_id": generation.id, "model_id": generation.model_id}
        async with self._database.transaction() as connection:
            if not await job_store.lock_uncancelled(connection, running.job.id):
                raise JobCancelled
            if not await generation_store.remove(connection, generation):
                raise JobRefused(f"Generation {generation.id} serves gallery {gallery.name}; activate another first.")
            await job_store.remember(connection, running.job.id, {"removed": removed})
        return removed

    async def _gallery(self, running: RunningJob) -> Gallery:
        async with self._database.reading() as connection:
            gallery = await gallery_store.find(connection, running.job.gallery or "")
        if gallery is None:
            raise JobRefused("The gallery was deleted.")
        return gallery

    @asynccontextmanager
    async def _alone(self, running: RunningJob) -> AsyncIterator[tuple[Gallery, AsyncConnection]]:
        """The gallery as it stands once nobody else works on it, and the connection that keeps it so."""

        async def wait() -> None:
            running.check()
            await asyncio.sleep(_WAIT_SECONDS)

        gallery = await self._gallery(running)
        async with self._database.session_lock(BUILD_LOCK_CLASS + gallery.id, wait) as lock:
            yield await self._gallery(running), lock

    async def _generation(self, running: RunningJob, gallery: Gallery) -> Generation:
        """The generation to build: made once, and found again by a run after a crash."""
        async with self._database.transaction() as connection:
            job = await job_store.find(connection, running.job.id)
            assert job is not None
            if "generation_id" not in job.parameters:
                running.check()
                model_id = job.parameters.get("model_id") or gallery.model_id
                generation = await generation_store.add(connection, gallery.id, model_id)
                await job_store.remember(connection, running.job.id, {"generation_id": generation.id})
                return generation
            found = await generation_store.find(connection, job.parameters["generation_id"])
        if found is None:
            raise JobRefused(f"Generation {job.parameters['generation_id']} was purged meanwhile.")
        return found

    async def _existing(self, running: RunningJob) -> Generation:
        async with self._database.reading() as connection:
            found = await generation_store.find(connection, running.job.parameters["generation_id"])
        if found is None:
            raise JobRefused(f"There is no generation {running.job.parameters['generation_id']} any more.")
        return found

    async def _serve(
        self,
        running: RunningJob,
        gallery: Gallery,
        generation: Generation,
        lock: AsyncConnection,
        *,
        renewing: bool = False,
    ) -> dict[str, Any]:
        result = {"generation": generation.number, "generation_id": generation.id, "model_id": generation.model_id}
        if generation.serving:
            # By a run before a crash, which could not write it down any more; or it served all along.
            return result
        try:
            running.check()
            if renewing:
                await renew(running, self._database, self._galleries, self._describer, gallery, generation.model_id)
            index = await self._build_and_switch(running, gallery, generation, lock)
        except DatabaseUnavailable:
            # The job is tried again, and goes on with what it has.
            raise
        except Exception:
            async with self._database.transaction() as connection:
                await generation_store.leave(connection, generation)
            raise
        running.done = running.total = len(index)
        return result | {"tracklets": len(index)}

    async def _build_and_switch(
        self, running: RunningJob, gallery: Gallery, generation: Generation, lock: AsyncConnection
    ) -> GalleryIndex:
        await self._fill(running, gallery, generation)
        index, holes = await self._galleries.build(gallery.id, generation.model_id)
        build = _Build(gallery, generation, index, holes)
        await self._catch_up(running, build)
        await self._join(build)
        await self._catch_up(running, build)
        if not build.holes:
            # Other processes on the same data directory need not build what they are about to switch to. A snapshot
            # with holes would never be whole: they are older than its last change.
            await self._galleries.save_snapshot(index, gallery.id, generation.number, generation.model_id)
        while True:
            await self._catch_up(running, build)
            running.check()
            # Fails once the lock may be lost.
            await lock.exec_driver_sql("SELECT 1")
            try:
                await self._switch(running, build)
            except ModelGone:
                # Somebody deletes at this moment what was not described yet; or a run of this job that was taken for
                # dead took the note back.
                await self._join(build)
            else:
                return index

    async def _join(self, build: _Build) -> None:
        """From here on, until the job ends, every upload brings a descriptor of the generation's model."""
        if build.generation.model_id != build.gallery.model_id:
            async with self._database.transaction() as connection:
                await generation_store.join(connection, build.generation)

    async def _fill(self, running: RunningJob, gallery: Gallery, generation: Generation) -> None:
        async with self._database.reading() as connection:
            running.done = await change_store.count_described(connection, gallery.id, generation.model_id)
            missing = await change_store.undescribed(connection, gallery.id, generation.model_id)
            _refuse_without_frames(await descriptor_store.without_frames(connection, gallery.id, generation.model_id))
        running.total = running.done + len(missing)
        if missing:
            filled = await self._describer.fill(running, gallery, generation.model_id)
            _refuse_lost(filled.failed)

    async def _catch_up(self, running: RunningJob, build: _Build) -> None:
        """Describe and apply what came meanwhile, as far as it goes without locking anybody out."""
        gallery, model_id = build.gallery, build.generation.model_id
        async with self._database.reading() as connection:
            waiting = await change_store.undescribed(connection, gallery.id, model_id, limit=1)
            if waiting:
                _refuse_without_frames(await descriptor_store.without_frames(connection, gallery.id, model_id))
        if waiting:
            filled = await self._describer.fill(running, gallery, model_id)
            _refuse_lost(filled.failed)
        async with self._database.reading() as connection:
            # Uploaded after the look: the next round describes it.
            with suppress(ModelGone):
                while changes := await change_store.after(connection, gallery.id, model_id, build.index.applied):
                    apply_changes(build.index, changes)
            await self._fill_holes(connection, build)

    async def _switch(self, running: RunningJob, build: _Build) -> None:
        """One transaction that makes the generation serve.

        Raises:
            ModelGone: not everything is described; nothing happened.
            JobCancelled: nothing happened.
        """
        gallery, generation, index = build.gallery, build.generation, build.index
        if build.holes:
            raise ModelGone(f"tracklet {build.holes[0]} has no descriptor of the generation's model")
        async with self._galleries.switching(gallery.name) as served:
            async with self._database.transaction() as connection:
                if not await job_store.lock_uncancelled(connection, running.job.id):
                    raise JobCancelled
                # From here to COMMIT nobody can change the gallery.
                await generation_store.activate(connection, generation)
                while changes := await change_store.after(connection, gallery.id, generation.model_id, index.applied):
                    apply_changes(index, changes)
            await self._galleries.replace(served, index, generation.number, generation.model_id)
        self._galleries.saver.save_soon(served)

    async def _fill_holes(self, connection: AsyncConnection, build: _Build) -> None:
        """Add what was not described yet when the index was built, and is now."""
        gallery, model_id = build.gallery, build.generation.model_id
        if build.holes:
            # Later than the changes that were applied: one that is deleted since is no row, or a change to come.
            rows = await change_store.rows_of(connection, gallery.id, model_id, build.holes)
            build.index.add([row for row in rows if row.tracklet_id not in build.index])
            left = set(await change_store.undescribed(connection, gallery.id, model_id))
            build.holes = [hole for hole in build.holes if hole in left and hole not in build.index]


def _refuse_lost(failed: tuple[FramesLost, ...]) -> None:
    if failed:
        first = ", ".join(str(loss.tracklet_id) for loss in failed[:_EXAMPLES])
        more = ", ..." if len(failed) > _EXAMPLES else ""
        raise JobRefused(
            f"Frames of {len(failed)} tracklets are missing or damaged ({first}{more}), so "
            "they cannot be described by this model, and nothing was switched. Put the files back or delete the "
            "tracklets, then activate the generation: what was described is kept."
        )


def _refuse_without_frames(tracklets: Sequence[uuid.UUID]) -> None:
    if tracklets:
        first = ", ".join(str(one) for one in tracklets[:_EXAMPLES])
        more = ", ..." if len(tracklets) > _EXAMPLES else ""
        raise JobRefused(
            f"{len(tracklets)} tracklets came as descriptors, without frames ({first}{more}): there are no frames to "
            "describe by this model, and nothing was switched. Delete them, or send them to a gallery of their own."
        )
