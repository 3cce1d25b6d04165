"""Columns of rows that are in an index already are replaced: an index that followed equals one built anew."""

import json
import threading
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gallery import snapshot
from service.gallery.building import apply_changes
from service.gallery.columns import Columns
from service.gallery.filters import Filters, label_pairs
from service.gallery.index import GalleryIndex
from service.store.changes import Change, IndexRow
from tests.support import (
    RunningService,
    empty_database,
    make_settings,
    reachable_folder,
    run_service,
    search,
    upload,
    wait_until,
)

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, 2, True, None, "x"]), max_size=3)
VALUES = st.fixed_dictionaries(
    {
        "camera": st.sampled_from(["c1", "c2", "c3"]),
        "started_at": st.sampled_from([None, MOMENT, MOMENT + timedelta(hours=1)]),
        "identity": st.sampled_from([None, "Ann", "Bea", "Cem"]),
        "labels": LABELS,
        "frame_count": st.integers(1, 3),
    }
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.just(0), VALUES),
        st.tuples(st.just("update"), st.integers(0, 20), VALUES),
        st.tuples(st.just("remove"), st.integers(0, 20), VALUES),
    ),
    max_size=30,
)


def described(columns: Columns) -> list[tuple[Any, ...]]:
    """Every row as it reads."""
    return [columns.describe(row) for row in range(columns.count)]


@given(steps=STEPS, asked=VALUES)
@settings(max_examples=150, deadline=None)
def test_an_index_that_followed_equals_one_built_from_the_rows_as_they_are(
    steps: list[tuple[str, int, dict[str, Any]]], asked: dict[str, Any]
) -> None:
    index, rows = GalleryIndex(2), {}
    for kind, place, values in steps:
        if kind == "add":
            row = IndexRow(uuid.UUID(int=len(rows)), ended_at=None, vector=b"\0\0\x80?" * 2, **values)
            index.add([row])
            rows[row.tracklet_id] = row
        elif place < len(rows):
            identifier = uuid.UUID(int=place)
            if kind == "update":
                changed = IndexRow(identifier, ended_at=None, vector=b"", **values)
                assert index.update([changed]) == (rows[identifier] is not None)
                if rows[identifier] is not None:
                    rows[identifier] = replace(changed, vector=rows[identifier].vector)
            else:
                index.remove(identifier)
                rows[identifier] = None
    present = [row for row in rows.values() if row is not None]
    frozen = index.freeze()
    assert described(frozen.columns) == described(Columns.of(present))
    query = np.ones(2, np.float32)
    for filters, passes in (
        (Filters(cameras=frozenset({asked["camera"]})), lambda row: row.camera == asked["camera"]),
        (
            Filters(identities=frozenset({asked["identity"] or "x"})),
            lambda row: row.identity == (asked["identity"] or "x"),
        ),
        (Filters(identity_known=False), lambda row: row.identity is None),
        (
            Filters(labels=asked["labels"]),
            lambda row: set(label_pairs(asked["labels"])) <= set(label_pairs(row.labels)),
        ),
    ):
        found = {hit.tracklet_id for hit in index.search(query, len(rows) + 1, filters)}
        assert found == {row.tracklet_id for row in present if passes(row)}


def test_a_snapshot_has_the_updated_columns(tmp_path: Path) -> None:
    index = GalleryIndex(2)
    index.add([IndexRow(uuid.UUID(int=n), "c", None, None, b"\0\0\x80?" * 2, None, {"n": n}) for n in range(3)])
    index.update([IndexRow(uuid.UUID(int=1), "d", None, None, b"", "Ann", {"n": 5, "m": True})])
    snapshot.write(tmp_path / "s", index.freeze(), 1, 1, "m")
    _, again = snapshot.read(tmp_path / "s")
    assert described(again.freeze().columns) == described(index.freeze().columns)
    assert again.freeze().columns.describe(1)[3] == "Ann"


def test_searches_beside_updates_find_a_row_by_what_it_was_or_is() -> None:
    index = GalleryIndex(2)
    size = 2000
    index.add([IndexRow(uuid.UUID(int=n), "c", None, None, b"\0\0\x80?" * 2, "old", {"a": 1}) for n in range(size)])
    done = threading.Event()
    failures: list[BaseException] = []

    def look() -> None:
        try:
            while not done.is_set():
                either = Filters(identities=frozenset({"old", *(f"new {n}" for n in range(size))}))
                assert len(index.search(np.ones(2, np.float32), size, either)) == size
                index.search(np.ones(2, np.float32), size, Filters(labels={"a": 1}))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Every one brings a value that no table has yet, and the labels of every other one get fewer.
    for n in range(size):
        index.update([IndexRow(uuid.UUID(int=n), "c", None, None, b"", f"new {n}", {} if n % 2 else {"a": 1})])
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(index.search(np.ones(2, np.float32), size, Filters(labels={"a": 1}))) == size // 2


