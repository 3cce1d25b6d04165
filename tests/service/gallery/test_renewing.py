"""Indexes put in the place of others while they answer: without deleted rows, or built anew; and failures."""

import asyncio
import gc
import resource
import threading
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from structlog.testing import capture_logs

from service.errors import IndexNotReady
from service.gallery import building, renewing, snapshot
from service.gallery import rows as row_module
from service.gallery.backoff import Backoff
from service.gallery.galleries import Galleries
from service.gallery.index import Frozen, GalleryIndex
from service.gallery.renewing import worth_compacting
from service.gallery.snapshot_folder import SnapshotFolder
from service.store import galleries as gallery_store
from service.store import tracklet_writing
from service.store.database import Database
from service.store.galleries import Gallery
from tests.service.gallery.test_gallery_index import KINDS, OPTIONS, make_rows
from tests.service.gallery.test_switch_races import ANYTHING, FIRST, database, gallery, move, put
from tests.support import files_no_larger_than

pytestmark = pytest.mark.anyio

__all__ = ["database", "gallery"]


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows fill a block, and few deleted ones are worth a compaction."""
    monkeypatch.setattr(row_module, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(row_module, "_LEAST_BLOCK_ROWS", 8)
    monkeypatch.setattr(renewing, "LEAST_DEAD_ROWS", 4)


async def take_out(database: Database, *ids: uuid.UUID) -> None:
    """Delete tracklets, as another process would."""
    for one in ids:
        async with database.transaction() as connection:
            assert await tracklet_writing.remove(connection, one, "a test") is not None


async def state(database: Database, gallery: Gallery) -> Gallery:
    """The gallery as it stands."""
    async with database.reading() as connection:
        return await gallery_store.get_state(connection, gallery.id)


@contextmanager
def served_as(database: Database, folder: Path, **index_options: object) -> Iterator[Galleries]:
    """The galleries of one process, which is never closed in order."""
    options = index_options | ({"scratch": folder} if index_options.get("row_type") == "float16" else {})
    yield Galleries(database, SnapshotFolder(folder), max_lag_seconds=5, index_options=options)


@pytest.mark.parametrize(
    ("rows", "deleted", "worth"),
    [(1100, 1024, False), (1100, 1025, True), (8000, 2000, False), (8000, 2001, True)],
)
def test_an_index_is_compacted_when_a_quarter_of_many_rows_is_deleted(
    monkeypatch: pytest.MonkeyPatch, rows: int, deleted: int, worth: bool
) -> None:
    monkeypatch.setattr(renewing, "LEAST_DEAD_ROWS", 1024)
    monkeypatch.setattr(row_module, "_LEAST_BLOCK_ROWS", 1024)
    index = GalleryIndex(2)
    added = make_rows(np.random.default_rng(1), rows, 2)
    index.add(added)
    for row in added[:deleted]:
        index.remove(row.tracklet_id)
    assert (index.dead, worth_compacting(index)) == (deleted, worth)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_room_of_deleted_rows_is_given_back_while_others_write(
    database: Database, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ids = [(await put(database, gallery))[0] for _ in range(30)]
    with served_as(database, tmp_path, **OPTIONS[kind]) as process:
        await process.current("g")
        served = process.find("g")
        assert served is not None
        await take_out(database, *ids[:12])
        await process.refresh(served)
        compact, going, on = process._loader.compact, threading.Event(), threading.Event()

        def compact_late(frozen: Frozen) -> GalleryIndex:
            going.set()
            assert on.wait(30)
            return compact(frozen)

        monkeypatch.setattr(process._loader, "compact", compact_late)
        # A snapshot of the rows before is being written meanwhile.
        process.saver.save_soon(served)
        process.renewer.renew_soon(served, await state(database, gallery))
        assert served.renewing is not None
        await asyncio.to_thread(going.wait, 30)
        await take_out(database, ids[12])
        ids.append((await put(database, gallery))[0])
        # One of the two changes is in the index that answers, and one is not yet.
        await process.refresh(served)
        ids.append((await put(database, gallery))[0])
        before = served.loaded
        old, expected = weakref.ref(before.index), sorted(ids[13:])
        on.set()
        await served.renewing
        assert served.loaded is not before
        # The one that was deleted meanwhile is dead here, too.
        assert (served.index.dead, len(served.index)) == (1, 19)
        assert [hit.tracklet_id for hit in await served.loaded.search(ANYTHING)] == expected
        # Who began before goes on, and sees what was there.
        assert len(await before.search(ANYTHING)) == 18
        assert served.saving is not None
        await served.saving
        assert served.saved == snapshot.verify(tmp_path / f"{gallery.id}-1.snapshot").applied == 42
        del before
        gc.collect()
        assert old() is None
        process.renewer.renew_soon(served, await state(database, gallery))
        assert served.renewing.done()


async def test_a_compaction_that_the_disk_has_no_room_for_costs_nothing_and_is_tried_again_later(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    ids = [(await put(database, gallery))[0] for _ in range(40)]
    now = [1000.0]
    options = {"row_type": "float16", "scratch": tmp_path}
    process = Galleries(
        database, SnapshotFolder(tmp_path), max_lag_seconds=5, index_options=options, clock=lambda: now[0]
    )
    await process.current("g")
    served = process.find("g")
    assert served is not None
    await take_out(database, *ids[:20])
    await process.refresh(served)
    with capture_logs() as said, files_no_larger_than(10):
        process.renewer.renew_soon(served, await state(database, gallery))
        assert served.renewing is not None
        await served.renewing
    assert [(one["event"], one["again_in"]) for one in said] == [("index could not be renewed", 1.0)]
    failed = served.renewing
    assert served.index.dead == 20
    assert [hit.tracklet_id for hit in await served.loaded.search(ANYTHING)] == sorted(ids[20:])
    process.renewer.renew_soon(served, await state(database, gallery))
    assert served.renewing is failed
    now[0] += 1.5
    process.renewer.renew_soon(served, await state(database, gallery))
    await served.renewing
    assert served.index.dead == 0
    assert [hit.tracklet_id for hit in await served.loaded.search(ANYTHING)] == sorted(ids[20:])


async def test_a_switch_during_a_renewal_stays(
    database: Database, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, gallery)
    with served_as(database, tmp_path) as process:
        await process.current("g")
        served = process.find("g")
        assert served is not None
        compact = process._loader.compact
        main = asyncio.get_running_loop()

        def compact_late(frozen: Frozen) -> GalleryIndex:
            asyncio.run_coroutine_threadsafe(move(database, gallery), main).result()
            return compact(frozen)

        monkeypatch.setattr(process._loader, "compact", compact_late)
        assert not await process.renewer.compact(served)
        assert served.loaded.generation == 1
        await process.refresh(served)
        assert (served.loaded.generation, len(served.index)) == (2, 1)


async def test_every_process_builds_its_index_anew_when_asked_and_snapshots_from_before_are_not_used(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    ids = [(await put(database, gallery))[0] for _ in range(3)]
    with served_as(database, tmp_path) as one, served_as(database, tmp_path) as other:
        for process in (one, other):
            await process.current("g")
        wrong = other.find("g")
        assert wrong is not None
        wrong.index.remove(ids[0])
        other.saver.save_soon(wrong)
        assert wrong.saving is not None
        await wrong.saving
        async with database.transaction() as connection:
            assert await gallery_store.ask_for_rebuild(connection, gallery.id) == 1
        for process in (one, other):
            served = process.find("g")
            assert served is not None
            process.renewer.renew_soon(served, await state(database, gallery))
            assert served.renewing is not None
        # A process that starts now does not believe what the wrong one saved.
        with served_as(database, tmp_path) as third:
            for process in (one, other, third):
                loaded = await process.current("g")
                served = process.find("g")
                assert served is not None
                if served.renewing:
                    await served.renewing
                assert [hit.tracklet_id for hit in await served.loaded.search(ANYTHING)] == sorted(ids)
                assert (served.saved, served.index.rebuild) == (-1, 1)
            assert loaded.generation == 1


def test_what_fails_again_is_tried_ever_more_seldom_and_at_once_when_something_changed() -> None:
    now = [0.0]
    backoff = Backoff(lambda: now[0])
    waits = []
    for _ in range(9):
        waits.append(backoff.failed("g", 1, ValueError("no")))
        assert str(backoff.too_early("g", 1)) == "no"
        assert backoff.too_early("g", 2) is backoff.too_early("h", 1) is None
        now[0] += waits[-1]
        assert backoff.too_early("g", 1) is None
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert backoff.failed("g", 2, ValueError("other")) == 1
    backoff.worked("g")
    assert backoff.too_early("g", 2) is None


async def test_a_gallery_that_cannot_be_loaded_is_not_read_again_and_again(
    database: Database, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, _ = await put(database, gallery)
    async with database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE descriptors SET vector = 'short'")
    now, reads, build = [1000.0], [], building.build_with_holes

    async def build_and_count(*arguments: object, **options: object) -> object:
        reads.append(now[0])
        return await build(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "build_with_holes", build_and_count)
    process = Galleries(database, SnapshotFolder(tmp_path), max_lag_seconds=5, clock=lambda: now[0])
    for seconds, expected in ((0, 1), (0, 1), (1, 2), (1, 2), (1, 3)):
        now[0] += seconds
        with pytest.raises(IndexNotReady, match=f"{stored} has 5 bytes"):
            await process.current("g")
        assert len(reads) == expected
    # Something changed: perhaps that was it.
    await take_out(database, stored)
    assert len((await process.current("g")).index) == 0
    assert len(reads) == 4


async def test_a_snapshot_that_another_process_saved_a_moment_ago_is_not_of_the_future(
    database: Database, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [(await put(database, gallery))[0]]
    snapshots, main = SnapshotFolder(tmp_path), asyncio.get_running_loop()
    load = snapshots.load

    async def save_elsewhere() -> None:
        ids.append((await put(database, gallery))[0])
        with served_as(database, tmp_path) as other:
            await other.current("g")
            await other.close()

    def load_late(of: Gallery, **options: object) -> object:
        # After the gallery was looked at.
        asyncio.run_coroutine_threadsafe(save_elsewhere(), main).result()
        return load(of, **options)

    monkeypatch.setattr(snapshots, "load", load_late)
    process = Galleries(database, snapshots, max_lag_seconds=5)
    loaded = await process.current("g")
    served = process.find("g")
    assert served is not None
    assert served.saved == 2
    assert [hit.tracklet_id for hit in await loaded.search(ANYTHING)] == sorted(ids)
    assert (tmp_path / f"{gallery.id}-1.snapshot").exists()


async def test_an_index_that_is_ahead_of_a_database_that_was_put_back_is_built_anew(
    database: Database, gallery: Gallery, tmp_path: Path
) -> None:
    ids = [(await put(database, gallery))[0] for _ in range(3)]
    with served_as(database, tmp_path) as process:
        await process.current("g")
        async with database.transaction() as connection:
            # As after an older backup was put back under a running service.
            await connection.exec_driver_sql(f"DELETE FROM tracklets WHERE id = '{ids[2]}'")
            await connection.exec_driver_sql("DELETE FROM changes WHERE number = 3")
            await connection.exec_driver_sql("UPDATE galleries SET change = 2")
        loaded = await process.renewed("g")
        assert [hit.tracklet_id for hit in await loaded.search(ANYTHING)] == sorted(ids[:2])


@contextmanager
def limited(what: int, value: int) -> Iterator[None]:
    """Within the block this process may use so much of a resource."""
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


@pytest.mark.parametrize("failure", ["no room for float16 rows", "no open files left", "no memory left"])
def test_a_snapshot_outlives_what_fails_in_this_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    index = GalleryIndex(16)
    index.add(make_rows(np.random.default_rng(3), 20, 16))
    folder = SnapshotFolder(tmp_path)
    asked = Gallery(1, "g", 0, 1, FIRST, 16, joining_model_id=None)
    assert folder.save(index.freeze(), 1, 1, FIRST)
    with capture_logs() as said:
        if failure == "no room for float16 rows":
            with files_no_larger_than(10):
                assert folder.load(asked, row_type="float16", scratch=tmp_path) is None
        elif failure == "no open files left":
            with limited(resource.RLIMIT_NOFILE, 3):
                assert folder.load(asked) is None
        else:
            with monkeypatch.context() as patched:
                patched.setattr(row_module, "_BLOCK_BYTES", 2**34)
                with limited(resource.RLIMIT_AS, psutil.Process().memory_info().vms + 2**27):
                    assert folder.load(asked) is None
    assert [one["event"] for one in said] == ["snapshot cannot be read for now, and is left"]
    loaded = folder.load(asked)
    assert loaded is not None
    assert len(loaded) == 20


async def test_one_gallery_that_cannot_be_saved_does_not_keep_the_others_from_it(
    database: Database, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as connection:
        second = await gallery_store.find_or_create(connection, "h", FIRST)
    for one in (gallery, second):
        await put(database, one)
    with served_as(database, tmp_path) as process:
        for name in ("g", "h"):
            await process.current(name)
        served = process.find("g")
        assert served is not None

        def broken() -> Frozen:
            raise RuntimeError("an index that nobody foresaw")

        monkeypatch.setattr(served.index, "freeze", broken)
        await process.close()
    assert SnapshotFolder(tmp_path).generations() == {(second.id, 1)}


@pytest.mark.parametrize("failure", ["no room", "no open files left"])
def test_a_snapshot_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, failure: str) -> None:
    rows = make_rows(np.random.default_rng(3), 20, 16)
    index = GalleryIndex(16)
    index.add(rows[:10])
    folder = SnapshotFolder(tmp_path)
    assert folder.save(index.freeze(), 1, 1, FIRST)
    before = folder.path(1, 1).read_bytes()
    index.add(rows[10:])
    full = limited(resource.RLIMIT_NOFILE, 3) if failure == "no open files left" else files_no_larger_than(100)
    with capture_logs() as said, full:
        assert not folder.save(index.freeze(), 1, 1, FIRST)
    assert [(one["event"], one["log_level"]) for one in said] == [
        ("snapshot could not be written, the one before stays", "error")
    ]
    assert folder.path(1, 1).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
