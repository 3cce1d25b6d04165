"""Bootstrap intervals: against the normal approximation, and where they are known."""

import numpy as np
import pytest
import torch

from model.intervals import bootstrap_intervals, mean_intervals
from model.metrics import RetrievalLabels, evaluate_distances


def test_intervals_hold_the_figure_and_narrow_with_more_people() -> None:
    def widths(people: int) -> tuple[float, float]:
        rng = torch.Generator().manual_seed(people)
        identities = torch.arange(people).repeat_interleave(3)
        gallery = torch.arange(people)
        labels = RetrievalLabels(
            identities, gallery, torch.zeros(3 * people, dtype=torch.int64), torch.ones(people, dtype=torch.int64)
        )
        distances = torch.rand(3 * people, people, generator=rng)
        easy = torch.rand(3 * people, generator=rng) < 0.6
        distances[torch.arange(3 * people)[easy], identities[easy]] = -1
        metrics = evaluate_distances(distances, labels)
        intervals = bootstrap_intervals(metrics, identities)
        assert intervals.mAP[0] < metrics.mAP < intervals.mAP[1]
        assert intervals.rank_1[0] < metrics.rank(1) < intervals.rank_1[1]
        assert intervals == bootstrap_intervals(metrics, identities)
        return intervals.mAP[1] - intervals.mAP[0], intervals.rank_1[1] - intervals.rank_1[0]

    few, many = widths(20), widths(320)
    assert few[0] / many[0] == pytest.approx(4, rel=0.4)
    # Independent queries: the normal approximation of a share of 0.6.
    assert many[1] == pytest.approx(2 * 1.96 * (0.24 / 960) ** 0.5, rel=0.25)


def test_queries_of_one_person_are_drawn_together() -> None:
    # Two people, one always found and one never: a draw finds all, half or none, so the interval is everything.
    identities = torch.tensor([1] * 50 + [2] * 50)
    labels = RetrievalLabels(identities, torch.tensor([1, 2]), torch.zeros_like(identities), torch.tensor([1, 1]))
    metrics = evaluate_distances(torch.tensor([[0.0, 1.0]]).repeat(100, 1), labels)
    assert bootstrap_intervals(metrics, identities).rank_1 == (0, 1)


def test_skipped_queries_count_for_no_interval() -> None:
    identities = torch.tensor([1, 9, 2])
    labels = RetrievalLabels(identities, torch.tensor([1, 2]), torch.zeros(3, dtype=torch.int64), torch.tensor([1, 1]))
    metrics = evaluate_distances(torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), labels)
    assert bootstrap_intervals(metrics, identities).mAP == (1, 1)
    with pytest.raises(ValueError, match="2 identities, expected 3"):
        bootstrap_intervals(metrics, identities[:2])


def test_the_rows_of_one_call_are_measured_with_the_same_draws() -> None:
    rng = np.random.default_rng(0)
    identities = np.repeat([f"person {number}" for number in range(30)], 2)
    easy = np.repeat(rng.random(30), 2)
    better, worse = easy + 0.1, easy
    first, second, difference = mean_intervals(np.stack([better, worse, better - worse]), identities)
    assert first == pytest.approx([end + 0.1 for end in second])
    assert second[1] - second[0] > 0.1
    # Better by as much for everybody: the difference is known exactly, however unlike the people are.
    assert difference == pytest.approx((0.1, 0.1))


def test_values_of_other_queries_than_the_identities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values are \(1, 3\) and identities \(2,\)"):
        mean_intervals(np.zeros((1, 3)), np.array([1, 2]))