def test_a_search_beside_an_edit_of_many_rows_sees_all_of_it_or_nothing() -> None:
    size, edits = 500, 40
    rows = [IndexRow(uuid.UUID(int=n), "c", None, None, b"\0\0\x80?" * 2, "Ann", {"a": 0}) for n in range(size)]
    index, seen, done = GalleryIndex(2), set(), threading.Event()
    index.add(rows)
    both = Filters(identities=frozenset({"Ann"}), labels={"a": 0})

    def look() -> None:
        while not done.is_set():
            seen.add(len(index.search(np.ones(2, np.float32), 2 * size, both)))

    looking = threading.Thread(target=look)
    looking.start()
    for edit in range(edits):
        values = {"identity": "Bea", "labels": {"a": 1}} if edit % 2 == 0 else {"identity": "Ann", "labels": {"a": 0}}
        edited = [replace(row, vector=b"", **values) for row in rows]
        apply_changes(
            index, [Change(index.applied + n, "updated", row.tracklet_id, row) for n, row in enumerate(edited, 1)]
        )
    done.set()
    looking.join()
    assert index.applied == edits * size
    assert seen <= {0, size}


def change_behind_its_back(running: RunningService, tracklet_id: str, identity: str, labels: dict[str, Any]) -> None:
    """Change a stored tracklet as another process does: rows, and the change's number, in one transaction."""
    with running.database() as connection, connection.transaction():
        connection.execute(
            "INSERT INTO identities (id, gallery_id, name) SELECT gen_random_uuid(), gallery_id, %s FROM tracklets"
            " WHERE id = %s ON CONFLICT DO NOTHING",
            (identity, tracklet_id),
        )
        connection.execute(
            "UPDATE tracklets SET identity = %s, labels = %s WHERE id = %s", (identity, json.dumps(labels), tracklet_id)
        )
        connection.execute(
            "WITH counted AS (UPDATE galleries SET change = change + 1 WHERE name = 'default' RETURNING id, change)"
            " INSERT INTO changes (gallery_id, number, kind, tracklet_id)"
            " SELECT id, change, 'updated', %s FROM counted",
            (tracklet_id,),
        )


@pytest.fixture(scope="module")
def two_services(postgres) -> Any:
    """Two services on one database and one folder."""
    with (
        reachable_folder() as folder,
        empty_database(postgres) as url,
        run_service(make_settings(folder / "data", url)) as one,
        run_service(make_settings(folder / "data", url)) as other,
    ):
        yield one, other


def test_changed_rows_are_filtered_by_what_the_database_says_in_every_process(two_services: Any) -> None:
    one, _ = two_services
    ids = [upload(one, seed, identity="Ann" if seed % 2 else None, labels={"n": seed})["id"] for seed in range(6)]
    change_behind_its_back(one, ids[0], "Bea", {"n": 9, "bag": True})
    change_behind_its_back(one, ids[1], "Bea", {})
    change_behind_its_back(one, ids[3], "Ann", {"bag": True})
    with one.database() as connection:
        (last,) = connection.execute("SELECT change FROM galleries WHERE name = 'default'").fetchone()
    for running in two_services:
        wait_until(lambda running=running: running.service.galleries.find("default").index.applied == last)
        for options, condition in (
            ({"identity": "Ann"}, "identity = 'Ann'"),
            ({"identity": ["Bea"]}, "identity = 'Bea'"),
            ({"identity_known": False}, "identity IS NULL"),
            ({"labels": '{"bag": true}'}, """labels @> '{"bag": true}'"""),
            ({"labels": '{"n": 1}'}, """labels @> '{"n": 1}'"""),
        ):
            with one.database() as connection:
                rows = connection.execute(f"SELECT id::text FROM tracklets WHERE {condition}").fetchall()
            found = search(running, ids[5], **options)["results"]
            assert {hit["tracklet_id"] for hit in found} == {row for (row,) in rows} - {ids[5]}
        with running.client() as client:
            report = client.get("/admin/integrity", params={"full": True}).json()
        assert report["ok"], report["findings"]


def test_what_another_process_changed_a_moment_ago_is_shown_where_it_belongs(
    two_services: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = two_services
    ids = [upload(one, 20 + n, frames=1, gallery="late", identity="Dan", labels={"n": 1})["id"] for n in range(5)]
    query = upload(one, 30, frames=1, gallery="late")["id"]
    wait_until(lambda: len(search(other, query, gallery="late")["results"]) == 5)
    # The other process hears of nothing from now on, for less than it may be behind.
    monkeypatch.setattr(other.service.galleries, "refresh_soon", lambda served: None)
    with one.client() as client:
        for place, change in enumerate(({"identity": "Eve"}, {"identity": None}, {"labels": {"n": 2}})):
            assert client.patch(f"/tracklets/{ids[place]}", json=change).status_code == 200
    for options, left in (
        ({"identity": "Dan"}, ids[2:]),
        ({"identity_known": True}, [ids[0], *ids[2:]]),
        ({"labels": '{"n": 1}'}, [*ids[:2], *ids[3:]]),
        ({"identity": "Dan", "labels": '{"n": 1}', "rerank": "k_reciprocal"}, ids[3:]),
    ):
        found = search(other, query, gallery="late", **options)["results"]
        assert {hit["tracklet_id"] for hit in found} == set(left)
    # To the other process they are all one person.
    best = search(other, query, gallery="late", group_by="identity", k=3)["results"]
    assert len({hit["identity"] for hit in best}) == len(best)
