"""Change numbers: commit order, no gaps, whatever other transactions do."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import text

from service.errors import GalleryMoved
from service.gallery.building import build_index
from service.store import changes as change_store
from service.store import frame_locks, galleries, generations, migrate, models, tracklet_writing
from service.store.database import Database, conninfo
from service.store.embedded import EmbeddedPostgres
from service.store.galleries import Gallery
from service.store.generations import Generation
from service.store.models import ModelRecord
from service.store.tracklet_writing import NewTracklet
from service.store.tracklets import FrameRecord
from tests.support import empty_database

pytestmark = pytest.mark.anyio

MODEL = "a" * 64
OTHER = "b" * 64
VECTOR = b"\0\0\x80?\0\0\0\0"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database."""
    await asyncio.to_thread(migrate.upgrade, database_url)
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def gallery(database: Database) -> Gallery:
    """A gallery under a model of two numbers."""
    async with database.transaction() as connection:
        await models.register(connection, ModelRecord(MODEL, 2, {}, {}, {}))
        return await galleries.find_or_create(connection, "g", MODEL)


def new_tracklet(**values: object) -> NewTracklet:
    """A tracklet with one frame."""
    return NewTracklet(
        **{
            "id": uuid.uuid4(),
            "camera": "c",
            "external_id": None,
            "identity": None,
            "started_at": None,
            "ended_at": None,
            "labels": {},
            "frames": [FrameRecord(b"h" * 32, "image/jpeg", 8, 8, 100)],
            "frames_digest": b"d",
            "descriptors": {MODEL: VECTOR},
            **values,
        }
    )


async def test_a_late_committer_gets_the_later_number_although_it_began_first(
    database: Database, gallery: Gallery
) -> None:
    early, late = new_tracklet(), new_tracklet(camera="d")
    began, other_done = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        async with database.transaction() as connection:
            # Does real work first, as every upload does; the number is taken last.
            await frame_locks.lock_frames_shared(connection, gallery.id)
            await connection.exec_driver_sql("SELECT txid_current()")
            began.set()
            await other_done.wait()
            return (await tracklet_writing.store(connection, gallery.id, early))[0]

    async def fast() -> int:
        await began.wait()
        async with database.transaction() as connection:
            number, _, _ = await tracklet_writing.store(connection, gallery.id, late)
        other_done.set()
        return number

    assert await asyncio.gather(slow(), fast()) == [2, 1]
    async with database.transaction() as connection:
        changes = await change_store.after(connection, gallery.id, MODEL, 0)
    assert [(change.number, change.tracklet_id) for change in changes] == [(1, late.id), (2, early.id)]


async def test_the_second_writer_waits_for_the_first_to_commit(database: Database, gallery: Gallery) -> None:
    async with database.transaction() as first:
        assert (await tracklet_writing.store(first, gallery.id, new_tracklet()))[0] == 1

        async def second() -> int:
            async with database.transaction() as connection:
                return (await tracklet_writing.store(connection, gallery.id, new_tracklet()))[0]

        waiting = asyncio.create_task(second())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.3)
        # A reader sees neither: no number can be read before all smaller ones are committed.
        async with database.transaction() as reader:
            assert await change_store.after(reader, gallery.id, MODEL, 0) == []
    assert await waiting == 2


async def test_a_rolled_back_change_leaves_no_gap(database: Database, gallery: Gallery) -> None:
    async def fail() -> None:
        async with database.transaction() as connection:
            assert (await tracklet_writing.store(connection, gallery.id, new_tracklet()))[0] == 1
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError, match="changed my mind"):
        await fail()
    async with database.transaction() as connection:
        assert (await tracklet_writing.store(connection, gallery.id, new_tracklet()))[0] == 1
    async with database.transaction() as connection:
        assert (await galleries.get_state(connection, gallery.id)).change == 1


async def test_concurrent_writers_get_every_number_once(database: Database, gallery: Gallery) -> None:
    async def write(number: int) -> int:
        async with database.transaction() as connection:
            return (await tracklet_writing.store(connection, gallery.id, new_tracklet(camera=f"c{number % 3}")))[0]

    numbers = await asyncio.gather(*(write(n) for n in range(30)))
    assert sorted(numbers) == list(range(1, 31))


