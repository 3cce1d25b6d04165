"""Exact search over the descriptors of one gallery.

Blocks propose rows, in float32 and however fast they can; one routine rescores the proposals in float64, row by row, so
that a score depends on nothing but the two vectors. Proposals are widened until rounding cannot have hidden a row that
belongs in the answer. So an answer is the same bit for bit alone or in a batch, whatever the mask's path, the type of
rows, the order of arrival, or the number of threads.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.gallery.columns import Columns, grown
from service.gallery.filters import Filters
from service.gallery.proposing import Mask, Proposal, propose
from service.gallery.rows import Rows, RowType
from service.store.changes import IndexRow

MARGIN = 32
"""Rows proposed beyond the k asked for."""

_RESCORE_ROWS = 4096
_ANY = Filters()


@dataclass(frozen=True)
class Hit:
    """One row of an answer; `score` is the cosine similarity."""

    tracklet_id: uuid.UUID
    score: float


@dataclass(frozen=True, eq=False)
class Question:
    """What to rank.

    Attributes:
        query: (D,) float32, any positive length.
        k: rows wanted.
        filters: which rows may answer.
        exclude: a tracklet that must not answer, such as the query itself.
    """

    query: NDArray[np.float32]
    k: int
    filters: Filters = _ANY
    exclude: uuid.UUID | None = None


@dataclass(frozen=True, eq=False)
class Frozen:
    """The live rows of an index at one moment; the index may go on meanwhile.

    Attributes:
        applied: number of the last change that is in it.
        ids: (N, 2) big-endian uint64.
        columns: N rows.
        dimension: numbers D of a vector.
    """

    applied: int
    dimension: int
    ids: NDArray[np.uint64]
    columns: Columns
    numbers: NDArray[np.int64]
    rows: Rows

    def vectors(self) -> Iterator[NDArray[np.float32]]:
        """The unit vectors, (n, D) float32 at a time, in the order of `ids`."""
        size = self.rows.block_rows
        for start in range(0, len(self.numbers), size):
            yield self.rows.gather(self.numbers[start : start + size])


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its L2 norm: (N, D) float32 -> (N, D) float32, each row independent of the others.

    Raises:
        ValueError: a row is zero or not finite, so it has no direction.
    """
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.add.reduce(wide * wide, axis=1))
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError("a descriptor is zero or not finite")
    unit: NDArray[np.float32] = (wide / norms[:, None]).astype(np.float32)
    return unit


