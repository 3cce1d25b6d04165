"""Cosine distances, and re-ranking against sets and loops."""

from collections.abc import Callable
from math import exp

import pytest
import torch
from torch import Tensor

from model.retrieval import CosineDistances, k_reciprocal_distances


def crowd(people: int, each: int, dimension: int, seed: int, spread: float = 0.6) -> Tensor:
    """Descriptors around one centre for each person, (people * each, D)."""
    rng = torch.Generator().manual_seed(seed)
    centres = torch.randn(people, dimension, generator=rng).repeat_interleave(each, dim=0)
    return centres + spread * torch.randn(people * each, dimension, generator=rng)


def plain_k_reciprocal(everyone: Tensor, k1: int, k2: int, lam: float) -> list[list[float]]:
    """The equations of the paper with sets and dictionaries, all against all."""
    unit = torch.nn.functional.normalize(everyone.double())
    d = torch.cdist(unit, unit).square().tolist()
    count = len(d)

    def nearest(p: int, k: int) -> list[int]:
        return sorted(range(count), key=lambda g: (g != p, d[p][g]))[:k]

    def reciprocal(p: int, k: int) -> set[int]:
        return {g for g in nearest(p, k + 1) if p in nearest(g, k + 1)}

    weights: list[dict[int, float]] = []
    for p in range(count):
        close = reciprocal(p, k1)
        expanded = set(close)
        for q in close:
            theirs = reciprocal(q, k1 // 2)
            if len(close & theirs) >= 2 / 3 * len(theirs):
                expanded |= theirs
        weights.append({g: exp(-d[p][g]) for g in expanded})
    averaged: list[dict[int, float]] = []
    for p in range(count):
        near = nearest(p, k2)
        keys = {g for n in near for g in weights[n]}
        averaged.append({g: sum(weights[n].get(g, 0) for n in near) / len(near) for g in keys})

    def jaccard(p: int, g: int) -> float:
        keys = averaged[p].keys() | averaged[g].keys()
        least = sum(min(averaged[p].get(key, 0), averaged[g].get(key, 0)) for key in keys)
        most = sum(max(averaged[p].get(key, 0), averaged[g].get(key, 0)) for key in keys)
        return 1 - least / most

    return [[(1 - lam) * jaccard(p, g) + lam * d[p][g] for g in range(count)] for p in range(count)]


def test_distances_are_one_minus_cosine_whatever_the_length() -> None:
    query, gallery = torch.tensor([[3.0, 0.0], [0.0, 0.5]]), torch.tensor([[1.0, 0.0], [0.0, 9.0], [-2.0, 0.0]])
    distances = CosineDistances(query, gallery)
    assert distances[0:2].tolist() == [[0, 1, 2], [1, 0, 1]]
    assert distances[1:2].tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(("k1", "k2", "lam"), [(20, 6, 0.3), (6, 3, 0.3), (5, 1, 0.0), (60, 70, 0.5)])
@pytest.mark.parametrize(("people", "each", "seed"), [(6, 5, 0), (12, 4, 1), (3, 14, 2)])
def test_re_ranking_is_that_of_sets_and_loops(k1: int, k2: int, lam: float, people: int, each: int, seed: int) -> None:
    everyone = crowd(people, each, 8, seed)
    gallery, query = everyone[7:], everyone[:7]
    plain = torch.tensor(plain_k_reciprocal(torch.cat([gallery, query]), k1, k2, lam))
    found = k_reciprocal_distances(query, gallery, k1, k2, lam)
    torch.testing.assert_close(found, plain[len(gallery) :, : len(gallery)].float(), atol=1e-5, rtol=0)


def test_a_query_that_is_in_the_gallery_counts_once() -> None:
    gallery = crowd(8, 5, 8, seed=3)
    new = crowd(1, 2, 8, seed=4)
    query = torch.cat([gallery[10:13], new])
    copies = torch.tensor([10, 11, 12, -1, -1])
    plain = torch.tensor(plain_k_reciprocal(torch.cat([gallery, new]), 6, 3, 0.3)).float()
    found = k_reciprocal_distances(query, gallery, 6, 3, 0.3, copies=copies)
    torch.testing.assert_close(found, plain[[10, 11, 12, 40, 41], :40], atol=1e-5, rtol=0)


def test_more_rows_than_are_worked_on_at_one_time_give_the_same() -> None:
    everyone = crowd(54, 5, 16, seed=5)
    plain = torch.tensor(plain_k_reciprocal(everyone, 6, 3, 0.3)).float()
    found = k_reciprocal_distances(everyone, everyone, 6, 3, 0.3, copies=torch.arange(270))
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)


def test_a_stranger_with_nearer_friends_falls_behind_the_person() -> None:
    # A stranger is nearer to the query than the person's other tracklets are, but has friends that are nearer still.
    axes = torch.eye(20)
    query = axes[:1]
    person = 0.8 * axes[0] + 0.6 * axes[1:6]
    stranger = 0.85 * axes[:1] + 0.527 * axes[6:7]
    friends = 0.7 * axes[0] + 0.7 * axes[6] + 0.05 * axes[7:15]
    gallery = torch.cat([person, stranger, friends])
    plain = CosineDistances(query, gallery)[0:1][0]
    assert plain.argmin() == 5
    found = k_reciprocal_distances(query, gallery, 6, 3, 0.3)[0]
    assert found[:5].max() < found[5:].min()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: k_reciprocal_distances(torch.ones(2, 3), torch.ones(2, 4)), "expected"),
        (lambda: k_reciprocal_distances(torch.ones(2, 3), torch.ones(0, 3)), "expected"),
        (lambda: k_reciprocal_distances(torch.ones(2, 3), torch.full((2, 3), torch.inf)), "not finite"),
        (lambda: k_reciprocal_distances(torch.ones(2, 3), torch.ones(2, 3), k1=0), "k1"),
        (lambda: k_reciprocal_distances(torch.ones(2, 3), torch.ones(2, 3), lam=2), "lam"),
        (lambda: k_reciprocal_distances(torch.ones(2, 3), torch.ones(2, 3), copies=torch.tensor([0, 2])), "copies"),
        (lambda: CosineDistances(torch.ones(3), torch.ones(2, 3)), "expected"),
    ],
)
def test_what_does_not_fit_is_refused(change: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change()
