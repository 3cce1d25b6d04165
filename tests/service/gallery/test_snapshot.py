"""Snapshots: what is read is what was written, and anything else is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.gallery import snapshot
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from tests.service.gallery.test_gallery_index import make_rows


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


def test_a_failed_write_leaves_the_old_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "s")
    before = (tmp_path / "s").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        saved(tmp_path / "s", 10)
    assert (tmp_path / "s").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
