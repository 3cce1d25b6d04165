"""Groups of tracklets that may be one person: exact average linkage, with pairs that must stay apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def average_linkage(
    vectors: NDArray[np.float32], apart: Sequence[tuple[int, int]], threshold: float
) -> list[NDArray[np.int64]]:
    """Join the two most alike clusters again and again, while they are at least `threshold` alike.

    Two clusters are as alike as the pairs between them on average (UPGMA over cosine similarity), and not at all when
    one of those pairs must stay apart. Joining never makes anything more alike (s(k, i u j) <= max(s(k, i), s(k, j))),
    so each cluster's nearest is found anew only where it was one of the two, and a row with no other row within the
    threshold is left out from the beginning. Takes up to 16 N^2 bytes, N^2 D operations, and about N steps of N each.

    Args:
        vectors: (N, D) unit vectors.
        apart: pairs of row numbers.
        threshold: least average cosine similarity.

    Returns:
        Row numbers of each cluster, ascending, by their first row; every row is in one of them. Of equally alike pairs
        the one with the lowest rows comes first.
    """
    wide = vectors.astype(np.float64)
    alike = wide @ wide.T
    np.fill_diagonal(alike, -np.inf)
    for one, other in apart:
        alike[one, other] = alike[other, one] = -np.inf
    close = np.flatnonzero((alike >= threshold).any(axis=1))
    members = [[row] for row in range(len(vectors))]
    for row, mine in zip(close, _joined(alike[np.ix_(close, close)], threshold), strict=True):
        members[row] = [int(close[n]) for n in mine]
    return [np.array(sorted(rows), np.int64) for rows in members if rows]


def _joined(alike: NDArray[np.float64], threshold: float) -> list[list[int]]:
    """The rows that end up with each row; none with one that went to a lower one. `alike` is used up."""
    members = [[row] for row in range(len(alike))]
    if not members:
        return members
    nearest = alike.argmax(axis=1)
    best = alike.max(axis=1)
    while True:
        one = int(best.argmax())
        if not best[one] >= threshold:
            return members
        # The pair is found from both of its sides, and first from the lower one.
        other = int(nearest[one])
        sizes = len(members[one]), len(members[other])
        joined = (sizes[0] * alike[one] + sizes[1] * alike[other]) / sum(sizes)
        joined[one] = -np.inf
        alike[one] = alike[:, one] = joined
        alike[other] = alike[:, other] = -np.inf
        members[one] += members[other]
        members[other] = []
        stale = ((nearest == one) | (nearest == other)) & (best > -np.inf)
        stale[[one, other]] = True
        # Equally near as the nearest, and lower; or nearer, by no more than rounding.
        nearer = (joined > best) | ((joined == best) & (one < nearest))
        best[nearer], nearest[nearer] = joined[nearer], one
        nearest[stale] = alike[stale].argmax(axis=1)
        best[stale] = alike[stale].max(axis=1)
