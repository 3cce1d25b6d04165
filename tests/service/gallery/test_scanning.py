"""Rankings from any place on, of several queries and of the best of each identity, against brute force in NumPy."""

import uuid
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gallery import rows as module
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from service.gallery.questions import Hit, Question
from service.gallery.scoring import cosine_scores, unit_rows
from service.store.changes import IndexRow
from tests.service.gallery.test_gallery_index import KINDS, make_rows, new_index


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that every search crosses several."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)


def whole_ranking(rows: list[IndexRow], queries: np.ndarray, grouped: bool = False) -> list[Hit]:
    """Every row, scored one by one by the rule of scores, by (-score, id); of each identity the first where grouped."""
    vectors = unit_rows(np.stack([np.frombuffer(row.vector, "<f4") for row in rows]))
    best = np.max([cosine_scores(vectors, query) for query in unit_rows(np.atleast_2d(queries))], axis=0)
    ranked = sorted(zip(-best, (row.tracklet_id for row in rows), (row.identity for row in rows), strict=True))
    seen: set[str] = set()
    kept = []
    for negative, identifier, identity in ranked:
        if not grouped or identity is None or identity not in seen:
            kept.append(Hit(identifier, -negative))
        seen |= {identity} if identity else set()
    return kept


def sorted_key(hit: Hit) -> tuple[float, uuid.UUID]:
    return -hit.score, hit.tracklet_id


def pages(index: GalleryIndex, question: Question) -> list[Hit]:
    """All pages of a ranking, one after another."""
    found: list[Hit] = []
    while True:
        page = index.search_many([replace(question, after=found[-1] if found else None)])[0]
        found += page
        if len(page) < question.k:
            return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "identities"])
@pytest.mark.parametrize("several", [False, True], ids=["one query", "several"])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 0.0], ids=["apart", "near", "equal"])
def test_pages_join_to_the_whole_ranking(kind: str, grouped: bool, several: bool, spread: float) -> None:
    rng = np.random.default_rng(3)
    rows = make_rows(rng, 1500, 16, spread)
    index = new_index(16, kind)
    index.add(rows)
    query = (rng.normal(size=(4, 16)) if several else rng.normal(size=16)).astype(np.float32)
    passing = [row for row in rows if row.camera != "c3"]
    filters = Filters(excluded_cameras=frozenset({"c3"}))
    expected = whole_ranking(passing, query, grouped)
    assert pages(index, Question(query, 300, filters, best_of_identity=grouped)) == expected
    place = expected[len(expected) // 2]
    question = Question(query, 9, filters, after=place, best_of_identity=grouped)
    assert index.search_many([question])[0] == expected[len(expected) // 2 + 1 :][:9]


@given(seed=st.integers(0, 10_000), k=st.integers(1, 12), grouped=st.booleans(), dimension=st.sampled_from([2, 24]))
@settings(max_examples=25, deadline=None)
def test_rows_that_come_and_go_between_pages_move_no_other(seed: int, k: int, grouped: bool, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    rows = make_rows(rng, 120, dimension, 0.3)
    first, later = rows[:80], rows[80:]
    index = GalleryIndex(dimension)
    index.add(first)
    query = rng.normal(size=dimension).astype(np.float32)
    shown: list[Hit] = []
    while True:
        page = index.search_many([Question(query, k, after=shown[-1] if shown else None, best_of_identity=grouped)])[0]
        # What is shown now is what a ranking of this moment has after the place.
        there = [row for row in first if row.tracklet_id in index]
        expected = [
            hit for hit in whole_ranking(there, query, grouped) if not shown or sorted_key(hit) > sorted_key(shown[-1])
        ]
        assert page == expected[:k]
        shown += page
        if len(page) < k:
            break
        if later:
            index.add([later[0]])
            first = [*first, later.pop(0)]
        gone = first[int(rng.integers(len(first)))]
        index.remove(gone.tracklet_id)
    assert len({hit.tracklet_id for hit in shown}) == len(shown)
    assert shown == sorted(shown, key=sorted_key)


def test_tracklets_that_are_named_never_answer_and_the_next_take_their_places() -> None:
    rng = np.random.default_rng(5)
    rows = make_rows(rng, 500, 8)
    index = GalleryIndex(8)
    index.add(rows)
    query = rng.normal(size=8).astype(np.float32)
    everyone = whole_ranking(rows, query)
    named = frozenset(hit.tracklet_id for hit in everyone[:5]) | {uuid.uuid4()}
    found = index.search_many([Question(query, 10, exclude=everyone[5].tracklet_id, without=named)])[0]
    assert found == everyone[6:16]


def test_questions_of_every_kind_may_come_together() -> None:
    rng = np.random.default_rng(6)
    index = GalleryIndex(8)
    index.add(make_rows(rng, 2000, 8))
    query = rng.normal(size=8).astype(np.float32)
    asked = [Question(query, 3), Question(query, 4, best_of_identity=True), Question(query, 5)]
    assert index.search_many(asked) == [index.search_many([question])[0] for question in asked]
    assert not asked[1].plain
