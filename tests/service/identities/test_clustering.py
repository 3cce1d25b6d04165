"""Average linkage against a slow and obvious twin, and against SciPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.identities.clustering import average_linkage


def unit(rows: np.ndarray) -> np.ndarray:
    """Each row at length 1, in float32."""
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def people(rng: np.random.Generator, count: int, dimension: int, spread: float) -> np.ndarray:
    """Rows around a third as many directions."""
    centres = rng.normal(size=(max(1, count // 3), dimension))
    return unit(centres[rng.integers(0, len(centres), count)] + spread * rng.normal(size=(count, dimension)))


def twin(vectors: np.ndarray, apart: set[tuple[int, int]], threshold: float) -> set[tuple[int, ...]]:
    """Look at all pairs of clusters, join the best, and begin again."""
    clusters = [[row] for row in range(len(vectors))]
    cosines = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    while True:
        best = None
        for n, one in enumerate(clusters):
            for other in clusters[n + 1 :]:
                if any((a, b) in apart or (b, a) in apart for a in one for b in other):
                    continue
                alike = np.mean([cosines[a, b] for a in one for b in other])
                if alike >= threshold and (best is None or alike > best[0]):
                    best = alike, one, other
        if best is None:
            return {tuple(sorted(cluster)) for cluster in clusters}
        clusters.remove(best[2])
        best[1].extend(best[2])


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 14),
    threshold=st.sampled_from([-0.5, 0.0, 0.4, 0.8, 0.95]),
    spread=st.sampled_from([0.1, 0.5, 2.0]),
    share=st.sampled_from([0.0, 0.2, 0.7]),
)
@settings(max_examples=150, deadline=None)
def test_clusters_are_those_of_the_obvious_way_and_no_pair_that_is_apart_is_in_one(
    seed: int, count: int, threshold: float, spread: float, share: float
) -> None:
    rng = np.random.default_rng(seed)
    vectors = people(rng, count, 6, spread)
    apart = {(a, b) for a in range(count) for b in range(a) if rng.random() < share}
    found = average_linkage(vectors, sorted(apart), threshold)
    assert {tuple(cluster.tolist()) for cluster in found} == twin(vectors, apart, threshold)
    assert sorted(row for cluster in found for row in cluster) == list(range(count))
    assert not any(one in cluster and other in cluster for cluster in found for one, other in apart)


def test_without_pairs_that_are_apart_the_clusters_are_scipys() -> None:
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    rng = np.random.default_rng(5)
    vectors = people(rng, 300, 16, 0.4)
    for threshold in (0.3, 0.6, 0.9):
        found = {tuple(cluster.tolist()) for cluster in average_linkage(vectors, [], threshold)}
        tree = hierarchy.linkage(vectors.astype(np.float64), "average", "cosine")
        labels = hierarchy.fcluster(tree, 1 - threshold, "distance")
        expected = {tuple(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}
        assert found == expected
        assert 1 < len(found) < 300


def test_of_equally_alike_pairs_the_one_with_the_lowest_rows_comes_first() -> None:
    same = np.zeros((6, 2), np.float32)
    same[:, 0] = 1
    # All alike: joined from the lowest on, and the one that must stay apart from row 0 begins its own.
    found = average_linkage(same, [(0, 3)], 0.9)
    assert [cluster.tolist() for cluster in found] == [[0, 1, 2, 4, 5], [3]]
