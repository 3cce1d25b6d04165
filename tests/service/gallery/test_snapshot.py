"""Snapshots: what is read is what was written, and anything else is refused."""

import os
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.gallery import snapshot
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from service.store.changes import IndexRow
from tests.service.gallery.test_gallery_index import make_rows
from tests.support import files_no_larger_than


def saved(path: Path, count: int = 50) -> GalleryIndex:
    """An index with a deletion in it, and its snapshot at `path`."""
    rows = make_rows(np.random.default_rng(count), count, 16)
    index = GalleryIndex(16, applied=77)
    index.add(rows)
    if rows:
        index.remove(rows[0].tracklet_id)
    snapshot.write(path, index.freeze(), gallery_id=3, generation=5, model_id="m")
    return index


@pytest.mark.parametrize("count", [0, 1, 50, 3000])
def test_a_snapshot_answers_as_the_index_did_bit_for_bit(tmp_path: Path, count: int) -> None:
    index = saved(tmp_path / "s", count)
    manifest, loaded = snapshot.read(tmp_path / "s")
    query = np.random.default_rng(0).normal(size=16).astype(np.float32)
    for filters in (None, Filters(cameras=frozenset({"c1"})), Filters(excluded_cameras=frozenset({"c2"}))):
        assert loaded.search(query, 40, filters) == index.search(query, 40, filters)
    assert (manifest.gallery_id, manifest.generation, manifest.model_id) == (3, 5, "m")
    assert (manifest.rows, manifest.applied, loaded.applied) == (len(index), 77, 77)


@given(position=st.integers(0, 10**9), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bit_flipped_anywhere_is_noticed(tmp_path: Path, position: int, bit: int) -> None:
    path = tmp_path / "s"
    if not path.exists():
        saved(path)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content)
    with pytest.raises(snapshot.SnapshotError):
        snapshot.read(damaged)


@pytest.mark.parametrize("keep", [0, 5, 18, 30, 50, 60, 200, -1])
def test_a_truncated_snapshot_is_noticed(tmp_path: Path, keep: int) -> None:
    saved(tmp_path / "s")
    content = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(content[:keep])
    with pytest.raises(snapshot.SnapshotError):
        snapshot.read(tmp_path / "s")


@pytest.mark.parametrize("limit", [0, 100, 2000, 4000])
def test_a_full_disk_leaves_the_old_snapshot_and_nothing_else(tmp_path: Path, limit: int) -> None:
    saved(tmp_path / "s")
    before = (tmp_path / "s").read_bytes()
    assert len(before) > 4000
    with files_no_larger_than(limit), pytest.raises(OSError, match="too large"):
        saved(tmp_path / "s")
    assert (tmp_path / "s").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_snapshot_of_another_version_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "s")
    content = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(content.replace(b"snapshot 2", b"snapshot 1", 1))
    with pytest.raises(snapshot.SnapshotError, match="version"):
        snapshot.read(tmp_path / "s")


def test_what_changes_after_the_freezing_is_not_in_the_snapshot(tmp_path: Path) -> None:
    rows = make_rows(np.random.default_rng(1), 2500, 16)
    index = GalleryIndex(16, applied=4)
    index.add(rows[:1500])
    query = np.random.default_rng(2).normal(size=16).astype(np.float32)
    before, ids = index.search(query, 40, Filters(labels={"side": "in"})), index.ids()
    frozen = index.freeze()
    for row in rows[:700]:
        index.remove(row.tracklet_id)
    index.add(rows[1500:])
    index.applied = 5
    snapshot.write(tmp_path / "s", frozen, 3, 5, "m")
    _, loaded = snapshot.read(tmp_path / "s")
    assert loaded.search(query, 40, Filters(labels={"side": "in"})) == before
    assert (loaded.ids() == ids).all()
    assert (len(loaded), loaded.applied) == (1500, 4)


def test_nothing_of_what_was_deleted_is_in_the_snapshot(tmp_path: Path) -> None:
    index = GalleryIndex(2)
    for name in ("kept", "gone"):
        labels = {f"key of {name}": f"value of {name}"}
        vector = np.ones(2, "<f4").tobytes()
        index.add([IndexRow(uuid.uuid4(), f"camera {name}", None, None, vector, f"person {name}", labels)])
    index.remove(uuid.UUID(bytes=index.ids()[1].tobytes()))
    snapshot.write(tmp_path / "s", index.freeze(), 3, 5, "m")
    content = (tmp_path / "s").read_bytes()
    assert content.count(b"kept") == 4
    assert b"gone" not in content


@pytest.mark.parametrize("what", ["a folder", "unreadable"])
def test_what_cannot_be_read_is_an_error_of_the_system(tmp_path: Path, what: str) -> None:
    path = tmp_path / "s"
    if what == "a folder":
        path.mkdir()
        with pytest.raises(OSError, match="directory"):
            saved(path)
        assert [entry.name for entry in tmp_path.iterdir()] == ["s"]
    else:
        saved(path)
        path.chmod(0)
    owner = os.geteuid()
    try:
        if owner == 0:
            # Root may read anything.
            os.seteuid(65534)
        with pytest.raises(OSError, match=r"directory|denied"):
            snapshot.read(path)
    finally:
        os.seteuid(owner)