async def test_an_open_transaction_in_another_database_holds_nothing_back(
    database: Database, gallery: Gallery, postgres: EmbeddedPostgres
) -> None:
    with empty_database(postgres) as other, psycopg.connect(conninfo(other)) as elsewhere:
        elsewhere.execute("CREATE TABLE held AS SELECT 1")
        async with database.transaction() as connection:
            await tracklet_writing.store(connection, gallery.id, new_tracklet())
        async with database.transaction() as connection:
            changes = await change_store.after(connection, gallery.id, MODEL, 0)
        assert [change.number for change in changes] == [1]
        elsewhere.rollback()


async def test_an_added_tracklet_that_was_deleted_since_comes_without_a_row(
    database: Database, gallery: Gallery
) -> None:
    tracklet = new_tracklet()
    async with database.transaction() as connection:
        await tracklet_writing.store(connection, gallery.id, tracklet)
    async with database.transaction() as connection:
        deleted = await tracklet_writing.remove(connection, tracklet.id, "test")
    assert deleted is not None
    assert deleted.change == 2
    async with database.transaction() as connection:
        changes = await change_store.after(connection, gallery.id, MODEL, 0)
    assert [(change.kind, change.row) for change in changes] == [("added", None), ("deleted", None)]


async def test_an_index_built_beside_writers_knows_which_changes_it_contains(
    database: Database, gallery: Gallery
) -> None:
    async def write() -> None:
        for _ in range(20):
            async with database.transaction() as connection:
                await tracklet_writing.store(connection, gallery.id, new_tracklet())

    writing = asyncio.create_task(write())
    while not writing.done():
        index = await build_index(database, gallery.id, MODEL)
        assert len(index) == index.applied
    await writing


async def test_an_upload_described_by_a_model_that_no_longer_serves_is_not_stored(
    database: Database, gallery: Gallery
) -> None:
    async with database.transaction() as connection:
        await models.register(connection, ModelRecord("b" * 64, 2, {}, {}, {}))
        other = await generations.add(connection, gallery.id, "b" * 64)
        await generations.activate(connection, other)

    async def store_under_the_first() -> None:
        async with database.transaction() as connection:
            await tracklet_writing.store(connection, gallery.id, new_tracklet())

    with pytest.raises(GalleryMoved):
        await store_under_the_first()
    async with database.transaction() as connection:
        assert (await galleries.get_state(connection, gallery.id)).change == 0


async def joining(database: Database, gallery: Gallery) -> Generation:
    """A generation of the gallery under the other model, which nobody is told of yet."""
    async with database.transaction() as connection:
        await models.register(connection, ModelRecord(OTHER, 2, {}, {}, {}))
        return await generations.add(connection, gallery.id, OTHER)


async def put(database: Database, gallery: Gallery, *described_by: str) -> int:
    """Store a tracklet with descriptors of these models; its change number."""
    async with database.transaction() as connection:
        new = new_tracklet(descriptors=dict.fromkeys(described_by, VECTOR))
        return (await tracklet_writing.store(connection, gallery.id, new))[0]


async def test_an_upload_brings_descriptors_of_the_serving_and_of_the_joining_generation_and_no_others(
    database: Database, gallery: Gallery
) -> None:
    generation = await joining(database, gallery)
    assert await put(database, gallery, MODEL) == 1
    with pytest.raises(GalleryMoved):
        await put(database, gallery, MODEL, OTHER)
    async with database.transaction() as connection:
        await generations.join(connection, generation)
        assert (await galleries.get_state(connection, gallery.id)).models == {MODEL, OTHER}
    with pytest.raises(GalleryMoved):
        await put(database, gallery, MODEL)
    assert await put(database, gallery, MODEL, OTHER) == 2
    async with database.transaction() as connection:
        await generations.leave(connection, generation)
        assert (await galleries.get_state(connection, gallery.id)).models == {MODEL}
    assert await put(database, gallery, MODEL) == 3
    async with database.transaction() as connection:
        await generations.join(connection, generation)
        await generations.activate(connection, generation)
        assert (await galleries.get_state(connection, gallery.id)).models == {OTHER}
    assert await put(database, gallery, OTHER) == 4
    async with database.reading() as connection:
        assert await change_store.count_described(connection, gallery.id, MODEL) == 3
        assert await change_store.count_described(connection, gallery.id, OTHER) == 2


