"""Mends what a comparison found, as a job."""

import asyncio
import uuid
from typing import Any

from service.gallery.galleries import Galleries
from service.gallery.served import ServedGallery
from service.ingest.sweeping import Sweeper
from service.integrity.checks import Checker, Depth
from service.integrity.report import Finding, Kind, Report, this_process
from service.jobs.describing import Describer
from service.jobs.running import JobRefused, RunningJob
from service.store import changes as change_store
from service.store import galleries as gallery_store
from service.store import integrity as store
from service.store.database import Database
from service.store.galleries import Gallery

REPAIR = "repair"

_EVERYTHING = Depth(hashed=None, described=None)
_INDEX: tuple[Kind, ...] = ("index_missing", "index_extra", "index_differs")


class Repairs:
    """Compares everything of a gallery, down to describing every tracklet again, and mends what can be.

    Running it again is harmless, and is what it does after a crash.
    """

    def __init__(
        self,
        database: Database,
        galleries: Galleries,
        sweeper: Sweeper,
        describer: Describer,
        checker: Checker,
    ) -> None:
        self._database = database
        self._galleries = galleries
        self._sweeper = sweeper
        self._describer = describer
        self._checker = checker

    async def repair(self, running: RunningJob) -> dict[str, Any]:
        """Mend the gallery.

        Returns:
            The findings: `mended`, and those `left` to a person, after a second look; and the process whose index was
            compared. Every other process was asked to build its own anew.

        Raises:
            JobCancelled: what was mended stays so.
            JobRefused: the gallery was deleted.
        """
        async with self._database.reading() as connection:
            gallery = await gallery_store.find(connection, running.job.gallery or "")
            if gallery is None:
                raise JobRefused("The gallery was deleted.")
            running.total, _, _ = await store.count(connection, gallery.id)

        def note(done: int) -> None:
            running.done = done
            running.check()

        before = await self._checker.check(gallery.name, _EVERYTHING, note)
        await self._sweep(gallery, before)
        await self._describe(running, gallery, before)
        await self._renew_snapshot(gallery, before)
        after = await self._checker.check(gallery.name, Depth(hashed=0, described=0)) if before.findings else before
        served = self._galleries.find(gallery.name)
        if after.found(*_INDEX) and served is not None:
            await self._galleries.renewer.rebuild(served)
            after = await self._checker.check(gallery.name, Depth(hashed=0, described=0))
        running.check()
        await self._ask_others(gallery, after)
        # What the second look did not look at again: contents of files.
        left = [one for one in after.findings if one.kind != "frame_damaged"]
        left += [one for one in before.findings if one.kind == "frame_damaged"]
        gone = {(finding.kind, about) for finding in left for about in finding.about}
        mended = []
        for finding in before.findings:
            done = [about for about in finding.about if (finding.kind, about) not in gone]
            if done and finding.mendable:
                mended.append(Finding(finding.kind, done))
        running.done = running.total
        return {
            "process": this_process(),
            "mended": [one.to_dict() for one in mended],
            "left": [one.to_dict() for one in left],
        }

    async def _sweep(self, gallery: Gallery, report: Report) -> None:
        names = [name for name in report.found("unknown_file") if _is_digest(name)]
        # Files that no row names may be what is left of a tracklet whose rows are wrong.
        if names and not report.found("frame_rows"):
            await self._sweeper.sweep(gallery.id, gallery.name, [bytes.fromhex(name) for name in names])

    async def _describe(self, running: RunningJob, gallery: Gallery, report: Report) -> None:
        """Describe again what has no sound descriptor of its own.

        Every index hears of it as a deletion and an addition, in one transaction. Tracklets whose frame rows are wrong
        are left: what their frames give now is not theirs.
        """
        wrong = set(report.found("frame_rows"))
        for about in report.found("undescribed", "broken_descriptor", "foreign_descriptor"):
            running.check()
            if about in wrong:
                continue
            tracklet_id = uuid.UUID(about)
            found = await self._describer.describe_many(gallery, [tracklet_id], report.model_id)
            vector = found.vectors.get(tracklet_id)
            if vector is None:
                continue
            async with self._database.transaction() as connection:
                if not await store.lock_tracklet(connection, tracklet_id):
                    continue
                content, frame_cap = vector.astype("<f4").tobytes(), self._describer.frame_cap(gallery)
                purity = found.purities[tracklet_id]
                await store.replace_descriptor(connection, tracklet_id, report.model_id, content, frame_cap, purity)
                await change_store.record(connection, gallery.id, "deleted", tracklet_id)
                change = (await change_store.record(connection, gallery.id, "added", tracklet_id)).number
            await self._galleries.catch_up(gallery.name, change)

    async def _renew_snapshot(self, gallery: Gallery, report: Report) -> None:
        served = self._galleries.find(gallery.name)
        if report.found("snapshot_damaged") and served is not None:
            await asyncio.to_thread(self._galleries.forget_snapshot, gallery.id, served.loaded.generation)
            await self._save(served)

    async def _save(self, served: ServedGallery) -> None:
        served.saved = -1
        self._galleries.saver.save_soon(served)
        if served.saving is not None:
            await served.saving

    async def _ask_others(self, gallery: Gallery, report: Report) -> None:
        """Have every process build its index anew: nobody but itself can compare it.

        This one need not, if its own was found right; it saves it again, since no snapshot from before will be used.
        """
        served = self._galleries.find(gallery.name)
        index = served.index if served is not None and not report.found(*_INDEX) else None
        before = 0 if index is None else index.rebuild
        try:
            async with self._database.transaction() as connection:
                number = await gallery_store.ask_for_rebuild(connection, gallery.id)
                if index is not None:
                    # Before COMMIT, which this process hears of as others do.
                    index.rebuild = number
        except BaseException:
            if index is not None:
                index.rebuild = before
            raise
        if served is not None and index is not None:
            await self._save(served)


def _is_digest(name: str) -> bool:
    return len(name) == 64 and all(character in "0123456789abcdef" for character in name)
