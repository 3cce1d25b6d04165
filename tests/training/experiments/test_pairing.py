"""Measures of two sets of partners, where their values are known."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from training.experiments.pairing import (
    cka_against_chance,
    find_partners,
    modality_gap,
    neighbour_agreement,
    partner_cosines,
)


def rows(count: int, channels: int, seed: int = 0) -> Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed))


def linear_cka(first: Tensor, second: Tensor) -> float:
    return cka_against_chance(first, second, lots=1).value


def test_cka_of_a_rotated_moved_and_scaled_copy_is_one() -> None:
    first = rows(20, 6)
    rotation = torch.linalg.qr(rows(6, 6, seed=1)).Q
    assert linear_cka(first, 3 * first @ rotation + 7) == pytest.approx(1, abs=1e-6)
    assert linear_cka(first, rows(20, 6, seed=2)) < 0.5


def test_cka_is_the_formula_over_channels() -> None:
    first, second = rows(15, 4).double().numpy(), rows(15, 7, seed=1).double().numpy()
    x, y = first - first.mean(0), second - second.mean(0)
    expected = np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(torch.tensor(first), torch.tensor(second)) == pytest.approx(expected)


def test_the_expected_cka_is_the_mean_over_every_way_to_deal_partners_out() -> None:
    first, second = rows(5, 3), rows(5, 2, seed=1)
    every = [linear_cka(first, second[list(order)]) for order in itertools.permutations(range(5))]
    found = cka_against_chance(first, second, lots=2000)
    assert found.expected == pytest.approx(np.mean(every), abs=1e-9)
    share = np.mean([one >= found.value - 1e-9 for one in every])
    assert found.p == pytest.approx(share, abs=0.04)


def test_cka_of_sets_that_have_nothing_in_common_is_near_its_expectation_and_far_from_zero() -> None:
    found = cka_against_chance(rows(40, 200), rows(40, 200, seed=1), lots=300)
    assert found.value == pytest.approx(found.expected, rel=0.1)
    assert found.chance[0] < found.value < found.chance[1]
    assert found.value > 0.5
    related = rows(40, 200)
    assert cka_against_chance(related, related + rows(40, 200, seed=3), lots=300).p == pytest.approx(1 / 301)


def test_neighbours_agree_fully_with_a_scaled_copy_and_by_chance_with_noise() -> None:
    first = rows(60, 8)
    scales = torch.rand(60, 1, generator=torch.Generator().manual_seed(3)) + 0.5
    for k in (1, 5, 10):
        assert neighbour_agreement(first, first * scales, k) == 1
    by_chance = np.mean([neighbour_agreement(rows(60, 8, seed), rows(60, 8, seed + 50), 5) for seed in range(1, 30)])
    assert by_chance == pytest.approx(5 / 59, rel=0.15)


def test_neighbours_are_those_of_a_slow_twin() -> None:
    first, second = rows(12, 3).double(), rows(12, 3, seed=1).double()

    def nearest(points: Tensor, row: int) -> set[int]:
        def cosine(other: int) -> float:
            return float(points[row] @ points[other] / points[row].norm() / points[other].norm())

        return set(sorted((other for other in range(12) if other != row), key=cosine)[-3:])

    expected = np.mean([len(nearest(first, row) & nearest(second, row)) / 3 for row in range(12)])
    assert neighbour_agreement(first, second, 3) == pytest.approx(expected)


def test_the_gap_of_a_shifted_copy_is_the_shift() -> None:
    first, shift = rows(30, 5), torch.tensor([3.0, 0, 4, 0, 0])
    gap = modality_gap(first, first + shift)
    assert gap.distance == pytest.approx(5, rel=1e-6)
    centred = (first - first.mean(0)).double()
    assert gap.spread == pytest.approx(float((centred**2).sum(1).sqrt().mean()), rel=1e-6)


def test_partners_are_found_in_a_noisy_copy_and_by_chance_in_noise() -> None:
    first = rows(50, 16)
    assert find_partners(first, first + 0.01 * rows(50, 16, seed=1)) == (1, 1)
    assert find_partners(first, first.roll(1, dims=0)).rank_1 < 0.1
    ranks = [find_partners(rows(50, 16, seed), rows(50, 16, seed + 90)).mean_rank for seed in range(1, 20)]
    assert np.mean(ranks) == pytest.approx(51 / 2, rel=0.06)


def test_rows_that_cannot_be_told_apart_find_nothing() -> None:
    same = torch.ones(5, 3)
    assert find_partners(same, same) == (0, 3)


def test_cosines_of_partners_and_of_others_are_all_there_are() -> None:
    first, second = rows(7, 4), rows(7, 4, seed=1)
    partners, others = partner_cosines(first, second)
    table = torch.nn.functional.cosine_similarity(first.unsqueeze(1), second.unsqueeze(0), dim=2)
    torch.testing.assert_close(partners, table.diagonal())
    assert len(others) == 42
    assert float(partners.sum() + others.sum()) == pytest.approx(float(table.sum()), abs=1e-5)


def test_sets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 3\) and \(5, 3\)"):
        linear_cka(rows(4, 3), rows(5, 3))
    with pytest.raises(ValueError, match="all the same"):
        linear_cka(torch.ones(4, 3), rows(4, 3))
    with pytest.raises(ValueError, match="10 neighbours of 4 others"):
        neighbour_agreement(rows(5, 3), rows(5, 3), 10)
