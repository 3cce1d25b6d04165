"""Retrieval metrics against plain loops, and against figures worked out by hand."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.camera_pairs import camera_pair_table
from model.metrics import RetrievalLabels, RetrievalMetrics, evaluate_distances, evaluate_retrieval


@dataclass
class Asked:
    """Rankings to measure; descriptors lie on a small grid, so that equal distances are common and exact."""

    query: Tensor
    gallery: Tensor
    labels: RetrievalLabels


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries, gallery = draw(st.integers(1, 20)), draw(st.integers(1, 60))
    people, cameras = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    dimension = draw(st.sampled_from([1, 4, 16]))  # rows of +-1 then have lengths 1, 2 and 4: no rounding at all

    def signs(rows: int) -> Tensor:
        return torch.from_numpy(rng.choice([-1.0, 1.0], (rows, dimension)).astype(np.float32))

    def numbers(rows: int, below: int) -> Tensor:
        return torch.from_numpy(rng.integers(0, below, rows))

    labels = RetrievalLabels(
        numbers(queries, people), numbers(gallery, people + 1), numbers(queries, cameras), numbers(gallery, cameras)
    )
    return Asked(signs(queries), signs(gallery), labels)


@dataclass
class PlainScores:
    """What a plain loop found for one query."""

    precision: float
    first: int
    penalty: float


def plain_scores(distances: list[list[float]], labels: RetrievalLabels) -> list[PlainScores | None]:
    """The protocol as it is told: sort, drop, walk down the ranking."""
    scores: list[PlainScores | None] = []
    for row, line in enumerate(distances):
        identity, camera = int(labels.query_identities[row]), int(labels.query_cameras[row])
        rank, hits, precisions, first = 0, 0, [], 0
        for _, entry in sorted((distance, entry) for entry, distance in enumerate(line)):
            same = int(labels.gallery_identities[entry]) == identity
            if same and int(labels.gallery_cameras[entry]) == camera:
                continue
            rank += 1
            if same:
                hits += 1
                first = first or rank
                last = rank
                precisions.append(hits / rank)
        scores.append(PlainScores(sum(precisions) / hits, first, hits / last) if hits else None)
    return scores


def cosine_lists(query: Tensor, gallery: Tensor) -> list[list[float]]:
    def one(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return 1 - dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5

    return [[one(a, b) for b in gallery.tolist()] for a in query.tolist()]


def measure(asked: Asked) -> RetrievalMetrics:
    labels = asked.labels
    return evaluate_retrieval(
        asked.query,
        asked.gallery,
        labels.query_identities,
        labels.gallery_identities,
        labels.query_cameras,
        labels.gallery_cameras,
    )


def labels_of(query: list[tuple[int, int]], gallery: list[tuple[int, int]]) -> RetrievalLabels:
    """Labels from pairs of identity and camera."""
    queries, entries = torch.tensor(query), torch.tensor(gallery)
    return RetrievalLabels(queries[:, 0], entries[:, 0], queries[:, 1], entries[:, 1])


@settings(max_examples=150, deadline=None)
@given(asked())
def test_metrics_are_those_of_the_plain_loop_ties_included(asked: Asked) -> None:
    plain = plain_scores(cosine_lists(asked.query, asked.gallery), asked.labels)
    known = [(row, score) for row, score in enumerate(plain) if score is not None]
    if not known:
        with pytest.raises(ValueError, match="nothing to measure"):
            measure(asked)
        return
    metrics = measure(asked)
    assert metrics.query_indices.tolist() == [row for row, _ in known]
    assert metrics.first_hits.tolist() == [score.first for _, score in known]
    assert metrics.average_precisions.tolist() == pytest.approx([score.precision for _, score in known], abs=1e-12)
    assert metrics.mAP == pytest.approx(np.mean([score.precision for _, score in known]), abs=1e-12)
    assert metrics.mINP == pytest.approx(np.mean([score.penalty for _, score in known]), abs=1e-12)
    for k in range(1, 51):
        assert metrics.rank(k) == pytest.approx(np.mean([score.first <= k for _, score in known]), abs=1e-12)
    assert (metrics.queries, metrics.skipped) == (len(known), len(plain) - len(known))


@settings(max_examples=50, deadline=None)
@given(asked())
def test_a_camera_pair_is_the_evaluation_of_that_cameras_queries_and_entries(asked: Asked) -> None:
    labels = asked.labels
    distances = torch.tensor(cosine_lists(asked.query, asked.gallery), dtype=torch.float32)
    table = {(pair.query_camera, pair.gallery_camera): pair for pair in camera_pair_table(distances, labels)}
    for query_camera in range(4):
        for gallery_camera in range(4):
            rows = (labels.query_cameras == query_camera).nonzero()[:, 0]
            columns = (labels.gallery_cameras == gallery_camera).nonzero()[:, 0]
            part = (
                RetrievalLabels(
                    labels.query_identities[rows],
                    labels.gallery_identities[columns],
                    labels.query_cameras[rows],
                    labels.gallery_cameras[columns],
                )
                if len(rows) and len(columns)
                else None
            )
            plain = plain_scores(distances[rows][:, columns].tolist(), part) if part else []
            known = [score for score in plain if score is not None]
            pair = table.pop((query_camera, gallery_camera), None)
            assert (pair.queries if pair else 0) == len(known)
            if pair:
                assert pair.mAP == pytest.approx(np.mean([score.precision for score in known]), abs=1e-12)
                assert pair.rank_1 == pytest.approx(np.mean([score.first == 1 for score in known]), abs=1e-12)
    assert table == {}


def test_more_queries_than_are_ranked_at_one_time_give_the_same() -> None:
    rng = torch.Generator().manual_seed(2)
    query, gallery = torch.randn(600, 8, generator=rng), torch.randn(90, 8, generator=rng)
    people, cameras = torch.randint(0, 5, (690,), generator=rng), torch.randint(0, 3, (690,), generator=rng)
    labels = RetrievalLabels(people[:600], people[600:], cameras[:600], cameras[600:])
    metrics = measure(Asked(query, gallery, labels))
    unit = [torch.nn.functional.normalize(side.double()) for side in (query, gallery)]
    plain = plain_scores((1 - unit[0] @ unit[1].T).tolist(), labels)
    known = [score for score in plain if score is not None]
    assert metrics.mAP == pytest.approx(np.mean([score.precision for score in known]), abs=1e-6)
    assert metrics.first_hits.tolist() == [score.first for score in known]


def test_figures_worked_out_by_hand() -> None:
    # Query 0: miss, hit, miss, hit: precisions 1/2 and 2/4. Query 1: hit, hit: 1 and 1, then misses.
    labels = labels_of([(1, 0), (2, 0)], [(1, 1), (2, 1), (2, 2), (1, 2)])
    distances = torch.tensor([[0.2, 0.1, 0.3, 0.4], [0.3, 0.1, 0.2, 0.4]])
    metrics = evaluate_distances(distances, labels)
    assert metrics.average_precisions.tolist() == [0.5, 1.0]
    assert metrics.first_hits.tolist() == [2, 1]
    assert metrics.to_dict() == {
        "mAP": 0.75,
        "rank-1": 0.5,
        "rank-5": 1.0,
        "rank-10": 1.0,
        "rank-20": 1.0,
        "mINP": 0.75,
        "queries": 2,
        "gallery": 4,
    }


def test_the_same_person_before_the_same_camera_is_not_ranked() -> None:
    # The query itself and its twin are nearest; without them the match is first, with one of them it would be second.
    labels = labels_of([(1, 0)], [(1, 0), (1, 0), (1, 1), (2, 0)])
    metrics = evaluate_distances(torch.tensor([[0.0, 0.1, 0.5, 0.9]]), labels)
    assert (metrics.mAP, metrics.mINP, metrics.rank(1)) == (1, 1, 1)


def test_another_person_before_the_same_camera_is_ranked() -> None:
    metrics = evaluate_distances(torch.tensor([[0.5, 0.1]]), labels_of([(1, 0)], [(1, 1), (2, 0)]))
    assert (metrics.mAP, metrics.rank(1), metrics.rank(2)) == (0.5, 0, 1)


def test_distractors_take_ranks_and_never_match() -> None:
    labels = labels_of([(1, 0)], [(0, 0), (0, 1), (0, 2), (1, 1)])
    metrics = evaluate_distances(torch.tensor([[0.1, 0.2, 0.3, 0.4]]), labels)
    assert (metrics.mAP, metrics.mINP, metrics.first_hits.tolist()) == (0.25, 0.25, [4])


def test_a_query_without_a_match_is_skipped_and_counted() -> None:
    labels = labels_of([(7, 0), (1, 0), (2, 1)], [(1, 1), (2, 1)])
    metrics = evaluate_distances(torch.tensor([[0.1, 0.2], [0.1, 0.2], [0.1, 0.2]]), labels)
    assert (metrics.queries, metrics.skipped, metrics.query_indices.tolist(), metrics.mAP) == (1, 2, [1], 1)


def test_no_query_with_a_match_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of the 1 queries"):
        evaluate_distances(torch.tensor([[0.1]]), labels_of([(1, 0)], [(1, 0)]))


def test_equal_distances_are_ranked_in_the_order_of_the_gallery() -> None:
    gallery = [(2, 1), (1, 1), (2, 2), (1, 2)]
    metrics = evaluate_distances(torch.zeros(1, 4), labels_of([(1, 0)], gallery))
    assert metrics.average_precisions.tolist() == [0.5]
    metrics = evaluate_distances(torch.zeros(1, 4), labels_of([(1, 0)], gallery[::-1]))
    assert metrics.average_precisions.tolist() == [(1 + 2 / 3) / 2]


def test_negative_zero_equals_zero() -> None:
    metrics = evaluate_distances(torch.tensor([[0.0, -0.0]]), labels_of([(1, 0)], [(2, 1), (1, 1)]))
    assert metrics.first_hits.tolist() == [2]


def test_a_match_beyond_the_curve_counts_for_the_mean_and_for_no_rank() -> None:
    labels = labels_of([(1, 0)], [(0, 1)] * 60 + [(1, 1)])
    metrics = evaluate_distances(torch.arange(61.0).unsqueeze(0), labels)
    assert (metrics.rank(50), metrics.mAP) == (0, 1 / 61)
    with pytest.raises(ValueError, match="rank 51"):
        metrics.rank(51)


def test_distances_are_left_as_they_are() -> None:
    distances = torch.tensor([[0.0, 0.1, 0.2]])
    evaluate_distances(distances, labels_of([(1, 0)], [(1, 0), (1, 1), (2, 0)]))
    assert distances.tolist() == torch.tensor([[0.0, 0.1, 0.2]]).tolist()


@pytest.mark.parametrize("which", range(4))
def test_labels_that_are_shorter_than_the_descriptors_are_refused(which: int) -> None:
    lengths = [3, 5, 3, 5]
    lengths[which] -= 1
    with pytest.raises(ValueError, match="expected two arrays of one length"):
        evaluate_retrieval(torch.randn(3, 2), torch.randn(5, 2), *(torch.zeros(n, dtype=torch.int64) for n in lengths))


def test_labels_of_another_gallery_are_refused() -> None:
    lengths = [3, 6, 3, 6]
    with pytest.raises(ValueError, match="3 query and 5 gallery descriptors"):
        evaluate_retrieval(torch.randn(3, 2), torch.randn(5, 2), *(torch.zeros(n, dtype=torch.int64) for n in lengths))


def test_numbers_that_are_not_finite_are_refused() -> None:
    labels = labels_of([(1, 0)], [(1, 1), (2, 0)])
    with pytest.raises(ValueError, match="not finite"):
        evaluate_distances(torch.tensor([[torch.nan, 0.0]]), labels)
    with pytest.raises(ValueError, match="not finite"):
        measure(Asked(torch.ones(1, 2), torch.tensor([[1.0, torch.nan], [0.0, 1.0]]), labels))


def test_distances_of_another_precision_are_refused() -> None:
    with pytest.raises(ValueError, match=r"torch\.float64"):
        evaluate_distances(torch.zeros(1, 2, dtype=torch.float64), labels_of([(1, 0)], [(1, 1), (2, 0)]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_measures_the_same() -> None:
    rng = torch.Generator().manual_seed(4)
    signs = torch.randint(0, 2, (400, 16), generator=rng) * 2.0 - 1
    people, cameras = torch.randint(0, 20, (400,), generator=rng), torch.randint(0, 3, (400,), generator=rng)
    labels = RetrievalLabels(people[:100], people, cameras[:100], cameras)
    here, there = (measure(Asked(signs[:100].to(device), signs.to(device), labels)) for device in ("cpu", "cuda"))
    assert here.to_dict() == there.to_dict()
    assert here.average_precisions.tolist() == there.average_precisions.tolist()
