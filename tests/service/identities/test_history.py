"""Whatever people do, alone or at once, the history explains the state, and nothing is lost."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from service.errors import ServiceError
from service.gallery.galleries import Galleries
from service.gallery.snapshot_folder import SnapshotFolder
from service.identities import changing, matching, merging
from service.identities.changing import TrackletEdit
from service.identities.editing import Editor
from service.store import galleries, identities, matches, migrate, models, tracklet_writing, tracklets
from service.store.database import Database
from service.store.models import ModelRecord
from service.store.tracklet_writing import NewTracklet
from service.store.tracklets import FrameRecord
from tests.service.identities.people import replay

pytestmark = pytest.mark.anyio

MODEL = "a" * 64
NAMES = [f"p{number}" for number in range(4)]
DEEDS = (
    *("make", "assign", "move", "unassign", "rename", "merge", "merge", "unmerge", "same", "different", "undo"),
    *("no longer", "edit", "upload", "upload", "delete", "delete tracklet"),
)


class World:
    """A gallery under a model of two numbers, in a database and in an index that follows."""

    def __init__(self, database: Database, process: Galleries) -> None:
        self.database, self.process = database, process
        # Two, as of two processes: what people do to one gallery is put in line by the database.
        self.editors = [Editor(database, process) for _ in range(2)]
        self.merges: list[tuple[uuid.UUID, int]] = []

    async def upload(self, identity: str | None) -> None:
        """Store a tracklet, as an upload does."""
        frames = [FrameRecord(b"h" * 32, "image/jpeg", 8, 8, 100)]
        vector = b"\0\0\x80?\0\0\0\0"
        new = NewTracklet(
            uuid.uuid4(), "c", None, identity, None, None, {}, frames, b"d", {MODEL: vector}, uploaded_by="upload"
        )
        async with self.database.transaction() as connection:
            gallery = await galleries.find_or_create(connection, "g", MODEL)
            change, _, _ = await tracklet_writing.store(connection, gallery.id, new)
        await self.process.catch_up("g", change)

    async def act(self, rng: random.Random) -> str:
        """Do one thing that is chosen at random; what it was, or the code of the refusal."""
        async with self.database.reading() as connection:
            stored = [one.id for one in await tracklets.list_page(connection, "g", 500, None)]
            people = [one.id for one in await identities.list_page(connection, "g", 500, None, merged=True)]
            decided = [one.id for one in await matches.list_page(connection, "g", None, 500, None)]
        one, other = rng.choices(people or [uuid.uuid4()], k=2)
        some = rng.sample(stored, k=3)
        name = rng.choice(NAMES)
        deed = rng.choice(DEEDS)
        editor, who = rng.choice(self.editors), f"person {rng.randrange(3)}"
        try:
            match deed:
                case "make":
                    await changing.create(editor, "g", name, some[:2], who)
                case "assign" | "move":
                    await changing.assign(editor, one, some, deed == "move", None, who)
                case "unassign":
                    await changing.unassign(editor, one, some[0], None, who)
                case "rename":
                    await changing.rename(editor, one, name, None, who)
                case "merge":
                    self.merges.append((one, await merging.merge(editor, one, other, None, who)))
                case "unmerge":
                    await merging.unmerge(editor, *rng.choice(self.merges or [(one, 1)]), None, who)
                case "same" | "different":
                    await matching.of_tracklets(editor, "g", some[0], some[1], deed, who)
                case "no longer":
                    await matching.with_identity(editor, "g", some[0], one, rng.choice(["same", "different"]), who)
                case "undo":
                    await matching.undo(editor, rng.choice(decided or [one]), who)
                case "edit":
                    asked = TrackletEdit({"n": rng.random()}, True, rng.choice([name, None]))
                    await changing.edit_tracklet(editor, some[0], asked, None, who)
                case "upload":
                    await self.upload(name)
                case "delete" if rng.random() < 0.3:
                    await changing.delete(editor, one, None, who)
                case "delete tracklet" if len(stored) > 6:
                    async with self.database.transaction() as connection:
                        deleted = await tracklet_writing.remove(connection, some[0], who)
                    if deleted is not None:
                        await self.process.catch_up("g", deleted.change)
        except ServiceError as refusal:
            return refusal.code
        return deed

    async def check(self) -> None:
        """History, rows and index agree; merged identities have nothing; what is different is of different people."""
        async with self.database.frozen() as connection:

            async def rows(statement: str) -> list[tuple]:
                return [tuple(row) for row in await connection.execute(text(statement))]

            events = await rows("SELECT kind, identity_id, other_id, tracklet_ids FROM identity_events ORDER BY id")
            owners = dict(
                await rows(
                    "SELECT tracklets.id, identities.id FROM tracklets"
                    " JOIN identities ON identities.gallery_id = tracklets.gallery_id AND identity = name"
                    " WHERE merged_into IS NULL"
                )
            )
            stored = dict(await rows("SELECT id, identity FROM tracklets"))
            broken = await rows(
                "SELECT 1 FROM match_decisions JOIN tracklets a ON a.id = first_id JOIN tracklets b ON b.id = second_id"
                " WHERE verdict = 'different' AND a.identity = b.identity"
            )
        assert {one for one, identity in stored.items() if identity is not None} == owners.keys()
        names = ("kind", "identity_id", "other_id", "tracklet_ids")
        assert replay([dict(zip(names, event, strict=True)) for event in events]) == owners
        assert broken == []
        frozen = (await self.process.current("g")).index.freeze()
        ids = [uuid.UUID(bytes=one.tobytes()) for one in frozen.ids]
        assert {one: frozen.columns.describe(row)[3] for row, one in enumerate(ids)} == stored


@pytest.fixture
async def world(database_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A world with a few people and tracklets."""
    await asyncio.to_thread(migrate.upgrade, database_url)
    database = Database(database_url)
    process = Galleries(database, SnapshotFolder(tmp_path), max_lag_seconds=60)
    world = World(database, process)
    async with database.transaction() as connection:
        await models.register(connection, ModelRecord(MODEL, 2, {}, {}, {}))
    for number in range(8):
        await world.upload(NAMES[number] if number < 4 else None)
    yield world
    await process.close()
    await database.close()


