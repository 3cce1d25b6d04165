"""The index against brute force in NumPy."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import faiss  # isort: skip
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gallery import rows as module
from service.gallery import snapshot
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from service.gallery.questions import Hit, Question
from service.store.changes import IndexRow

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
OPTIONS: dict[str, dict[str, Any]] = {
    "float32": {},
    "drafts": {"drafts": True},
    "float16": {"row_type": "float16"},
    "matrix": {"device": "cpu:0"},
    "cuda": {"device": "cuda"},
    "cuda float16": {"device": "cuda", "row_type": "float16"},
}


KINDS = [
    "float32",
    "drafts",
    "float16",
    "matrix",
    pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU]),
    pytest.param("cuda float16", marks=[pytest.mark.gpu, NO_GPU]),
]


def new_index(dimension: int, kind: str, applied: int = 0) -> GalleryIndex:
    """An index that keeps its rows in this way; "matrix" is the GPU's, computed on the CPU."""
    return GalleryIndex(dimension, applied, **OPTIONS[kind])


def make_rows(rng: np.random.Generator, count: int, dimension: int, spread: float = 1.0) -> list[IndexRow]:
    """Rows around a few centres, with exact duplicates among them; some have no times."""
    centres = rng.normal(size=(5, dimension))
    rows = []
    for number in range(count):
        vector = centres[number % 5] + spread * rng.normal(size=dimension)
        if number % 7 == 6:
            vector = np.frombuffer(rows[-1].vector, "<f4")
        started = EPOCH + timedelta(hours=number) if number % 3 else None
        rows.append(
            IndexRow(
                tracklet_id=uuid.UUID(bytes=rng.bytes(16)),
                camera=f"c{number % 4}",
                started_at=started,
                ended_at=started + timedelta(minutes=30) if started else None,
                vector=np.asarray(vector, "<f4").tobytes(),
                identity=f"p{number % 9}" if number % 2 else None,
                labels={"side": "in" if number % 5 else "out", "bag": number % 11 == 0, "n": number % 3},
                frame_count=1 + number % 6,
            )
        )
    return rows


def exact_cosine(row: IndexRow, query: np.ndarray) -> float:
    """Cosine of what the index stores, the float32 unit vectors, in extended precision."""
    stored, sought = (
        (wide / np.sqrt(np.sum(wide * wide))).astype(np.float32).astype(np.longdouble)
        for wide in (np.frombuffer(row.vector, "<f4").astype(np.float64), query.astype(np.float64))
    )
    return float(stored @ sought / np.sqrt((stored @ stored) * (sought @ sought)))


ROUNDING = 1e-12
"""Scores that are closer than this cannot be told apart in float64."""


@dataclass(frozen=True)
class Expected:
    """All rows, ranked one by one in extended precision by (-score, id): score, id and vector; k are wanted."""

    ranked: list[tuple[float, uuid.UUID, bytes]]
    k: int


def brute_force(rows: list[IndexRow], query: np.ndarray, k: int) -> Expected:
    """Rank all rows."""
    ranked = sorted((-exact_cosine(row, query), row.tracklet_id, row.vector) for row in rows)
    return Expected([(-negative, identifier, vector) for negative, identifier, vector in ranked], k)


def assert_same_ranking(hits: list[Hit], expected: Expected) -> None:
    """Scores agree to rounding, each hit is a row of its score, and equal rows come by id without a gap."""
    best = expected.ranked[: expected.k]
    assert [hit.score for hit in hits] == pytest.approx([score for score, _, _ in best], abs=ROUNDING)
    found = [hit.tracklet_id for hit in hits]
    assert len(set(found)) == len(found)
    scores = {identifier: score for score, identifier, _ in expected.ranked}
    twins: dict[bytes, list[uuid.UUID]] = {}
    vectors = {}
    for _, identifier, vector in expected.ranked:
        twins.setdefault(vector, []).append(identifier)
        vectors[identifier] = vector
    for place, (hit, (score, _, _)) in enumerate(zip(hits, best, strict=True)):
        assert abs(scores[hit.tracklet_id] - score) < ROUNDING
        before = [twin for twin in twins[vectors[hit.tracklet_id]] if twin < hit.tracklet_id]
        assert set(before) <= set(found[:place])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that every search crosses several."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)


