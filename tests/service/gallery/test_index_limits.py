"""Where an index could lie: batches of unlike questions, blocks that fill beside searches, disks that are full."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from service.gallery import rows as module
from service.gallery.blocks import HalfBlock
from service.gallery.filters import Filters
from service.gallery.index import GalleryIndex
from service.gallery.questions import Question
from service.gallery.scoring import unit_rows
from service.store.changes import IndexRow
from tests.service.gallery.test_gallery_index import (
    KINDS,
    assert_same_ranking,
    brute_force,
    exact_cosine,
    make_rows,
    new_index,
)
from tests.support import files_no_larger_than


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that every search crosses several."""
    monkeypatch.setattr(module, "_BLOCK_BYTES", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_for_more_rows_than_another_ones_mask_lets_through_does_not_spoil_its_answer(kind: str) -> None:
    rng = np.random.default_rng(8)
    rows = make_rows(rng, 4096, 16)
    index = new_index(16, kind)
    index.add(rows)
    # No person's mask lets the last row through, and each lets a few hundred rows through.
    query = np.frombuffer(rows[-1].vector, "<f4")
    names = sorted({row.identity for row in rows if row.identity} - {rows[-1].identity})
    questions = [Question(query, 5, Filters(identities=frozenset({name})), rows[0].tracklet_id) for name in names]
    questions += [Question(query, 2000, Filters(min_frames=1 + n), rows[0].tracklet_id) for n in range(1, 4)]
    answers = index.search_many(questions)
    for name, hits in zip(names, answers, strict=False):
        passing = [row for row in rows[1:] if row.identity == name]
        assert len(passing) < 2000
        assert_same_ranking(hits, brute_force(passing, query, 5))
    assert answers == [index.search_many([question])[0] for question in questions]


@pytest.mark.parametrize("kind", KINDS)
def test_20000_near_duplicates_are_ranked_exactly_under_masks(kind: str) -> None:
    rng = np.random.default_rng(9)
    centre = rng.normal(size=24)
    vectors = (centre + 1e-7 * rng.normal(size=(20_000, 24))).astype("<f4")
    # Thousands of exact duplicates among them.
    vectors[:3000] = vectors[0]
    rows = [
        IndexRow(uuid.UUID(bytes=rng.bytes(16)), f"c{n % 3}", None, None, vector.tobytes(), frame_count=1 + n % 7)
        for n, vector in enumerate(vectors)
    ]
    index = new_index(24, kind)
    index.add(rows)
    query = np.array(vectors[0])
    filters = [Filters(), Filters(cameras=frozenset({"c1"}))] + [Filters(min_frames=n) for n in (2, 5, 7)]
    questions = [Question(query, k, one, rows[0].tracklet_id) for one in filters for k in (1, 30)]
    answers = index.search_many(questions)
    assert answers == [index.search_many([question])[0] for question in questions]
    passing = [row for row in rows[1:] if row.camera == "c1"]
    assert_same_ranking(answers[3], brute_force(passing, query, 30))
    equal = sorted(row.tracklet_id for row in rows[1:3000])
    assert [hit.tracklet_id for hit in answers[1]][:1] == equal[:1]


@pytest.mark.parametrize("kind", KINDS)
def test_filtered_searches_run_beside_additions_that_fill_blocks_and_name_new_cameras(kind: str) -> None:
    rng = np.random.default_rng(10)
    rows = make_rows(rng, 6000, 16)
    index = new_index(16, kind)
    index.add(rows[:1000])
    query = rng.normal(size=16).astype(np.float32)
    scores = {row.tracklet_id: exact_cosine(row, query) for row in rows}
    some = [
        Filters(),
        Filters(cameras=frozenset({"c1", "new 7"})),
        Filters(labels={"side": "in"}),
        Filters(min_frames=3),
    ]

    def ask(_: int) -> None:
        for hits in index.search_many([Question(query, 40, one) for one in some]):
            assert [hit.score for hit in hits] == pytest.approx([scores[hit.tracklet_id] for hit in hits], abs=1e-12)
            assert len({hit.tracklet_id for hit in hits}) == 40

    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(ask, n) for n in range(60)]
        for number, row in enumerate(rows[1000:]):
            index.add([IndexRow(row.tracklet_id, f"new {number}", None, None, row.vector, labels={"n": number})])
        for future in asked:
            future.result()


@pytest.mark.parametrize("share", [1, 3])
def test_a_block_that_was_filled_during_a_search_answers_with_the_rows_that_the_search_knows(share: int) -> None:
    rng = np.random.default_rng(11)
    vectors = unit_rows(rng.normal(size=(64, 16)).astype(np.float32))
    block = HalfBlock(vectors, None)
    allowed = None if share == 1 else np.arange(20) % share == 0
    _, found = block.nearest(vectors[60:62], 64, 20, allowed)
    assert set(found[found >= 0]) == set(range(0, 20, share))
    assert block.at_least(vectors[60:62], np.float32([-2, 2]), 20).sum(axis=1).tolist() == [20, 0]


def test_a_disk_that_is_full_for_a_while_costs_no_row_and_no_answer(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    rows = make_rows(rng, 1200, 16)
    index = GalleryIndex(16, row_type="float16", scratch=tmp_path)
    index.add(rows[:1023])
    with files_no_larger_than(1000), pytest.raises(OSError, match=f"too large: {tmp_path} must hold the float32 rows"):
        index.add([rows[1023]])
    query = rng.normal(size=16).astype(np.float32)
    assert_same_ranking(index.search(query, 30), brute_force(rows[:1023], query, 30))
    for row in rows[1023:]:
        index.add([row])
    assert_same_ranking(index.search(query, 30), brute_force(rows, query, 30))
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_was_left_half_way_takes_no_more_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(13)
    rows = make_rows(rng, 3000, 16)
    index = GalleryIndex(16, row_type="float16", scratch=tmp_path)
    index.add(rows[:10])
    vectors = [unit_rows(np.frombuffer(row.vector, "<f4")[None]) for row in rows[10:]]
    others = new_index(16, "float32")
    others.add(rows[10:])
    with files_no_larger_than(1000), pytest.raises(OSError, match="too large"):
        index.append(vectors, others.ids(), others.freeze().columns)
    with pytest.raises(ValueError, match="built anew"):
        index.add(rows[10:11])