def cosine_scores(rows: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row with the query: (N, D) and (D,) float32 -> (N,) float64.

    A sum's order depends on D alone (NumPy's pairwise summation along a contiguous row; no BLAS), so a score is the
    same bit for bit whichever rows are scored with it.
    """
    sought = query.astype(np.float64)
    squares = np.add.reduce(np.multiply(rows, rows, dtype=np.float64), axis=1)
    products = np.add.reduce(np.multiply(rows, sought, dtype=np.float64), axis=1)
    norms = np.sqrt(squares) * np.sqrt(np.add.reduce(sought * sought))
    scores: NDArray[np.float64] = np.clip(products / norms, -1.0, 1.0)
    return scores


class GalleryIndex:
    """Descriptors of one gallery under one model, with their columns.

    One writer at a time (`add`, `remove`); searches may run meanwhile in any thread and see the rows that were there
    when they began.

    Args:
        row_type, device, scratch: how rows are kept, see `Rows`. Answers are the same.

    Attributes:
        dimension: length D of a descriptor.
        applied: number of the last change that the index contains.
    """

    def __init__(
        self,
        dimension: int,
        applied: int = 0,
        *,
        row_type: RowType = "float32",
        device: str = "cpu",
        scratch: Path | None = None,
    ) -> None:
        self.dimension = dimension
        self.applied = applied
        self._rows = Rows(dimension, row_type, device, scratch)
        self._columns = Columns()
        self._ids = np.empty((0, 2), ">u8")
        self._alive = np.empty(0, np.bool_)
        self._numbers: dict[uuid.UUID, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """Tracklets that can be found."""
        return len(self._numbers)

    def __contains__(self, tracklet_id: uuid.UUID) -> bool:
        return tracklet_id in self._numbers

    def vector(self, tracklet_id: uuid.UUID) -> NDArray[np.float32] | None:
        """The tracklet's unit vector, (D,) float32, if it is here."""
        number = self._numbers.get(tracklet_id)
        return None if number is None else self._rows.gather(np.array([number]))[0]

    def camera(self, tracklet_id: uuid.UUID) -> str | None:
        """The camera that saw the tracklet, if it is here."""
        number = self._numbers.get(tracklet_id)
        return None if number is None else self._columns.cameras.values[self._columns.camera[number]]

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Append rows.

        Raises:
            ValueError: an id is there already, a descriptor has another length, is zero or not finite. Nothing is
                added then.
            OSError: float16 rows, and the disk is full; the index must not be used any more.
        """
        if not rows:
            return
        for row in rows:
            if row.tracklet_id in self._numbers:
                raise ValueError(f"tracklet {row.tracklet_id} is in the index already")
            if len(row.vector) != 4 * self.dimension:
                raise ValueError(
                    f"descriptor of {row.tracklet_id} has {len(row.vector)} bytes, expected {4 * self.dimension}"
                )
        vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), self.dimension)
        ids = np.frombuffer(b"".join(row.tracklet_id.bytes for row in rows), ">u8").reshape(len(rows), 2)
        self.append([unit_rows(vectors)], ids, Columns.of(rows))

    def append(self, vectors: Iterable[NDArray[np.float32]], ids: NDArray[np.uint64], columns: Columns) -> None:
        """Append N rows that are unit vectors already: (n, D) float32 at a time, (N, 2) big-endian uint64, columns."""
        start, size = self._count, len(ids)
        for part in vectors:
            self._rows.append(part)
        self._ids = grown(self._ids, start + size)
        self._ids[start : start + size] = ids
        self._alive = grown(self._alive, start + size)
        self._alive[start : start + size] = True
        self._columns.append(columns)
        content = ids.tobytes()
        # Readers look at the count first: rows exist for them only from here on.
        self._count = start + size
        for offset in range(size):
            self._numbers[uuid.UUID(bytes=content[16 * offset : 16 * offset + 16])] = start + offset

    def remove(self, tracklet_id: uuid.UUID) -> bool:
        """Take a tracklet out; no search that begins after this finds it. False when it was not there."""
        number = self._numbers.pop(tracklet_id, None)
        if number is None:
            return False
        self._alive[number] = False
        return True

    def freeze(self) -> Frozen:
        """The live rows as they are now. Must not run beside a writer; costs no copy of vectors."""
        keep = self._alive[: self._count].copy()
        numbers = np.flatnonzero(keep)
        return Frozen(self.applied, self.dimension, self._ids[numbers], self._columns.take(keep), numbers, self._rows)

    def search(
        self, query: NDArray[np.float32], k: int, filters: Filters | None = None, exclude: uuid.UUID | None = None
    ) -> list[Hit]:
        """The k best rows that pass, by (-score, tracklet id); see `search_many`."""
        return self.search_many([Question(query, k, filters or _ANY, exclude)])[0]

    def search_many(self, questions: Sequence[Question]) -> list[list[Hit]]:
        """Answer questions in as few passes over the rows as can be, each as if it were alone.

        Returns:
            For each question, the k best rows that pass, by (-score, tracklet id).

        Raises:
            ValueError: a query has another length, is zero or not finite, or k < 1.
        """
        for one in questions:
            if one.query.shape != (self.dimension,) or one.k < 1:
                raise ValueError(
                    f"query of shape {one.query.shape} and k={one.k}, expected ({self.dimension},) and k >= 1"
                )
        if not questions:
            return []
        units = unit_rows(np.stack([one.query for one in questions]))
        count = self._count
        alive = self._alive[:count].copy()
        masks: dict[Filters, Mask] = {}
        for one in questions:
            if one.filters not in masks:
                allowed = alive if one.filters == _ANY else alive & self._columns.mask(one.filters, count)
                masks[one.filters] = Mask(allowed)
        own = [self._numbers.get(one.exclude, -1) if one.exclude else -1 for one in questions]
        answers: list[list[Hit] | None] = [None] * len(questions)
        sizes = [one.k + MARGIN for one in questions]
        while left := [n for n, answer in enumerate(answers) if answer is None]:
            asked = [masks[questions[n].filters] for n in left]
            proposals = propose(self._rows, units[left], asked, [sizes[n] for n in left])
            for n, proposal in zip(left, proposals, strict=True):
                answers[n] = self._settle(units[n], questions[n].k, own[n], proposal)
                sizes[n] *= 8
        return [answer for answer in answers if answer is not None]

    def _settle(self, query: NDArray[np.float32], k: int, own: int, proposal: Proposal) -> list[Hit] | None:
        """The answer, if no row that was not proposed can belong in it."""
        rows = proposal.rows[proposal.rows != own]
        scores = np.empty(len(rows))
        for start in range(0, len(rows), _RESCORE_ROWS):
            part = slice(start, start + _RESCORE_ROWS)
            scores[part] = cosine_scores(self._rows.gather(rows[part]), query)
        ids = self._ids[rows]
        order = np.lexsort((ids[:, 1], ids[:, 0], -scores))[:k]
        if proposal.ceiling is not None and (
            len(order) < k or scores[order[-1]] <= proposal.ceiling + self._rows.error
        ):
            return None
        return [Hit(uuid.UUID(bytes=ids[i].tobytes()), float(scores[i])) for i in order]
