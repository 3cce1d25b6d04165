"""Galleries that change at the worst moment: no index is ever incomplete and called current."""

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import update

from service.errors import DatabaseUnavailable
from service.gallery.galleries import Galleries
from service.gallery.questions import Question
from service.gallery.snapshot_folder import SnapshotFolder
from service.jobs.reindex import PURGE, REINDEX, Generations
from service.jobs.running import RunningJob
from service.store import changes, descriptors, galleries, generations, jobs, migrate, models, tracklet_writing
from service.store.database import Database
from service.store.galleries import Gallery
from service.store.generations import Generation
from service.store.models import ModelRecord
from service.store.tables import GenerationRow
from service.store.tracklet_writing import NewTracklet
from service.store.tracklets import FrameRecord

pytestmark = pytest.mark.anyio

FIRST, SECOND, THIRD = "a" * 64, "b" * 64, "c" * 64
VECTOR = np.array([1, 0], "<f4").tobytes()
ANYTHING = Question(np.array([1, 0], np.float32), 100)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A migrated database with three models of two numbers."""
    await asyncio.to_thread(migrate.upgrade, database_url)
    database = Database(database_url)
    async with database.transaction() as connection:
        for model in (FIRST, SECOND, THIRD):
            await models.register(connection, ModelRecord(model, 2, {}, {}, {}))
    yield database
    await database.close()


@pytest.fixture
async def gallery(database: Database) -> Gallery:
    """A gallery under the first model."""
    async with database.transaction() as connection:
        return await galleries.find_or_create(connection, "g", FIRST)


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Galleries]:
    """The galleries of one process."""
    process = Galleries(database, SnapshotFolder(tmp_path), max_lag_seconds=5)
    yield process
    await process.close()


async def put(database: Database, gallery: Gallery, model: str = FIRST) -> tuple[uuid.UUID, int]:
    """Store a tracklet; its id and change number."""
    identifier = uuid.uuid4()
    frames = [FrameRecord(hashlib.sha256(b"").digest(), "image/jpeg", 8, 8, 100)]
    new = NewTracklet(identifier, "c", None, None, None, None, {}, frames, b"d", {model: VECTOR})
    async with database.transaction() as connection:
        change, _, _ = await tracklet_writing.store(connection, gallery.id, new)
    return identifier, change


async def move(database: Database, gallery: Gallery, model: str = SECOND) -> Generation:
    """Switch the gallery to another model, as another process would."""
    async with database.transaction() as connection:
        generation = await generations.add(connection, gallery.id, model)
        left = await changes.undescribed(connection, gallery.id, model)
        await descriptors.add(connection, model, dict.fromkeys(left, VECTOR))
        await generations.activate(connection, generation)
        return generation


@pytest.mark.parametrize("from_snapshot", [False, True])
async def test_a_switch_and_an_upload_while_a_gallery_is_loaded(
    database: Database, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_snapshot: bool
) -> None:
    stored = {(await put(database, gallery))[0] for _ in range(3)}
    if from_snapshot:
        before = Galleries(database, SnapshotFolder(tmp_path), max_lag_seconds=5)
        await before.current("g")
        await before.close()
    snapshots = SnapshotFolder(tmp_path)
    load, main, moved = snapshots.load, asyncio.get_running_loop(), []

    def load_late(of: Gallery, **options: object) -> object:
        # After the gallery was looked at, and before its rows are read.
        if not moved:
            moved.append(of)
            asyncio.run_coroutine_threadsafe(move(database, gallery), main).result()
            stored.add(asyncio.run_coroutine_threadsafe(put(database, gallery, SECOND), main).result()[0])
        return load(of, **options)

    monkeypatch.setattr(snapshots, "load", load_late)
    process = Galleries(database, snapshots, max_lag_seconds=5)
    loaded = await process.current("g")
    hits = await loaded.search(ANYTHING)
    assert (loaded.generation, loaded.model_id) == (2, SECOND)
    assert {hit.tracklet_id for hit in hits} == stored
    await process.close()


async def test_a_process_that_looked_away_while_generations_came_and_went_serves_the_one_that_serves(
    database: Database, gallery: Gallery, served: Galleries
) -> None:
    await put(database, gallery)
    second = await move(database, gallery)
    assert (await served.current("g")).model_id == SECOND
    async with database.transaction() as connection:
        (first,) = [one for one in await generations.list_page(connection, "g", 10) if one.number == 1]
        await generations.activate(connection, first)
    async with database.transaction() as connection:
        assert await generations.remove(connection, second)
    third = await move(database, gallery, THIRD)
    assert third.number > second.number
    loaded = await served.renewed("g")
    assert (loaded.generation, loaded.model_id) == (third.number, THIRD)


async def test_a_generation_of_the_same_number_and_another_model_is_another(
    database: Database, gallery: Gallery, served: Galleries
) -> None:
    # As after a database was restored to before the switch and moved elsewhere, without a tracklet more or less.
    await put(database, gallery)
    second = await move(database, gallery)
    assert (await served.current("g")).model_id == SECOND
    async with database.transaction() as connection:
        await descriptors.add(
            connection, THIRD, dict.fromkeys(await changes.undescribed(connection, gallery.id, THIRD), VECTOR)
        )
        await connection.execute(update(GenerationRow).where(GenerationRow.id == second.id).values(model_id=THIRD))
    loaded = await served.renewed("g")
    assert (loaded.generation, loaded.model_id) == (second.number, THIRD)


async def test_an_upload_that_the_index_could_not_follow_is_in_the_next_answer(
    database: Database, gallery: Gallery, served: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.current("g")
    identifier, change = await put(database, gallery)

    async def away(*_: object) -> None:
        raise DatabaseUnavailable("every connection is busy")

    with monkeypatch.context() as patched:
        patched.setattr(served._loader, "advance", away)
        await served.catch_up("g", change)
    hits = await (await served.current("g")).search(ANYTHING)
    assert [hit.tracklet_id for hit in hits] == [identifier]


async def test_a_process_that_cannot_load_what_serves_is_not_called_current(
    database: Database, gallery: Gallery, served: Galleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(database, gallery)
    await served.current("g")
    known = served.find("g")
    assert known is not None
    was = known.current_at
    await move(database, gallery)

    async def away(*_: object) -> None:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(served._loader, "load_serving", away)
        with pytest.raises(DatabaseUnavailable):
            await served.refresh(known)
    assert known.current_at == was
    await served.refresh(known)
    assert known.loaded.model_id == SECOND
    assert known.current_at > was


async def test_a_purge_beside_a_deletion_waits_for_nobody_who_waits_for_it(
    database: Database, gallery: Gallery, served: Galleries
) -> None:
    identifier, _ = await put(database, gallery)
    await move(database, gallery)
    async with database.transaction() as connection:
        *_, first = await generations.list_page(connection, "g", 10)
        job = await jobs.create(connection, PURGE, gallery.id, {"generation_id": first.id})
    # What describes tracklets is not asked by a purge.
    purging = Generations(database, served, None).purge(RunningJob(database, job))  # type: ignore[arg-type]
    async with database.transaction() as connection:
        # As tracklet_writing.remove does, in two steps: first the tracklet's rows, then the gallery's.
        await connection.exec_driver_sql(f"DELETE FROM tracklets WHERE id = '{identifier}'")
        purge = asyncio.create_task(purging)
        async with database.reading() as other, asyncio.timeout(10):
            while await generations.find(other, first.id):  # noqa: ASYNC110 - PostgreSQL sets no event
                await asyncio.sleep(0.01)
        await changes.record(connection, gallery.id, "deleted", identifier)
    assert (await asyncio.wait_for(purge, 10))["generation"] == 1
    async with database.reading() as connection:
        assert await changes.count_described(connection, gallery.id, FIRST) == 0


async def test_an_index_that_was_switched_to_is_saved(
    database: Database, gallery: Gallery, served: Galleries, tmp_path: Path
) -> None:
    await put(database, gallery)
    await served.current("g")
    async with database.transaction() as connection:
        job = await jobs.create(connection, REINDEX, gallery.id)
    # Under the same model nothing is described: what describes is asked for its frame cap alone.
    describer = SimpleNamespace(frame_cap=lambda gallery: 16, usual_frame_cap=16)
    result = await Generations(database, served, describer).reindex(RunningJob(database, job))  # type: ignore[arg-type]
    known = served.find("g")
    assert known is not None
    assert known.saving is not None
    await known.saving
    assert result["generation"] == 2
    assert known.saved == known.index.applied
    assert os.listdir(tmp_path) == [f"{gallery.id}-2.snapshot"]  # noqa: PTH208 - nothing here is awaited