async def test_a_purge_takes_the_note_that_a_generation_is_joining_with_it(
    database: Database, gallery: Gallery
) -> None:
    generation = await joining(database, gallery)
    async with database.transaction() as connection:
        await generations.join(connection, generation)
    async with database.transaction() as connection:
        assert await generations.remove(connection, generation)
    assert await put(database, gallery, MODEL) == 1


@pytest.mark.parametrize("made_meanwhile", [False, True])
async def test_an_upload_that_waits_for_the_row_learns_what_joined_meanwhile(
    database: Database, gallery: Gallery, made_meanwhile: bool
) -> None:
    generation = None if made_meanwhile else await joining(database, gallery)
    async with database.transaction() as first:
        if generation is None:
            await models.register(first, ModelRecord(OTHER, 2, {}, {}, {}))
            generation = await generations.add(first, gallery.id, OTHER)
        await generations.join(first, generation)
        waiting = asyncio.create_task(put(database, gallery, MODEL))
        async with database.reading() as other, asyncio.timeout(10):
            while not await other.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    with pytest.raises(GalleryMoved):
        await waiting
    assert await put(database, gallery, MODEL, OTHER) == 1


async def test_a_change_and_a_switch_are_announced_when_they_are_committed(
    database: Database, gallery: Gallery
) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo(database.url), autocommit=True) as listener:
        await listener.execute(f"LISTEN {change_store.CHANNEL}")
        async with database.transaction() as connection:
            await tracklet_writing.store(connection, gallery.id, new_tracklet())
            assert [note async for note in listener.notifies(timeout=0.1)] == []
        heard = [note.payload async for note in listener.notifies(timeout=5, stop_after=1)]
        assert heard == [f"{gallery.id} 1"]
        async with database.transaction() as connection:
            await generations.activate(connection, await generations.add(connection, gallery.id, MODEL))
        heard = [note.payload async for note in listener.notifies(timeout=5, stop_after=1)]
        assert heard == [str(gallery.id)]


async def test_a_tracklet_without_a_descriptor_of_the_model_is_told_from_a_deleted_one(
    database: Database, gallery: Gallery
) -> None:
    tracklet = new_tracklet()
    async with database.transaction() as connection:
        await models.register(connection, ModelRecord("b" * 64, 2, {}, {}, {}))
        await tracklet_writing.store(connection, gallery.id, tracklet)
    async with database.reading() as connection:
        (change,) = await change_store.after(connection, gallery.id, "b" * 64, 0)
        assert (change.row, change.undescribed) == (None, True)
        assert await change_store.undescribed(connection, gallery.id, "b" * 64) == [tracklet.id]
        assert await change_store.undescribed(connection, gallery.id, MODEL) == []


async def test_copied_rows_equal_those_that_changes_bring(database: Database, gallery: Gallery) -> None:
    moment = datetime(2026, 11, 23, 8, 15, 0, 123456, UTC)
    rows = [
        new_tracklet(identity="Ann", labels={"bag": True, "n": 1.5}, started_at=moment, ended_at=moment),
        new_tracklet(camera="päron", descriptors={MODEL: b"\0\0\xc0\x7f\n\t\\\0"}),
        *(new_tracklet() for _ in range(250)),
    ]
    for row in rows:
        async with database.transaction() as connection:
            await tracklet_writing.store(connection, gallery.id, row)
    async with database.frozen() as connection:
        copied = [row async for batch in change_store.copy_rows(connection, gallery.id, MODEL, 100) for row in batch]
        followed = [change.row for change in await change_store.after(connection, gallery.id, MODEL, 0)]
    assert len(copied) == len(rows)
    assert copied == sorted(followed, key=lambda row: row.tracklet_id)


async def test_an_upload_that_waited_for_the_maker_of_its_camera_locks_out_nobody(
    database: Database, gallery: Gallery
) -> None:
    stored, done = asyncio.Event(), asyncio.Event()

    async def second() -> None:
        async with database.transaction() as connection:
            await tracklet_writing.store(connection, gallery.id, new_tracklet())
            stored.set()
            await done.wait()

    async with database.reading() as other, asyncio.timeout(20):
        async with database.transaction() as first:
            await tracklet_writing.store(first, gallery.id, new_tracklet())
            waiting = asyncio.create_task(second())
            while not await other.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        try:
            await stored.wait()
            # As a third upload has the camera, before it goes on to an identity that the second may have made.
            assert await other.scalar(text("SELECT name FROM cameras FOR KEY SHARE NOWAIT")) == "c"
        finally:
            done.set()
            await waiting
