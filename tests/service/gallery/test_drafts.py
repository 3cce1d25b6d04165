"""Drafts choose every row that can be among the best, whatever their rounding does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gallery import drafts
from service.gallery.drafts import Draft, Sought, rounded
from service.gallery.rows import Rows
from service.gallery.scoring import cosine_scores, unit_rows


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
    sought = Sought(queries, masks, sizes)
    glances = [sought.look(first, count, draft) for (first, count), draft in zip(parts, blocks, strict=True)]
    for query, mask, size, chosen in zip(queries, masks, sizes, sought.chosen(glances), strict=True):
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
    sought = Sought(query[None], [None], [3])
    (chosen,) = sought.chosen([sought.look(0, 61, draft)])
    assert 0 in chosen


def test_few_rows_are_chosen_of_many_that_differ() -> None:
    rng = np.random.default_rng(0)
    vectors = unit_rows(rng.normal(size=(4000, 256)).astype(np.float32))
    draft = Draft(4000, 256)
    draft.write(0, vectors)
    sought = Sought(vectors[:8], [None] * 8, [21] * 8)
    chosen = sought.chosen([sought.look(0, 4000, draft)])
    assert max(len(one) for one in chosen) < 60


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


def test_drafts_that_are_summed_too_coarsely_are_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def coarse(self: Draft, queries: torch.Tensor, count: int) -> torch.Tensor:
        total = torch.zeros((len(queries), count), dtype=torch.bfloat16)
        for column in range(queries.shape[1]):
            total += queries[:, [column]] * self._rows[:count, column]
        return total

    # However fast they are.
    monkeypatch.setattr(drafts, "_PAYS", 0.0)
    monkeypatch.setattr(drafts, "_TRIED_ROWS", 64)
    assert drafts._pay()
    monkeypatch.setattr(Draft, "products", coarse)
    assert not drafts._pay()


def test_drafts_that_are_not_faster_do_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "_PAYS", float("inf"))
    assert not drafts._pay()


@pytest.mark.parametrize(("row_type", "device"), [("float16", "cpu"), ("float32", "cpu:0")])
def test_only_float32_rows_on_the_cpu_have_them(row_type: str, device: str) -> None:
    assert not Rows(8, row_type, device, None, True).has_drafts  # type: ignore[arg-type]
