"""How each query of a test set did: what networks are compared by, on the same people."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.intervals import mean_intervals
from model.metrics import evaluate_distances
from training.datasets.tracklets import DataSet
from training.evaluation import rank
from training.experiments.tables import Figure, over_seeds


@dataclass(frozen=True, eq=False)
class QueryFigures:
    """Figures of the V queries of a test set that have a match.

    Attributes:
        identities: (V,) int64, whose query each is: the same numbers for every network on this test set.
        values: (2, V) float64 in 0..1: average precision, and whether the first place is right.
    """

    identities: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, data: DataSet, descriptors: Tensor) -> Self:
        """Rank and measure (N, D) descriptors of `distinct_tracklets(data)`.

        Raises:
            ValueError: no query has a match.
        """
        distances, labels = rank(data, descriptors)
        metrics = evaluate_distances(distances, labels)
        identities = labels.query_identities[metrics.query_indices].numpy()
        return cls(identities, np.stack([metrics.average_precisions.numpy(), metrics.first_hits.numpy() == 1]))

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        """Return what `to_dict` wrote."""
        return cls(np.array(document["identities"]), np.array([document["average_precisions"], document["rank-1"]]))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        precisions, hits = self.values.tolist()
        return {"identities": self.identities.tolist(), "average_precisions": precisions, "rank-1": hits}

    @property
    def means(self) -> tuple[float, float]:
        """mAP and rank-1."""
        precision, hit = self.values.mean(axis=1).tolist()
        return precision, hit

    def minus(self, other: Self) -> "QueryFigures":
        """What each query gains over another network.

        Raises:
            ValueError: the other's queries are not these.
        """
        _check_same(self, other)
        return QueryFigures(self.identities, self.values - other.values)


def mean_of(several: Sequence[QueryFigures]) -> QueryFigures:
    """The mean for each query over trainings, or over draws.

    Raises:
        ValueError: there is none, or they are of different queries.
    """
    if not several:
        raise ValueError("there is nothing to take the mean of")
    for one in several:
        _check_same(several[0], one)
    return QueryFigures(several[0].identities, np.mean([one.values for one in several], axis=0))


def summarise_seeds(several: Sequence[QueryFigures]) -> tuple[Figure, Figure]:
    """mAP and rank-1 over the seeds: mean, spread, and the interval of the mean.

    Identities are drawn once for all seeds: the interval is that of the mean over these trainings, for other people.
    How far trainings differ is the spread.

    Args:
        several: a network's figures for each seed, or its gain over another one's (`QueryFigures.minus`).
    """
    together = mean_of(several)
    intervals = mean_intervals(together.values, together.identities)
    precision, hit = (
        Figure(figure.mean, figure.spread, figure.values, interval)
        for figure, interval in zip(
            (over_seeds(values) for values in zip(*(one.means for one in several), strict=True)), intervals, strict=True
        )
    )
    return precision, hit


def _check_same(first: QueryFigures, second: QueryFigures) -> None:
    if not np.array_equal(first.identities, second.identities):
        raise ValueError("the figures are of different queries: expected one test set")
