"""How far descriptors are from one another: cosine distance, query expansion, distances by shared neighbours."""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

_ROWS = 256  # rows of an all-against-all matrix that exist at one time


class DistanceRows(Protocol):
    """Distances from queries to the gallery, a slice of queries at a time; a matrix (Q, G) is one as it stands."""

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Return (B, G) float32 for the B queries of the slice."""
        ...


class CosineDistances:
    """Cosine distances, 1 - cos, computed when they are asked for: the matrix never exists as a whole.

    Args:
        query: (Q, D) float, need not be normalised.
        gallery: (G, D) float, on the same device.

    Raises:
        ValueError: the shapes do not fit, or a number is not finite.
    """

    def __init__(self, query: Tensor, gallery: Tensor) -> None:
        _check_descriptors(query, gallery)
        self._query = unit_length(query)
        self._gallery = unit_length(gallery)

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Return (B, G) float32 in 0..2, up to rounding, for the B queries of the slice."""
        return (self._query[rows] @ self._gallery.T).neg_().add_(1)


def row_slices(count: int) -> Iterator[slice]:
    """Cut `count` rows into pieces that are worked on one at a time."""
    return (slice(start, min(start + _ROWS, count)) for start in range(0, count, _ROWS))


def unit_length(descriptors: Tensor) -> Tensor:
    """Return (N, D) float32 with rows of length 1; a row of zeros stays."""
    return F.normalize(descriptors.float(), dim=1)


def expanded_queries(query: Tensor, gallery: Tensor, count: int, *, copies: Tensor | None = None) -> Tensor:
    """Average query expansion (Chum et al., Total Recall, ICCV 2007): each query's mean with its nearest tracklets.

    Args:
        query: (Q, D) float, need not be normalised.
        gallery: (G, D) float, on the same device.
        count: nearest by cosine that are averaged with the query, all with length 1; all of them where there are fewer.
        copies: (Q,) int64, the gallery row that is the query itself and is not counted again, -1 where there is none.

    Returns:
        (Q, D) float32, not normalised.

    Raises:
        ValueError: the shapes do not fit, a number is not finite, or count < 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}, expected >= 1")
    distances = CosineDistances(query, gallery)
    query, gallery = unit_length(query), unit_length(gallery)
    expanded = []
    for rows in row_slices(len(query)):
        near = distances[rows]
        if copies is not None:
            row, copy = torch.arange(len(near), device=near.device), copies[rows].to(near.device)
            near[row[copy >= 0], copy[copy >= 0]] = torch.inf
        found = near.topk(min(count, near.shape[1]), dim=1, largest=False)
        taken = found.values.isfinite().float()
        total = query[rows] + (gallery[found.indices] * taken.unsqueeze(2)).sum(1)
        expanded.append(total / (1 + taken.sum(1, keepdim=True)))
    return torch.cat(expanded)


def k_reciprocal_distances(
    query: Tensor, gallery: Tensor, k1: int = 20, k2: int = 6, lam: float = 0.3, *, copies: Tensor | None = None
) -> Tensor:
    """Re-rank by k-reciprocal neighbours (Zhong et al., CVPR 2017, arXiv 1701.08398, equations 3 to 12).

    Two tracklets are close when the same others are near to both: a Jaccard distance between their sets of mutual
    neighbours, weighted by exp(-d), mixed with the distance d itself. Neighbours are looked for among queries and
    gallery together, and each tracklet counts as its own nearest. d is the squared distance of descriptors of length
    1. As in the paper, weights are not divided by their sum nor distances by their largest, as released code does.

    Args:
        query: (Q, D) float, need not be normalised.
        gallery: (G, D) float, on the same device.
        k1: neighbours that may be mutual.
        k2: nearest, itself included, whose weights are averaged (local query expansion).
        lam: share of d in the result, 0..1; the rest is the Jaccard distance.
        copies: (Q,) int64, the gallery row that is the query itself, -1 where there is none. Without it a query that
            is in the gallery too would count as two tracklets, each the other's nearest.

    Returns:
        (Q, G) float32.

    Raises:
        ValueError: the shapes do not fit, a number is not finite or out of range.
    """
    _check_descriptors(query, gallery)
    if k1 < 1 or k2 < 1 or not 0 <= lam <= 1:
        raise ValueError(f"k1, k2 and lam are {k1}, {k2} and {lam}, expected >= 1, >= 1 and 0..1")
    if copies is None:
        copies = torch.full((len(query),), -1, dtype=torch.int64)
    if copies.shape != (len(query),) or bool(((copies < -1) | (copies >= len(gallery))).any()):
        raise ValueError(f"copies is {tuple(copies.shape)}, expected ({len(query)},) rows of the gallery or -1")
    copies = copies.to(query.device)
    alone = copies < 0
    everyone = unit_length(torch.cat([gallery, query[alone]]))
    own_rows = torch.where(alone, len(gallery) + alone.cumsum(0) - 1, copies)

    neighbours = _nearest(everyone, min(max(k1 + 1, k2), len(everyone)))
    weights = _reciprocal_weights(everyone, neighbours[:, : k1 + 1], k1 // 2 + 1)
    weights = _mean_of_rows(weights, neighbours[:, :k2])
    squared = CosineDistances(query, gallery)
    distances = torch.empty(len(query), len(gallery), device=query.device)
    for rows in row_slices(len(query)):
        distances[rows] = squared[rows].clamp_(min=0).mul_(2 * lam)
    _add_jaccard(distances, weights, own_rows, 1 - lam)
    return distances


def _nearest(everyone: Tensor, count: int) -> Tensor:
    """(N, count) int64: the nearest rows of each row, nearest first, itself before all."""
    found = []
    for rows in row_slices(len(everyone)):
        similarity = everyone[rows] @ everyone.T
        similarity[torch.arange(len(similarity)), torch.arange(len(everyone))[rows]] = torch.inf
        found.append(similarity.topk(count, dim=1).indices)
    return torch.cat(found)


def _reciprocal_weights(everyone: Tensor, neighbours: Tensor, half: int) -> Tensor:
    """Sparse (N, N): exp(-d) at the members of R*(p, k1), the expanded k-reciprocal neighbours of each row p."""
    mutual = _mutual(neighbours)
    near, near_mutual = neighbours[:, :half], _mutual(neighbours[:, :half])
    places, values = [], []
    for rows in row_slices(len(everyone)):
        members = _as_rows(neighbours[rows], mutual[rows], len(everyone))
        candidates, offered = near[neighbours[rows]], near_mutual[neighbours[rows]]  # (B, k1 + 1, half)
        shared = members.gather(1, candidates.flatten(1)).view_as(candidates) & offered
        enough = 3 * shared.sum(2) >= 2 * offered.sum(2)
        taken = offered & (enough & mutual[rows]).unsqueeze(2)
        members |= _as_rows(candidates.flatten(1), taken.flatten(1), len(everyone))
        squared = (2 - 2 * (everyone[rows] @ everyone.T)).clamp_(min=0)
        row, column = members.nonzero(as_tuple=True)
        values.append(torch.exp(-squared[row, column]))
        places.append(torch.stack([row + rows.start, column]))
    return _sparse(torch.cat(places, dim=1), torch.cat(values), len(everyone))


def _mutual(neighbours: Tensor) -> Tensor:
    """(N, k) bool: whether a row's neighbour has the row among its own."""
    parts = []
    for rows in row_slices(len(neighbours)):
        own = torch.arange(len(neighbours), device=neighbours.device)[rows]
        parts.append((neighbours[neighbours[rows]] == own.view(-1, 1, 1)).any(2))
    return torch.cat(parts)


