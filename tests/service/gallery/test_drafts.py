"""Drafts choose every row that can be among the best, whatever their rounding does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gallery import drafts
from service.gallery.drafts import Draft, DraftSearch, rounded
from service.gallery.index import GalleryIndex
from service.gallery.questions import Question
from service.gallery.rows import Rows
from service.gallery.scoring import cosine_scores, unit_rows
from tests.service.gallery.test_gallery_index import make_rows


def drawn(rng: np.random.Generator, count: int, dimension: int, spread: float, skew: float) -> np.ndarray:
    """Unit vectors around one centre; the larger `skew`, the more unequal a vector's numbers."""
    centre = rng.normal(size=dimension)
    wide = np.sign(centre) * np.abs(centre) ** skew + spread * rng.normal(size=(count, dimension))
    return unit_rows(wide.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dimension=st.sampled_from([8, 129, 512]),
    spread=st.sampled_from([1e-6, 1e-3, 0.1, 1.0]),
    skew=st.sampled_from([1.0, 6.0]),
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_the_best_rows_by_exact_scores_are_among_the_chosen(
    seed: int, dimension: int, spread: float, skew: float, sizes: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    vectors = drawn(rng, 700, dimension, spread, skew)
    queries = vectors[rng.integers(0, len(vectors), len(sizes))]
    # The last one may be answered by all rows.
    masks = [rng.random(len(vectors)) < 0.5 for _ in sizes[1:]] + [None]
    parts = [(0, 300), (300, 400)]
    blocks = []
    for first, count in parts:
        draft = Draft(512, dimension)
        draft.write(0, vectors[first : first + count])
        blocks.append(draft)
    sought = DraftSearch(queries, masks, sizes)
    blocks_found = [
        sought.score_block(first, count, draft) for (first, count), draft in zip(parts, blocks, strict=True)
    ]
    for query, mask, size, chosen in zip(queries, masks, sizes, sought.candidates(blocks_found), strict=True):
        if chosen is None:
            # So many are in question that the vectors are read.
            continue
        scores = cosine_scores(vectors, query)
        allowed = np.ones(len(vectors), np.bool_) if mask is None else mask
        best = np.sort(scores[allowed])[-size]
        assert set(np.flatnonzero(allowed & (scores >= best))) <= set(chosen)
        assert len(set(chosen)) == len(chosen)
        assert allowed[chosen].all()


def test_a_row_whose_score_a_draft_rounds_down_is_chosen_though_others_are_rounded_up() -> None:
    # Rows and the query are numbers that bfloat16 has, but for a few; scores lie just on both sides of half a step.
    query = np.full(4096, 1 / 64, np.float32)
    down, up = query.copy(), query.copy()
    for vector, moved, by in ((down, 3, 0.9), (up, 1, 1.1)):
        vector[-1020:] *= -1
        vector[:moved] *= 1 + by * 2.0**-8
    vectors = np.stack([down, *[up] * 60])
    draft = Draft(61, 4096)
    draft.write(0, vectors)
    exact = cosine_scores(vectors, query)
    assert exact[0] > exact[1]
    drafted = draft.products(rounded(query[None])[0], 61)[0]
    assert drafted[0] < drafted[1]
    sought = DraftSearch(query[None], [None], [3])
    (chosen,) = sought.candidates([sought.score_block(0, 61, draft)])
    assert chosen is not None
    assert 0 in chosen


def test_few_rows_are_chosen_of_many_that_differ() -> None:
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.normal(size=(4000, 256)).astype(np.float32))
    draft = Draft(4000, 256)
    draft.write(0, vectors)
    sought = DraftSearch(vectors[:8], [None] * 8, [21] * 8)
    chosen = sought.candidates([sought.score_block(0, 4000, draft)])
    assert all(one is not None and len(one) < 60 for one in chosen)


def test_rounding_is_to_the_nearest_and_its_length_is_told() -> None:
    rng = np.random.default_rng(1)
    vectors = unit_rows(rng.normal(size=(50, 33)).astype(np.float32))
    # Half way between two, below and above an even one.
    vectors[0, :2] = [1 + 2.0**-8, 1 + 3 * 2.0**-8]
    found, longest = rounded(vectors)
    assert torch.equal(found, torch.from_numpy(vectors).bfloat16())
    differences = vectors.astype(np.float64) - found.double().numpy()
    exact = np.linalg.norm(differences, axis=1).max()
    assert exact <= longest <= 1.01 * exact


def test_where_rows_are_alike_the_vectors_are_read_and_the_drafts_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = make_rows(np.random.default_rng(2), 4000, 16, spread=1e-3)
    index, other = GalleryIndex(16, drafts=True), GalleryIndex(16)
    index.add(rows)
    other.add(rows)
    looked = []
    look = DraftSearch.score_block
    monkeypatch.setattr(DraftSearch, "score_block", lambda *given: looked.append(given) or look(*given))
    question = Question(np.frombuffer(rows[0].vector, "<f4"), 30)
    expected = other.search_many([question])
    assert [index.search_many([question]) for _ in range(220)] == 220 * [expected]
    # At the first, and at every hundredth after it.
    assert len(looked) == 3


def test_drafts_that_are_summed_too_coarsely_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def coarse(self: Draft, queries: torch.Tensor, count: int) -> torch.Tensor:
        total = torch.zeros((len(queries), count), dtype=torch.bfloat16)
        for column in range(queries.shape[1]):
            total += queries[:, [column]] * self._rows[:count, column]
        return total

    assert drafts.are_exact_enough()
    monkeypatch.setattr(drafts, "_TRIED_ROWS", 64)
    monkeypatch.setattr(Draft, "products", coarse)
    assert not drafts.are_exact_enough()


def test_drafts_that_are_not_faster_do_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "_PAYS", float("inf"))
    assert not drafts.are_faster()


def test_a_search_beside_the_deletion_of_its_own_row_does_not_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_rows(np.random.default_rng(3), 50, 16)
    index = GalleryIndex(16)
    index.add(rows)
    own = rows[0]
    question = Question(np.frombuffer(own.vector, "<f4"), 50, exclude=own.tracklet_id)
    answers = []

    class Watched(np.ndarray):
        """Rows that are alive; the search runs at the moment that one dies."""

        def __setitem__(self, key: object, value: object) -> None:
            answers.append(index.search_many([question])[0])
            super().__setitem__(key, value)  # type: ignore[arg-type]
            answers.append(index.search_many([question])[0])

    index._alive = index._alive.view(Watched)
    assert index.remove(own.tracklet_id)
    assert [own.tracklet_id in {hit.tracklet_id for hit in hits} for hits in answers] == [False, False]


@pytest.mark.parametrize(("row_type", "device"), [("float16", "cpu"), ("float32", "cpu:0")])
def test_only_float32_rows_on_the_cpu_have_them(row_type: str, device: str) -> None:
    assert Rows(8, row_type, device, None, True).draft_use is None  # type: ignore[arg-type]
