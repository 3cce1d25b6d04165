"""Figures of queries: their means, and comparisons on the same people."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.intervals import bootstrap_intervals
from model.metrics import evaluate_distances
from training.datasets.tracklets import DataSet, LabelledTracklet
from training.evaluation import rank
from training.experiments.query_figures import QueryFigures, mean_of, summarise_seeds


def made_up(seed: int, people: int = 12) -> tuple[DataSet, torch.Tensor]:
    """People before two cameras, one of them before one only; descriptors that are near for the same person."""
    rng = np.random.default_rng(seed)
    everyone = tuple(
        LabelledTracklet(f"{person}/{camera}/{number}", f"{person}", camera, (Path("0.png"),))
        for person in range(people)
        for camera in range(2 if person else 1)
        for number in range(2)
    )
    centres = np.random.default_rng(0).normal(size=(people, 8))
    vectors = np.stack([centres[int(one.identity)] for one in everyone]) + rng.normal(0, 1, (len(everyone), 8))
    return DataSet("folder", Path(), everyone, everyone, everyone, ("0", "1")), torch.tensor(vectors).float()


def test_one_network_has_the_figures_and_intervals_of_an_evaluation() -> None:
    data, vectors = made_up(1)
    figures = QueryFigures.of(data, vectors)
    rankings = rank(data, vectors)
    metrics = evaluate_distances(*rankings)
    intervals = bootstrap_intervals(metrics, rankings.labels.query_identities)
    assert figures.means == pytest.approx((metrics.mAP, metrics.rank(1)))
    assert metrics.skipped == 2
    assert 0.1 < metrics.mAP < 0.95
    precision, hit = summarise_seeds([figures])
    assert (precision.interval, hit.interval) == (intervals.mAP, intervals.rank_1)
    assert precision.spread is None


def test_figures_come_back_from_their_document() -> None:
    figures = QueryFigures.of(*made_up(1))
    again = QueryFigures.from_dict(figures.to_dict())
    assert np.array_equal(again.values, figures.values)
    assert np.array_equal(again.identities, figures.identities)


def test_seeds_are_averaged_before_people_are_drawn() -> None:
    several = [QueryFigures.of(*made_up(seed)) for seed in (1, 2, 3)]
    precision, hit = summarise_seeds(several)
    assert precision.values == tuple(one.means[0] for one in several)
    assert precision.mean == pytest.approx(np.mean(precision.values))
    assert hit.spread == pytest.approx(np.std(hit.values, ddof=1))
    assert precision.interval is not None
    # One draw of people for all seeds is a draw of the means over seeds.
    assert precision.interval == summarise_seeds([mean_of(several)])[0].interval
    low, high = precision.interval
    assert low < precision.mean < high


def test_a_gain_has_a_narrower_interval_than_what_it_is_the_difference_of() -> None:
    data, vectors = made_up(1)
    figures = QueryFigures.of(data, vectors)
    better = QueryFigures(figures.identities, 0.9 * figures.values + 0.1)
    precision, _ = summarise_seeds([better.minus(figures)])
    assert precision.mean == pytest.approx(better.means[0] - figures.means[0])
    assert precision.interval is not None
    whole = summarise_seeds([figures])[0].interval
    assert whole is not None
    assert precision.interval[1] - precision.interval[0] == pytest.approx(0.1 * (whole[1] - whole[0]))


def test_figures_of_different_test_sets_are_not_compared() -> None:
    first, second = QueryFigures.of(*made_up(1)), QueryFigures.of(*made_up(1, people=6))
    with pytest.raises(ValueError, match="different queries"):
        first.minus(second)
    with pytest.raises(ValueError, match="different queries"):
        mean_of([first, second])
