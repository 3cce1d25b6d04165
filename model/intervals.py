"""How far figures may be off because other people could have been asked: bootstrap intervals."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from model.metrics import RetrievalMetrics

CONFIDENCE = 0.95


@dataclass(frozen=True)
class RetrievalIntervals:
    """Intervals of 95 %, each from its lower to its upper end, fractions in 0..1."""

    mAP: tuple[float, float]  # noqa: N815
    rank_1: tuple[float, float]
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """Return the intervals under the names that `tfclip evaluate --json` prints."""
        return {
            "mAP": list(self.mAP),
            "rank-1": list(self.rank_1),
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
        }


def bootstrap_intervals(
    metrics: RetrievalMetrics, query_identities: Tensor, *, resamples: int = 2000, seed: int = 0
) -> RetrievalIntervals:
    """Draw the query identities again, with replacement, and take percentiles of the figures of the draws.

    Identities are drawn, not queries, because the queries of one person succeed and fail together. The gallery stays
    as it is, so the intervals say nothing about other galleries, nor about training again.

    Args:
        metrics: of Q queries.
        query_identities: (Q,) int64, as they were evaluated.
        resamples: how many draws, >= 1.
        seed: of the draws.

    Raises:
        ValueError: the identities are not those of the metrics' queries.
    """
    if len(query_identities) != metrics.queries + metrics.skipped:
        raise ValueError(f"{len(query_identities)} identities, expected {metrics.queries + metrics.skipped}")
    identities = query_identities.cpu()[metrics.query_indices].numpy()
    values = np.stack([metrics.average_precisions.numpy(), metrics.first_hits.numpy() == 1])
    precision, hits = mean_intervals(values, identities, resamples=resamples, seed=seed)
    return RetrievalIntervals(precision, hits, resamples)


def mean_intervals(
    values: NDArray[Any], identities: NDArray[Any], *, resamples: int = 2000, seed: int = 0
) -> list[tuple[float, float]]:
    """Intervals of means over queries, by drawing the queries' identities again.

    Every row is measured with the same draws. So a row of differences between two networks' figures has the interval of
    the difference, in which people who are hard for both count for little; and a row of means over seeds that of the
    mean over seeds.

    Args:
        values: (K, V) numbers, K rows of a figure for each query.
        identities: (V,) whose query each is, in any names.
        resamples: how many draws, >= 1.
        seed: of the draws.

    Returns:
        K lower and upper ends of 95 %.

    Raises:
        ValueError: the shapes do not fit.
    """
    if values.ndim != 2 or identities.shape != values.shape[1:] or not len(identities):
        raise ValueError(f"values are {values.shape} and identities {identities.shape}, expected (K, V) and (V,)")
    _, owner = np.unique(identities, return_inverse=True)
    queries = np.bincount(owner)
    sums = np.stack([np.bincount(owner, row) for row in values])
    rng = np.random.default_rng(seed)
    figures = np.empty((resamples, len(values)))
    for figure in figures:
        drawn = rng.integers(len(queries), size=len(queries))
        figure[:] = sums[:, drawn].sum(axis=1) / queries[drawn].sum()
    low, high = np.quantile(figures, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