FILTERS = {
    "none": (Filters(), lambda row: True),
    "one camera": (Filters(cameras=frozenset({"c1"})), lambda row: row.camera == "c1"),
    "not one camera": (Filters(excluded_cameras=frozenset({"c1"})), lambda row: row.camera != "c1"),
    "unknown camera": (Filters(cameras=frozenset({"zz"})), lambda row: False),
    "all but an unknown camera": (Filters(excluded_cameras=frozenset({"zz"})), lambda row: True),
    "from a time on": (
        Filters(started_after=EPOCH + timedelta(hours=20)),
        lambda row: row.started_at is not None and row.started_at >= EPOCH + timedelta(hours=20),
    ),
    "up to a time": (
        Filters(ended_before=EPOCH + timedelta(hours=50)),
        lambda row: row.ended_at is not None and row.ended_at <= EPOCH + timedelta(hours=50),
    ),
    "two people": (Filters(identities=frozenset({"p1", "p4", "nobody"})), lambda row: row.identity in ("p1", "p4")),
    "known people": (Filters(identity_known=True), lambda row: row.identity is not None),
    "unknown people": (Filters(identity_known=False), lambda row: row.identity is None),
    "labels": (
        Filters(labels={"side": "in", "n": 1.0}),
        lambda row: row.labels["side"] == "in" and row.labels["n"] == 1,
    ),
    "a rare label": (Filters(labels={"bag": True}), lambda row: row.labels["bag"]),
    "frames": (Filters(min_frames=4), lambda row: row.frame_count >= 4),
    "everything": (
        Filters(frozenset({"c0", "c2"}), frozenset({"c2"}), EPOCH + timedelta(hours=4), EPOCH + timedelta(hours=400)),
        lambda row: (
            row.camera == "c0"
            and row.started_at is not None
            and EPOCH + timedelta(hours=4) <= row.started_at
            and row.ended_at <= EPOCH + timedelta(hours=400)
        ),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("k", [1, 10, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_filtered_search_equals_brute_force(name: str, k: int, kind: str) -> None:
    rng = np.random.default_rng(1)
    rows = make_rows(rng, 4500, 16)
    index = new_index(16, kind)
    index.add(rows)
    filters, passes = FILTERS[name]
    query = rng.normal(size=16).astype(np.float32)
    assert_same_ranking(index.search(query, k, filters), brute_force([row for row in rows if passes(row)], query, k))


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 400),
    k=st.integers(1, 60),
    deleted=st.sets(st.integers(0, 399)),
    excluded=st.integers(0, 399),
    filter_name=st.sampled_from(sorted(FILTERS)),
)
@settings(max_examples=60, deadline=None)
def test_any_mixture_of_deletions_filters_and_exclusion_equals_brute_force(
    seed: int, count: int, k: int, deleted: set[int], excluded: int, filter_name: str
) -> None:
    rng = np.random.default_rng(seed)
    rows = make_rows(rng, count, 8)
    index = GalleryIndex(8)
    index.add(rows[: count // 2])
    for row in rows[count // 2 :]:
        index.add([row])
    for number in deleted:
        if number < count:
            assert index.remove(rows[number].tracklet_id)
    filters, passes = FILTERS[filter_name]
    own = rows[excluded] if excluded < count else None
    left = [row for n, row in enumerate(rows) if n not in deleted and row is not own and passes(row)]
    query = rng.normal(size=8).astype(np.float32)
    hits = index.search(query, k, filters, own.tracklet_id if own else None)
    assert_same_ranking(hits, brute_force(left, query, k))
    assert len(index) == sum(1 for n in range(count) if n not in deleted)


@pytest.mark.parametrize("hidden_share", [0.0, 0.3, 0.95])
@pytest.mark.parametrize("kind", KINDS)
def test_near_duplicates_that_float32_cannot_tell_apart_are_ranked_exactly(hidden_share: float, kind: str) -> None:
    rng = np.random.default_rng(2)
    centre = rng.normal(size=64)
    rows = [
        IndexRow(uuid.UUID(bytes=rng.bytes(16)), f"c{rng.random() < hidden_share:d}", None, None, vector.tobytes())
        for vector in (centre + 1e-7 * rng.normal(size=(3000, 64))).astype("<f4")
    ]
    index = new_index(64, kind)
    index.add(rows)
    query = (centre + 1e-7 * rng.normal(size=64)).astype(np.float32)
    hits = index.search(query, 20, Filters(cameras=frozenset({"c0"})))
    assert_same_ranking(hits, brute_force([row for row in rows if row.camera == "c0"], query, 20))


def test_the_order_of_arrival_does_not_change_an_answer_by_a_bit() -> None:
    rng = np.random.default_rng(3)
    rows = make_rows(rng, 3000, 32, spread=1e-6)
    query = rng.normal(size=32).astype(np.float32)
    one, other = GalleryIndex(32), GalleryIndex(32)
    one.add(rows)
    for start in range(0, 3000, 77):
        other.add(rows[::-1][start : start + 77])
    assert one.search(query, 100) == other.search(query, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_20000_near_duplicates_rank_alike_alone_batched_after_a_restart_and_on_other_threads(
    tmp_path: Path, kind: str
) -> None:
    rng = np.random.default_rng(6)
    centre = rng.normal(size=32)
    vectors = (centre + 1e-7 * rng.normal(size=(20_000, 32))).astype("<f4")
    index = new_index(32, kind)
    index.add([IndexRow(uuid.UUID(bytes=rng.bytes(16)), "c", None, None, row.tobytes()) for row in vectors])
    queries = (centre + 1e-7 * rng.normal(size=(32, 32))).astype(np.float32)
    alone = [index.search(query, 20) for query in queries[:4]]
    assert index.search_many([Question(query, 20) for query in queries])[:4] == alone
    snapshot.write(tmp_path / "s", index.freeze(), 1, 1, "m")
    _, again = snapshot.read(tmp_path / "s", **OPTIONS[kind])
    assert again.search_many([Question(query, 20) for query in queries[:4]]) == alone
    before = torch.get_num_threads()
    try:
        faiss.omp_set_num_threads(1)
        torch.set_num_threads(1)
        assert index.search_many([Question(query, 20) for query in queries])[:4] == alone
    finally:
        faiss.omp_set_num_threads(before)
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_unlike_questions_is_answered_as_each_alone(kind: str) -> None:
    rng = np.random.default_rng(7)
    rows = make_rows(rng, 3000, 16)
    index = new_index(16, kind)
    index.add(rows)
    for row in rows[::50]:
        index.remove(row.tracklet_id)
    questions = [
        Question(
            rng.normal(size=16).astype(np.float32),
            int(rng.integers(1, 40)),
            FILTERS[name][0],
            rows[int(rng.integers(3000))].tracklet_id if repeat else None,
        )
        for name in FILTERS
        for repeat in range(3)
    ]
    answers = index.search_many(questions)
    assert answers == [index.search_many([question])[0] for question in questions]
    assert sum(len(answer) for answer in answers) > 300


def test_equal_scores_are_ordered_by_id() -> None:
    ids = [uuid.UUID(int=n) for n in (5, 1, 2**127, 2**64, 3)]
    index = GalleryIndex(4)
    index.add([IndexRow(i, "c", None, None, np.ones(4, "<f4").tobytes()) for i in ids])
    assert [hit.tracklet_id for hit in index.search(np.ones(4, np.float32), 5)] == sorted(ids)


def test_searches_run_beside_additions_and_deletions() -> None:
    rng = np.random.default_rng(4)
    rows = make_rows(rng, 6000, 16)
    index = GalleryIndex(16)
    index.add(rows[:1000])
    query = rng.normal(size=16).astype(np.float32)
    scores = {row.tracklet_id: exact_cosine(row, query) for row in rows}

    def ask(_: int) -> None:
        hits = index.search(query, 50)
        assert [hit.score for hit in hits] == pytest.approx([scores[hit.tracklet_id] for hit in hits], abs=1e-12)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        # These rows were there before and are never removed, so nothing worse than the best of them may answer.
        assert hits[0].score >= max(scores[row.tracklet_id] for row in rows[:500]) - 1e-12

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask, n) for n in range(200)]
        for number, row in enumerate(rows[1000:]):
            index.add([row])
            if number % 3 == 0:
                index.remove(rows[500 + number // 3 % 500].tracklet_id)
        for future in asked:
            future.result()


@pytest.mark.parametrize("vector", [np.zeros(8), np.full(8, np.nan), np.full(8, np.inf), np.ones(7)])
def test_a_descriptor_without_direction_or_of_another_length_is_refused(vector: np.ndarray) -> None:
    index = GalleryIndex(8)
    index.add([IndexRow(uuid.uuid4(), "c", None, None, np.ones(8, "<f4").tobytes())])
    with pytest.raises(ValueError, match="descriptor"):
        index.add([IndexRow(uuid.uuid4(), "c", None, None, vector.astype("<f4").tobytes())])
    assert len(index) == 1


def test_a_tracklet_is_refused_a_second_time() -> None:
    row = IndexRow(uuid.uuid4(), "c", None, None, np.ones(8, "<f4").tobytes())
    index = GalleryIndex(8)
    index.add([row])
    with pytest.raises(ValueError, match="already"):
        index.add([row])
