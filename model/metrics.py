"""How well rankings find people again: mAP, CMC and mINP (docs/evaluation.md).

A query is ranked against the whole gallery without the entries of its own identity *and* camera. A query that has no
entry of its identity left is skipped. Equal distances are ranked in the order of the gallery.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from model.retrieval import CosineDistances, DistanceRows, row_slices

MAX_RANK = 50
"""The last rank of the CMC curve."""


@dataclass(frozen=True, eq=False)
class RetrievalLabels:
    """Who and where: identity and camera of every query and gallery entry, int64 numbers of the caller's choice.

    Attributes:
        query_identities, query_cameras: (Q,)
        gallery_identities, gallery_cameras: (G,)

    Raises:
        ValueError: lengths or dtypes do not fit.
    """

    query_identities: Tensor
    gallery_identities: Tensor
    query_cameras: Tensor
    gallery_cameras: Tensor

    def __post_init__(self) -> None:
        for side in ("query", "gallery"):
            identities, cameras = getattr(self, f"{side}_identities"), getattr(self, f"{side}_cameras")
            if identities.ndim != 1 or identities.shape != cameras.shape or len(identities) == 0:
                raise ValueError(
                    f"{side} identities are {tuple(identities.shape)} and cameras {tuple(cameras.shape)}, "
                    "expected two arrays of one length, at least 1"
                )
            if {identities.dtype, cameras.dtype} != {torch.int64}:
                raise ValueError(f"{side} identities and cameras are {identities.dtype} and {cameras.dtype}, not int64")

    def select(self, *, queries: slice | None = None, gallery: Tensor | None = None) -> Self:
        """Return the labels of a slice of the queries, or of some rows of the gallery."""
        queries = slice(None) if queries is None else queries
        columns: slice | Tensor = slice(None) if gallery is None else gallery
        return type(self)(
            self.query_identities[queries],
            self.gallery_identities[columns],
            self.query_cameras[queries],
            self.gallery_cameras[columns],
        )

    def to(self, device: torch.device) -> Self:
        """Return the labels on another device."""
        return type(self)(
            self.query_identities.to(device),
            self.gallery_identities.to(device),
            self.query_cameras.to(device),
            self.gallery_cameras.to(device),
        )


@dataclass(frozen=True, eq=False)
class QueryScores:
    """What each of B queries found; all zero for a query without a match.

    Attributes:
        matches: (B,) int64, entries of the query's identity before other cameras.
        average_precisions: (B,) float64, mean over the matches of the precision at their rank, not interpolated.
        first_hits: (B,) int64, rank of the first match, from 1.
        inverse_penalties: (B,) float64, matches over the rank of the last match.
    """

    matches: Tensor
    average_precisions: Tensor
    first_hits: Tensor
    inverse_penalties: Tensor


@dataclass(frozen=True, eq=False)
class RetrievalMetrics:
    """How well all queries found their matches; every figure is a fraction in 0..1 over the V queries with a match.

    Attributes:
        mAP: mean average precision.
        mINP: mean over queries of matches over the rank of the last match.
        cmc: (50,) float64; entry k - 1 is the share of queries with a match among the first k.
        average_precisions: (V,) float64.
        first_hits: (V,) int64, rank of the first match, from 1.
        query_indices: (V,) int64, which of the Q queries these are.
        queries: V.
        skipped: queries without a match, Q - V.
        gallery: G.
    """

    mAP: float  # noqa: N815
    mINP: float  # noqa: N815
    cmc: Tensor
    average_precisions: Tensor
    first_hits: Tensor
    query_indices: Tensor
    queries: int
    skipped: int
    gallery: int

    def rank(self, k: int) -> float:
        """Share of queries with a match among the first k, 1 <= k <= 50."""
        if not 1 <= k <= MAX_RANK:
            raise ValueError(f"rank {k} is asked for, the curve has ranks 1 to {MAX_RANK}")
        return float(self.cmc[k - 1])

    def to_dict(self) -> dict[str, Any]:
        """Return the figures under the names that `tfclip evaluate --json` prints."""
        ranks = {f"rank-{k}": self.rank(k) for k in (1, 5, 10, 20)}
        return {"mAP": self.mAP, **ranks, "mINP": self.mINP, "queries": self.queries, "gallery": self.gallery}


def evaluate_retrieval(
    query: Tensor,
    gallery: Tensor,
    query_identities: Tensor,
    gallery_identities: Tensor,
    query_cameras: Tensor,
    gallery_cameras: Tensor,
) -> RetrievalMetrics:
    """Rank the gallery for every query by cosine and measure the rankings.

    Args:
        query: (Q, D) float descriptors, need not be normalised.
        gallery: (G, D) float, on the same device. Queries that the protocol wants in it are in it.
        query_identities, query_cameras: (Q,) int64.
        gallery_identities, gallery_cameras: (G,) int64.

    Raises:
        ValueError: shapes or lengths do not fit, a number is not finite, or no query has a match.
    """
    labels = RetrievalLabels(query_identities, gallery_identities, query_cameras, gallery_cameras)
    if (len(query), len(gallery)) != (len(query_identities), len(gallery_identities)):
        raise ValueError(
            f"{len(query)} query and {len(gallery)} gallery descriptors have {len(query_identities)} and "
            f"{len(gallery_identities)} labels"
        )
    return evaluate_distances(CosineDistances(query, gallery), labels)


def evaluate_distances(distances: DistanceRows, labels: RetrievalLabels) -> RetrievalMetrics:
    """Measure rankings by distances that are at hand, such as a re-ranked (Q, G) matrix.

    Args:
        distances: float32, smaller is nearer.
        labels: of Q queries and G gallery entries.

    Raises:
        ValueError: shapes do not fit, a number is not finite, or no query has a match.
    """
    slices = row_slices(len(labels.query_identities))
    scores = [score_queries(distances[rows], labels.select(queries=rows)) for rows in slices]
    matched = torch.cat([part.matches for part in scores]) > 0
    precisions = torch.cat([part.average_precisions for part in scores])[matched]
    first_hits = torch.cat([part.first_hits for part in scores])[matched]
    penalties = torch.cat([part.inverse_penalties for part in scores])[matched]
    count = len(precisions)
    if count == 0:
        raise ValueError(
            f"none of the {len(matched)} queries has its identity in the gallery before another camera: "
            "there is nothing to measure"
        )
    hits = torch.bincount(first_hits.clamp(max=MAX_RANK + 1), minlength=MAX_RANK + 2)[1 : MAX_RANK + 1]
    return RetrievalMetrics(
        mAP=float(precisions.mean()),
        mINP=float(penalties.mean()),
        cmc=hits.cumsum(0).double() / count,
        average_precisions=precisions,
        first_hits=first_hits,
        query_indices=matched.nonzero()[:, 0],
        queries=count,
        skipped=len(matched) - count,
        gallery=len(labels.gallery_identities),
    )


def score_queries(distances: Tensor, labels: RetrievalLabels) -> QueryScores:
    """Find the ranks of every query's matches.

    Args:
        distances: (B, G) float32, finite; it is left as it is.
        labels: of the same B queries and G entries.

    Raises:
        ValueError: shape or dtype do not fit, or a number is not finite.
    """
    expected = (len(labels.query_identities), len(labels.gallery_identities))
    if tuple(distances.shape) != expected or distances.dtype != torch.float32:
        raise ValueError(f"distances are {tuple(distances.shape)} {distances.dtype}, expected {expected} torch.float32")
    if not bool(torch.isfinite(distances).all()):
        raise ValueError("distances hold numbers that are not finite")
    labels = labels.to(distances.device)
    row, column = (labels.query_identities.unsqueeze(1) == labels.gallery_identities).nonzero(as_tuple=True)
    twin = labels.query_cameras[row] == labels.gallery_cameras[column]
    distances = distances.index_put((row[twin], column[twin]), distances.new_tensor(torch.inf))
    row, column = row[~twin], column[~twin]
    matches = torch.bincount(row, minlength=len(distances))
    # A table of matches, a line for each query, as wide as the most matches of any.
    place = torch.arange(len(row), device=row.device) - (matches.cumsum(0) - matches)[row]
    columns = column.new_zeros(len(distances), max(1, int(matches.max())))
    columns[row, place] = column
    ranks = _ranks(distances, columns)
    width = torch.arange(1, columns.shape[1] + 1, device=row.device)
    there = width <= matches.unsqueeze(1)
    ranks = torch.where(there, ranks, torch.iinfo(torch.int64).max).sort(dim=1).values
    counts = matches.clamp(min=1)
    precisions = torch.where(there, width / ranks.double(), 0.0)
    last = ranks.gather(1, counts.unsqueeze(1) - 1)[:, 0]
    found = matches > 0
    return QueryScores(
        matches.cpu(),
        (precisions.sum(dim=1) / counts).cpu(),
        torch.where(found, ranks[:, 0], 0).cpu(),
        torch.where(found, matches / last.double(), 0.0).cpu(),
    )


def _ranks(distances: Tensor, columns: Tensor) -> Tensor:
    """Ranks from 1 of entries `columns` (B, M) in rows of distances (B, G), equal ones in the order of the gallery."""
    values = distances.gather(1, columns)
    ordered = _sort_rows(distances)
    ranks = torch.searchsorted(ordered, values) + 1
    # Sorting bare values is much faster than a stable sort of places, which only rows with a tie need.
    tied = (torch.searchsorted(ordered, values, right=True) > ranks).any(dim=1).nonzero()[:, 0]
    if len(tied):
        order = distances[tied].sort(dim=1, stable=True).indices
        numbers = torch.arange(1, order.shape[1] + 1, device=order.device).expand_as(order)
        ranks[tied] = torch.empty_like(order).scatter_(1, order, numbers).gather(1, columns[tied])
    return ranks


def _sort_rows(distances: Tensor) -> Tensor:
    if distances.device.type == "cpu":
        # NumPy sorts floats with vector instructions: a tenth of the time of torch.sort on a CPU.
        return torch.from_numpy(np.sort(distances.numpy(), axis=1))
    return distances.sort(dim=1).values
