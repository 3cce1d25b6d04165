"""Compares the rows, descriptors, frames and index of a gallery with one another."""

import asyncio
import hashlib
import random
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import IndexNotReady, ModelConflict, NotFound
from service.gallery import snapshot
from service.gallery.galleries import Galleries
from service.gallery.index import Frozen, GalleryIndex
from service.gallery.served import Loaded
from service.gallery.snapshot_folder import SnapshotFolder, verify_fit, verify_past
from service.integrity.comparing import Compared
from service.integrity.report import Report, this_process
from service.jobs.describing import Describer
from service.store import changes as change_store
from service.store import descriptors as descriptor_store
from service.store import frame_locks
from service.store import galleries as gallery_store
from service.store import integrity as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.galleries import Gallery

LEAST_COSINE = 0.999
"""Between a stored descriptor and what its frames give now: a GPU, bfloat16 or another library may have made it."""

_FILES_AT_ONCE = 2000
_LOOKS = 5
_TRACKLETS_AT_ONCE = 8
_NIL = uuid.UUID(int=0)


@dataclass(frozen=True)
class Depth:
    """How closely to look; None: at all of them.

    Attributes:
        hashed: frame files that are read and hashed; all are looked for, with their size.
        described: tracklets that are described again from their frames.
    """

    hashed: int | None = 200
    described: int | None = 8


