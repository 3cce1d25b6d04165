"""Re-ranking the first rows of an answer by what they have in common, with the functions that evaluation uses."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from model.retrieval import CosineDistances, expanded_queries, k_reciprocal_distances
from service.gallery.index import GalleryIndex
from service.gallery.questions import Hit
from service.gallery.scoring import unit_rows

DEFAULT_TOP = 200


@dataclass(frozen=True)
class RerankOptions:
    """How to order the first `top` rows anew.

    Attributes:
        method: `k_reciprocal`, or None: by the distance to the query alone, which `expand` makes another one.
        expand: the query becomes its mean with so many of its nearest; 0: it stays.
        top: rows that take part; None: `DEFAULT_TOP`, or as many as the service allows.
        k1, k2, lam: see `k_reciprocal_distances`.
    """

    method: Literal["k_reciprocal"] | None = None
    expand: int = 0
    top: int | None = None
    k1: int = 20
    k2: int = 6
    lam: float = 0.3


@dataclass(frozen=True)
class Reranked:
    """What was done: the options, the rows that took part, and the time it took."""

    options: RerankOptions
    top: int
    seconds: float


@dataclass(frozen=True)
class RerankedHit(Hit):
    """One row; `distance` is what it is ordered by, `score` remains its similarity to the query."""

    distance: float


def rerank(
    index: GalleryIndex, queries: NDArray[np.float32], hits: Sequence[Hit], options: RerankOptions
) -> tuple[list[RerankedHit], Reranked]:
    """Order hits by (distance, tracklet id).

    Args:
        index: has their vectors; a hit that was taken out meanwhile is left out.
        queries: (D,), or (M, D): a row's distance is the least of those to each.
        hits: best first.
    """
    began = time.perf_counter()
    here, vectors = index.vectors([hit.tracklet_id for hit in hits])
    hits = [hit for hit, is_here in zip(hits, here, strict=True) if is_here]
    found: list[RerankedHit] = []
    if hits:
        distances = _distances(unit_rows(np.atleast_2d(queries)), vectors, options)
        found = [RerankedHit(hit.tracklet_id, hit.score, d) for hit, d in zip(hits, distances.tolist(), strict=True)]
        found.sort(key=_order)
    return found, Reranked(options, len(hits), time.perf_counter() - began)


def _order(hit: RerankedHit) -> tuple[float, uuid.UUID]:
    return hit.distance, hit.tracklet_id


def _distances(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], options: RerankOptions
) -> NDArray[np.float32]:
    query, rows = torch.from_numpy(queries), torch.from_numpy(vectors)
    if options.expand:
        query = expanded_queries(query, rows, options.expand)
    if options.method is None:
        distances = CosineDistances(query, rows)[0 : len(query)]
    else:
        distances = k_reciprocal_distances(query, rows, options.k1, options.k2, options.lam)
    least: NDArray[np.float32] = distances.amin(dim=0).numpy()
    return least