@pytest.mark.parametrize("seed", range(2))
async def test_the_history_explains_every_state_on_the_way(world: World, seed: int) -> None:
    rng = random.Random(seed)
    done = set()
    for _ in range(80):
        done.add(await world.act(rng))
        await world.check()
    assert {"merge", "unmerge", "identity_conflict", "identity_merged"} <= done


async def test_people_at_once_neither_block_one_another_nor_leave_what_the_history_does_not_explain(
    world: World,
) -> None:
    async def live(person: int) -> list[str]:
        rng = random.Random(person)
        return [await world.act(rng) for _ in range(12)]

    # A deadlock would be an error of one of them.
    done = await asyncio.gather(*(live(person) for person in range(8)))
    assert "database_unavailable" not in {deed for one in done for deed in one}
    await world.check()


async def test_merges_of_the_same_two_at_once_end_with_one_of_them(world: World) -> None:
    async with world.database.reading() as connection:
        one, other, *_ = [found.id for found in await identities.list_page(connection, "g", 9, None, merged=False)]

    async def merge(turn: int) -> str:
        pair = (one, other) if turn % 2 else (other, one)
        try:
            await merging.merge(world.editors[turn // 2 % 2], *pair, None, f"person {turn}")
        except ServiceError as refusal:
            return refusal.code
        return "merged"

    results = await asyncio.gather(*(merge(turn) for turn in range(8)))
    assert sorted(results) == ["identity_merged"] * 7 + ["merged"]
    await world.check()


async def test_a_rename_that_breaks_another_rule_is_not_called_a_name_that_is_taken(world: World) -> None:
    async with world.database.transaction() as connection:
        await connection.execute(text("ALTER TABLE tracklets ADD CHECK (identity <> 'q')"))
        one, *_ = await identities.list_page(connection, "g", 9, None, merged=False)
    with pytest.raises(IntegrityError, match="check constraint"):
        await changing.rename(world.editors[0], one.id, "q", None, "somebody")
    await world.check()


async def test_an_upload_of_a_person_who_is_being_merged_is_of_who_they_are_then(world: World) -> None:
    async with world.database.reading() as connection:
        one, other, *_ = await identities.list_page(connection, "g", 9, None, merged=False)
    async with world.editors[0].of_identity(one.id, "somebody") as edit:
        # Holds both, as every merge does; uploads that name the other wait.
        await edit.identities([one.id, other.id])
        uploads = asyncio.gather(*(world.upload(other.name) for _ in range(3)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(uploads), 0.3)
        moved = await identities.move_all(edit.connection, edit.gallery.id, other.name, one.name)
        await identities.set_merged(edit.connection, other.id, one.id)
        await edit.write(one.id, "merged", moved, other.id)
        edit.changed += moved
    await uploads
    await world.check()
    async with world.database.reading() as connection:
        kept = await identities.find(connection, one.id)
    assert kept is not None
    assert kept.tracklets == 5