class Checker:
    """Compares galleries. Nothing is changed, and nobody is held up for longer than it takes to freeze an index.

    Args:
        seconds_between_looks: from one look at files that no row names, which may be about to go, to the next.
    """

    def __init__(
        self,
        database: Database,
        frame_store: FrameStore,
        galleries: Galleries,
        snapshots: SnapshotFolder,
        describer: Describer,
        seconds_between_looks: float = 0.5,
    ) -> None:
        self._database = database
        self._frame_store = frame_store
        self._galleries = galleries
        self._snapshots = snapshots
        self._describer = describer
        self.seconds_between_looks = seconds_between_looks

    async def check(self, name: str, depth: Depth, progress: Callable[[int], None] = lambda done: None) -> Report:
        """Compare everything of a gallery.

        Args:
            progress: called with the number of tracklets that were described again.

        Raises:
            NotFound: there is no such gallery.
            DatabaseUnavailable.
        """
        async with self._side_by_side(name) as (connection, gallery, frozen):
            report = Report(this_process(), name, gallery.generation, gallery.model_id, gallery.change)
            await self._compare_index(connection, gallery, gallery.model_id, frozen, report)
            report.note("frame_rows", await store.with_wrong_frame_rows(connection, gallery.id))
            tracklets, frames, files = await store.count(connection, gallery.id)
        report.checked |= {"tracklets": tracklets, "frames": frames, "files": files}
        await self._compare_files(gallery, depth.hashed, files, report)
        await self._look_for_unknown_files(gallery, report)
        await self._check_snapshot(gallery, report)
        await self._describe_again(gallery, gallery.model_id, depth.described, report, progress)
        return report

    @asynccontextmanager
    async def _side_by_side(self, name: str) -> AsyncIterator[tuple[AsyncConnection, Gallery, Frozen | None]]:
        """The database and the gallery as they stand, and its index; None when what serves cannot be loaded."""
        for look in range(1, _LOOKS + 1):
            frozen, loaded = await self._frozen(name, again=look > 1)
            async with self._database.frozen() as connection:
                gallery = await gallery_store.find(connection, name)
                if gallery is None:
                    raise NotFound(f"There is no gallery {name!r}.")
                serves = loaded is not None and loaded.serves(gallery)
                if serves or loaded is None or look == _LOOKS:
                    yield connection, gallery, frozen if serves else None
                    return
            # Switched between the two: what was frozen serves no more, and need not have what came since.

    async def _frozen(self, name: str, again: bool) -> tuple[Frozen | None, Loaded | None]:
        """The index as it is now, and what it is; None when it cannot be loaded."""
        try:
            await (self._galleries.renewed(name) if again else self._galleries.current(name))
        except IndexNotReady:
            if self._galleries.find(name) is None:
                return None, None
        async with self._galleries.switching(name) as served:
            return served.index.freeze(), served.loaded

    async def _compare_index(
        self, connection: AsyncConnection, gallery: Gallery, model_id: str, frozen: Frozen | None, report: Report
    ) -> None:
        loadable = frozen is not None
        if frozen is None:
            report.note("index_unloadable", [gallery.name])
            frozen = GalleryIndex(gallery.dimension, gallery.change).freeze()
        # The index may be a few changes behind the database: what those are about is left out.
        touched: set[uuid.UUID] = set()
        number = frozen.applied
        while changes := await change_store.after(connection, gallery.id, model_id, number):
            touched |= {change.tracklet_id for change in changes}
            number = changes[-1].number
        content = frozen.ids.tobytes()
        ids = [uuid.UUID(bytes=content[16 * n : 16 * n + 16]) for n in range(len(frozen.ids))]
        compared = Compared(frozen, touched, {one: n for n, one in enumerate(ids) if one not in touched})
        report.checked["index_rows"] = len(ids)
        async for rows in change_store.copy_rows(connection, gallery.id, model_id):
            await asyncio.to_thread(compared.take, rows)
        broken = set(compared.broken)
        undescribed = await change_store.undescribed(connection, gallery.id, model_id)
        report.note("undescribed", undescribed)
        report.note("broken_descriptor", compared.broken)
        report.note("index_missing", compared.missing if loadable else [])
        left = set(compared.positions) - broken - set(undescribed)
        report.note("index_extra", sorted(left))
        report.note("index_differs", compared.differing)

    async def _compare_files(self, gallery: Gallery, hashed: int | None, files: int, report: Report) -> None:
        share = 1.0 if hashed is None or files == 0 else min(1.0, hashed / files)
        missing: list[bytes] = []
        damaged: list[bytes] = []
        read = 0

        def look(page: Sequence[tuple[bytes, int]]) -> None:
            nonlocal read
            for digest, size in page:
                path = self._frame_store.path(gallery.name, digest)
                try:
                    if path.stat().st_size != size:
                        damaged.append(digest)
                    elif random.random() < share:  # noqa: S311 - a sample, not a secret
                        read += 1
                        if hashlib.sha256(path.read_bytes()).digest() != digest:
                            damaged.append(digest)
                except FileNotFoundError:
                    missing.append(digest)
                except OSError:
                    damaged.append(digest)

        last = b""
        while True:
            async with self._database.reading() as connection:
                page = await store.files_after(connection, gallery.id, last, _FILES_AT_ONCE)
            if not page:
                break
            await asyncio.to_thread(look, page)
            last = page[-1][0]
        report.checked["files_hashed"] = read
        async with self._database.reading() as connection:
            # Files of what was deleted meanwhile are gone rightly: nothing refers to them any more.
            report.note("frame_missing", await store.using(connection, gallery.id, missing) if missing else [])
            report.note("frame_damaged", await store.using(connection, gallery.id, damaged) if damaged else [])

    async def _look_for_unknown_files(self, gallery: Gallery, report: Report) -> None:
        strangers = await asyncio.to_thread(self._frame_store.strangers, gallery.name)
        orphans = await asyncio.to_thread(self._frame_store.digests, gallery.name)
        for look in range(_LOOKS):
            orphans = await self._unreferenced(gallery, orphans)
            if not orphans:
                break
            if look < _LOOKS - 1:
                # Whoever deletes a tracklet removes its files when the row is gone; these may be about to go.
                await asyncio.sleep(self.seconds_between_looks)
        report.note("unknown_file", [*(one.hex() for one in orphans), *strangers])

    async def _unreferenced(self, gallery: Gallery, digests: Sequence[bytes]) -> list[bytes]:
        """Those of the files that are there and that no row names."""
        # Without a lock for all of them, with it for the few that are left: uploads wait for who has it.
        candidates: list[bytes] = []
        async with self._database.reading() as connection:
            for start in range(0, len(digests), _FILES_AT_ONCE):
                some = digests[start : start + _FILES_AT_ONCE]
                candidates += await frame_locks.unreferenced(connection, gallery.id, some)
        orphans: list[bytes] = []
        for start in range(0, len(candidates), _FILES_AT_ONCE):
            async with self._database.transaction() as connection:
                # An upload in progress has files before it has rows; it holds this lock until it has both.
                await frame_locks.lock_frames_exclusively(connection, gallery.id)
                some = candidates[start : start + _FILES_AT_ONCE]
                orphans += await frame_locks.unreferenced(connection, gallery.id, some)
        return await asyncio.to_thread(
            lambda: [one for one in orphans if self._frame_store.path(gallery.name, one).exists()]
        )

    async def _check_snapshot(self, gallery: Gallery, report: Report) -> None:
        path = self._snapshots.path(gallery.id, gallery.generation)
        try:
            manifest = await asyncio.to_thread(snapshot.verify, path)
            async with self._database.reading() as connection:
                # Asked after it was read: it may have been written a moment ago.
                now = await gallery_store.get_state(connection, gallery.id)
            # One that is older than a repair is not damaged: it is not used, and written again soon.
            verify_fit(manifest, replace(gallery, rebuild=0))
            verify_past(manifest, now.change)
            report.checked["snapshots"] = 1
        except FileNotFoundError:
            report.checked["snapshots"] = 0
        except (snapshot.SnapshotError, OSError):
            report.note("snapshot_damaged", [path.name])

    async def _describe_again(
        self, gallery: Gallery, model_id: str, described: int | None, report: Report, progress: Callable[[int], None]
    ) -> None:
        if described is not None:
            async with self._database.reading() as connection:
                ids = await store.some_tracklets(connection, gallery.id, described)
            pages = [ids[n : n + _TRACKLETS_AT_ONCE] for n in range(0, len(ids), _TRACKLETS_AT_ONCE)]
        foreign: list[uuid.UUID] = []
        done, last = 0, _NIL
        while True:
            if described is None:
                async with self._database.reading() as connection:
                    page = await store.tracklets_after(connection, gallery.id, last, _TRACKLETS_AT_ONCE)
            else:
                page = pages.pop() if pages else []
            if not page:
                break
            last = page[-1]
            try:
                foreign += await self._foreign(gallery, model_id, page)
            except ModelConflict:
                report.note("model_unavailable", [model_id])
                break
            done += len(page)
            progress(done)
        report.checked["described_again"] = done
        # Where the frames are not those that were uploaded, the descriptor may be the part that is right.
        known = set(report.found("broken_descriptor", "frame_rows"))
        report.note("foreign_descriptor", [one for one in foreign if str(one) not in known])

    async def _foreign(self, gallery: Gallery, model_id: str, ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
        """Those of the tracklets whose descriptor is not what their frames give."""
        async with self._database.reading() as connection:
            # What was described before the frame cap was changed is right as it is.
            frames = dict.fromkeys(ids, self._describer.usual_frame_cap)
            frames |= await descriptor_store.frames_of(connection, model_id, ids)
        found = await self._describer.describe_many(gallery, ids, model_id, frames_of=frames)
        async with self._database.reading() as connection:
            stored = await store.vectors_made_here(connection, model_id, list(found.vectors))
        foreign = []
        for tracklet_id, content in stored.items():
            expected = found.vectors[tracklet_id].astype(np.float64)
            if len(content) != 4 * len(expected):
                continue
            vector = np.frombuffer(content, "<f4").astype(np.float64)
            lengths = float(np.linalg.norm(vector)) * float(np.linalg.norm(expected))
            # Written so that what is not finite is foreign too.
            if not float(vector @ expected) >= LEAST_COSINE * lengths:
                foreign.append(tracklet_id)
        return foreign
