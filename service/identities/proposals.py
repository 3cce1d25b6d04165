"""Who of those without an identity may be one person, and like whom: a proposal, which changes nothing."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.errors import TooManyTracklets
from service.gallery.columns import NOBODY
from service.gallery.filters import Filters
from service.gallery.galleries import Galleries
from service.gallery.index import Frozen
from service.gallery.masks import passing
from service.identities.clustering import average_linkage
from service.store import identities, matches
from service.store.database import Database

_SUMMED_ROWS = 1024


@dataclass(frozen=True)
class Likeness:
    """A known identity, and the average cosine similarity between its tracklets and a cluster's."""

    identity_id: uuid.UUID
    name: str
    similarity: float


@dataclass(frozen=True)
class Cluster:
    """Tracklets that may be one person, the most typical one first.

    Attributes:
        frame_count: of that one.
        similarity: average over its pairs; None for a single tracklet.
        like: the known identity that it is most like, if it is enough like any.
    """

    tracklet_ids: list[uuid.UUID]
    frame_count: int
    similarity: float | None
    like: Likeness | None


@dataclass(frozen=True)
class Proposed:
    """Clusters, the largest first, and what they were made of.

    Attributes:
        tracklets: tracklets without an identity that were considered.
        clusters: at most as many as were asked for, of `found`.
    """

    clusters: list[Cluster]
    found: int
    tracklets: int
    model_id: str
    generation: int


class Proposals:
    """Makes proposals from serving indexes, one at a time.

    Args:
        most: tracklets without an identity at most.
    """

    def __init__(self, database: Database, galleries: Galleries, most: int) -> None:
        self._database = database
        self._galleries = galleries
        self._most = most
        self._alone = asyncio.Lock()

    async def propose(self, gallery: str, threshold: float, limit: int, filters: Filters) -> Proposed:
        """Cluster the gallery's tracklets without an identity that pass the filters.

        Args:
            threshold: least average cosine similarity, within a cluster and to a known identity.
            limit: clusters in the answer at most.

        Raises:
            NotFound, IndexNotReady: as `Galleries.current`.
            TooManyTracklets: there are more than are clustered.
        """
        await self._galleries.current(gallery)
        # What follows is of the index: no row is asked for that would not be found.
        await self._galleries.confirm(gallery)
        async with self._alone:
            async with self._galleries.switching(gallery) as served:
                frozen, loaded, gallery_id = served.index.freeze(), served.loaded, served.id
            asked = replace(filters, identity_known=False, rules=self._galleries.rules(gallery))
            unknown = passing(frozen.columns, asked, len(frozen.ids))
            count = int(np.count_nonzero(unknown))
            if count > self._most:
                raise TooManyTracklets(
                    f"{count} tracklets of gallery {gallery} that pass have no identity; at most {self._most} are "
                    "clustered (TFCLIP_MAX_PROPOSAL_TRACKLETS). Narrow them by camera_id, started_after, ended_before."
                )
            async with self._database.reading() as connection:
                rejected = await matches.rejected(connection, gallery_id)
                ids = await identities.ids_of(connection, gallery_id, frozen.columns.identities.values)
            clusters = await asyncio.to_thread(_cluster, frozen, unknown, rejected, ids, threshold)
        return Proposed(clusters[:limit], len(clusters), count, loaded.model_id, loaded.generation)


def _cluster(
    frozen: Frozen,
    unknown: NDArray[np.bool_],
    rejected: Sequence[tuple[uuid.UUID, uuid.UUID]],
    ids: dict[str, uuid.UUID],
    threshold: float,
) -> list[Cluster]:
    if not unknown.any():
        return []
    # By id, so that equal rows come in the same order whatever their order of arrival.
    rows = np.flatnonzero(unknown)
    rows = rows[np.lexsort((frozen.ids[rows, 1], frozen.ids[rows, 0]))]
    vectors = frozen.rows.gather(frozen.numbers[rows])
    apart = _rows_apart(frozen, rejected)
    place = {int(row): n for n, row in enumerate(rows)}
    within = [(place[one], place[other]) for one, other in apart if one in place and other in place]
    groups = average_linkage(vectors, within, threshold)
    sums = np.stack([vectors[group].sum(axis=0, dtype=np.float64) for group in groups])
    likenesses = _likenesses(frozen, groups, sums, place, apart, ids, threshold)
    clusters = []
    for group, total, like in zip(groups, sums, likenesses, strict=True):
        if len(group) == 1 and like is None:
            continue
        typical = group[np.argsort(-(vectors[group] @ total), kind="stable")]
        pairs = len(group) * (len(group) - 1)
        similarity = float(total @ total - np.sum(vectors[group].astype(np.float64) ** 2)) / pairs if pairs else None
        members = [uuid.UUID(bytes=frozen.ids[rows[n]].tobytes()) for n in typical]
        clusters.append(Cluster(members, int(frozen.columns.frames[rows[typical[0]]]), similarity, like))
    return sorted(clusters, key=lambda cluster: (-len(cluster.tracklet_ids), -(cluster.similarity or 0.0)))


def _rows_apart(frozen: Frozen, rejected: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> list[tuple[int, int]]:
    """Rows of the pairs that are not the same person."""
    if not rejected:
        return []
    content = frozen.ids.tobytes()
    row_of = {content[16 * row : 16 * row + 16]: row for row in range(len(frozen.ids))}
    found = ((row_of.get(one.bytes), row_of.get(other.bytes)) for one, other in rejected)
    return [(one, other) for one, other in found if one is not None and other is not None]


def _likenesses(
    frozen: Frozen,
    groups: list[NDArray[np.int64]],
    sums: NDArray[np.float64],
    place: dict[int, int],
    apart: list[tuple[int, int]],
    ids: dict[str, uuid.UUID],
    threshold: float,
) -> list[Likeness | None]:
    """The known identity that each group is most like. The average over all pairs is a product of two sums."""
    names = frozen.columns.identities.values
    if not names:
        return [None] * len(groups)
    codes = frozen.columns.identity
    known = np.flatnonzero(codes != NOBODY)
    totals = np.zeros((len(names), frozen.dimension))
    for start in range(0, len(known), _SUMMED_ROWS):
        some = known[start : start + _SUMMED_ROWS]
        np.add.at(totals, codes[some], frozen.rows.gather(frozen.numbers[some]))
    counts = np.bincount(codes[known], minlength=len(names))
    alike = sums @ totals.T / (np.array([len(group) for group in groups])[:, None] * counts)
    group_of = {int(n): number for number, group in enumerate(groups) for n in group}
    for pair in apart:
        for one, other in (pair, pair[::-1]):
            if one in place and codes[other] != NOBODY:
                alike[group_of[place[one]], codes[other]] = -np.inf
    likenesses: list[Likeness | None] = []
    for row in alike:
        best = int(row.argmax())
        # Removed a moment ago, where it has no id.
        found = row[best] >= threshold and names[best] in ids
        likenesses.append(Likeness(ids[names[best]], names[best], float(row[best])) if found else None)
    return likenesses