def _as_rows(columns: Tensor, chosen: Tensor, width: int) -> Tensor:
    """(B, width) bool, true at those columns (B, k) that are chosen."""
    filled = torch.zeros(len(columns), width, dtype=torch.bool, device=columns.device)
    row, place = chosen.nonzero(as_tuple=True)
    filled[row, columns[row, place]] = True
    return filled


def _mean_of_rows(weights: Tensor, neighbours: Tensor) -> Tensor:
    """Sparse (N, N): each row becomes the mean of its neighbours' rows."""
    count, nearest = neighbours.shape
    starts = _starts(weights.indices()[0], count)
    wanted = neighbours.flatten()
    places, pair = _ranges(starts[wanted], starts[wanted + 1])
    rows = torch.div(pair, nearest, rounding_mode="floor")
    # Weights that meet at one place are added up.
    return _sparse(torch.stack([rows, weights.indices()[1, places]]), weights.values()[places] / nearest, count)


def _add_jaccard(distances: Tensor, weights: Tensor, own_rows: Tensor, share: float) -> None:
    """Add to (Q, G) `share` times 1 - sum(min) / sum(max) of the weights of query and gallery row."""
    # Most pairs have no neighbour in common. By columns, a query meets only those rows that share one with it.
    by_column = _sparse(weights.indices().flip(0), weights.values(), len(weights))
    owners, values = by_column.indices()[1], by_column.values()
    column_starts = _starts(by_column.indices()[0], len(weights))
    row_starts = _starts(weights.indices()[0], len(weights)).tolist()
    totals = torch.zeros(len(weights), device=values.device).index_add_(0, owners, values)
    for line, own in zip(distances, own_rows.tolist(), strict=True):
        mine = slice(row_starts[own], row_starts[own + 1])
        wanted, weight = weights.indices()[1, mine], weights.values()[mine]
        places, pair = _ranges(column_starts[wanted], column_starts[wanted + 1])
        smaller = torch.minimum(values[places], weight[pair])
        overlap = torch.zeros_like(totals).index_add_(0, owners[places], smaller)[: len(line)]
        line += share * (1 - overlap / (totals[: len(line)] + totals[own] - overlap))


def _sparse(places: Tensor, values: Tensor, count: int) -> Tensor:
    """Sparse (count, count) of values at places (2, V), in the order of rows and columns."""
    return torch.sparse_coo_tensor(places, values, (count, count), check_invariants=False).coalesce()


def _starts(ordered: Tensor, count: int) -> Tensor:
    """(count + 1,) where each number 0..count begins in a sorted list."""
    return torch.searchsorted(ordered.contiguous(), torch.arange(count + 1, device=ordered.device))


def _ranges(starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers of all ranges one after another, and for each the place of its range."""
    lengths = ends - starts
    pair = torch.arange(len(lengths), device=starts.device).repeat_interleave(lengths)
    offsets = starts - (lengths.cumsum(0) - lengths)
    return torch.arange(len(pair), device=starts.device) + offsets[pair], pair


def _check_descriptors(query: Tensor, gallery: Tensor) -> None:
    if (
        query.ndim != 2
        or gallery.ndim != 2
        or query.shape[1] != gallery.shape[1]
        or 0 in (*query.shape, *gallery.shape)
    ):
        raise ValueError(
            f"query is {tuple(query.shape)} and gallery {tuple(gallery.shape)}, expected (Q, D) and (G, D)"
        )
    for name, descriptors in (("query", query), ("gallery", gallery)):
        if not bool(torch.isfinite(descriptors).all()):
            raise ValueError(f"descriptors of the {name} hold numbers that are not finite")
