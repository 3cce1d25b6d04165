"""Exact search over the descriptors of one gallery.

Blocks propose rows, in float32, or drafts in bfloat16, however fast they can; one routine rescores the proposals in
float64, row by row, so that a score depends on nothing but the two vectors. Where rounding can have hidden a row that
belongs in the answer, every row is proposed that the error leaves in question. So an answer is the same bit for bit
alone or in a batch, whatever the mask's path, the type of rows, drafts or none, the order of arrival, or the number of
threads.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.gallery.columns import Columns, grown
from service.gallery.filters import Filters, Sighting
from service.gallery.masks import passing
from service.gallery.proposing import Mask, at_least, propose
from service.gallery.questions import NO_FILTERS, Hit, Question
from service.gallery.rows import Rows, RowType
from service.gallery.scanning import Scan, scan
from service.gallery.scoring import contenders, scores_of, unit_rows
from service.store.changes import IndexRow


@dataclass(frozen=True, eq=False)
class Frozen:
    """The live rows of an index at one moment; the index may go on meanwhile.

    Attributes:
        applied: number of the last change that is in it.
        ids: (N, 2) big-endian uint64.
        columns: N rows.
        dimension: numbers D of a vector.
        rebuild: as the index's.
    """

    applied: int
    dimension: int
    ids: NDArray[np.uint64]
    columns: Columns
    numbers: NDArray[np.int64]
    rows: Rows
    rebuild: int = 0

    def vectors(self) -> Iterator[NDArray[np.float32]]:
        """The unit vectors, (n, D) float32 at a time, in the order of `ids`."""
        size = self.rows.block_rows
        for start in range(0, len(self.numbers), size):
            yield self.rows.gather(self.numbers[start : start + size])


class GalleryIndex:
    """Descriptors of one gallery under one model, with their columns.

    One writer at a time (`add`, `update`, `remove`); searches may run meanwhile in any thread and see the rows that
    were there when they began.

    Args:
        row_type, device, scratch, drafts: how rows are kept, see `Rows`. Answers are the same.

    Attributes:
        dimension: length D of a descriptor.
        applied: number of the last change that the index contains.
        rebuild: how often all processes had been asked to build the gallery's index anew when its rows were read from
            the database.
    """

    def __init__(
        self,
        dimension: int,
        applied: int = 0,
        *,
        rebuild: int = 0,
        row_type: RowType = "float32",
        device: str = "cpu",
        scratch: Path | None = None,
        drafts: bool = False,
    ) -> None:
        self.dimension = dimension
        self.applied = applied
        self.rebuild = rebuild
        self._rows = Rows(dimension, row_type, device, scratch, drafts)
        self._columns = Columns()
        self._ids = np.empty((0, 2), ">u8")
        self._alive = np.empty(0, np.bool_)
        self._numbers: dict[uuid.UUID, int] = {}
        self._count = 0

    @classmethod
    def of(cls, frozen: Frozen, **options: Any) -> "GalleryIndex":
        """An index of these rows alone, copied block by block: what was deleted takes no room in it.

        Args:
            options: how rows are kept, as keywords of `GalleryIndex`.

        Raises:
            OSError: float16 rows, and the disk is full.
        """
        index = cls(frozen.dimension, frozen.applied, rebuild=frozen.rebuild, **options)
        index.append(frozen.vectors(), frozen.ids, frozen.columns)
        return index

    def __len__(self) -> int:
        """Tracklets that can be found."""
        return len(self._numbers)

    @property
    def dead(self) -> int:
        """Deleted rows, which still take room."""
        return self._count - len(self._numbers)

    def __contains__(self, tracklet_id: uuid.UUID) -> bool:
        return tracklet_id in self._numbers

    def vector(self, tracklet_id: uuid.UUID) -> NDArray[np.float32] | None:
        """The tracklet's unit vector, (D,) float32, if it is here."""
        number = self._numbers.get(tracklet_id)
        return None if number is None else self._rows.gather(np.array([number]))[0]

    def vectors(self, tracklet_ids: Sequence[uuid.UUID]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which of the tracklets are here, (N,) bool, and the unit vectors of those, in their order: (n, D) float32."""
        numbers = np.array([self._numbers.get(one, -1) for one in tracklet_ids], np.int64)
        return numbers >= 0, self._rows.gather(numbers[numbers >= 0])

    def ids(self) -> NDArray[np.uint64]:
        """Ids of all tracklets that can be found: (N, 2) big-endian uint64, in order of arrival."""
        count = self._count
        return self._ids[:count][self._alive[:count]]

    def camera(self, tracklet_id: uuid.UUID) -> str | None:
        """The camera that saw the tracklet, if it is here."""
        seen = self.sighting(tracklet_id)
        return None if seen is None else seen.camera

    def sighting(self, tracklet_id: uuid.UUID) -> Sighting | None:
        """Where and when the tracklet was seen, if it is here."""
        number = self._numbers.get(tracklet_id)
        if number is None:
            return None
        camera, started, ended, *_ = self._columns.describe(number)
        return Sighting.at(camera, started, ended)

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Append rows.

        Raises:
            ValueError: an id is there already, a descriptor has another length, is zero or not finite. Nothing is
                added then.
            OSError: float16 rows, and the disk is full; adding to the index is refused from now on where that left it
                half way.
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
        """Append N rows that are unit vectors already: (n, D) float32 at a time, (N, 2) big-endian uint64, columns.

        Raises:
            ValueError, OSError: as `add` does.
        """
        start, size = self._count, len(ids)
        if self._rows.count != start:
            raise ValueError("an addition failed half way before: the index must be built anew")
        for part in vectors:
            self._rows.append(part)
        self._ids = grown(self._ids, start + size)
        self._ids[start : start + size] = ids
        self._alive = grown(self._alive, start + size)
        self._alive[start : start + size] = True
        self._columns.append(columns)
        content = ids.tobytes()
        for offset in range(size):
            self._numbers[uuid.UUID(bytes=content[16 * offset : 16 * offset + 16])] = start + offset
        # Last of all: rows exist for readers only from here on, and then a question knows which is its own.
        self._count = start + size

    def remove(self, tracklet_id: uuid.UUID) -> bool:
        """Take a tracklet out; no search that begins after this finds it. False when it was not there."""
        number = self._numbers.get(tracklet_id)
        if number is None:
            return False
        # In this order: a question that does not find its own number any more must not find the row either.
        self._alive[number] = False
        del self._numbers[tracklet_id]
        return True

    def update(self, rows: Sequence[IndexRow]) -> int:
        """Replace what is kept of tracklets beside their vectors; of a tracklet that comes twice, the last one counts.

        A search that runs meanwhile sees all of them as they were or all as they are now.

        Returns:
            How many of them are here.
        """
        values = {self._numbers[row.tracklet_id]: row for row in rows if row.tracklet_id in self._numbers}
        if values:
            self._columns = self._columns.replaced(values)
        return len(values)

    def freeze(self) -> Frozen:
        """The live rows as they are now. Must not run beside a writer; costs no copy of vectors."""
        keep = self._alive[: self._count].copy()
        numbers = np.flatnonzero(keep)
        ids, columns = self._ids[numbers], self._columns.take(keep)
        return Frozen(self.applied, self.dimension, ids, columns, numbers, self._rows, self.rebuild)

    def search(
        self, query: NDArray[np.float32], k: int, filters: Filters | None = None, exclude: uuid.UUID | None = None
    ) -> list[Hit]:
        """The k best rows that pass, by (-score, tracklet id); see `search_many`."""
        return self.search_many([Question(query, k, filters or NO_FILTERS, exclude)])[0]

    def search_many(self, questions: Sequence[Question]) -> list[list[Hit]]:
        """Answer questions in as few passes over the rows as can be, each as if it were alone.

        Returns:
            For each question, the k best rows that pass, by (-score, tracklet id).

        Raises:
            ValueError: a query has another length, is zero or not finite, or k < 1.
        """
        for one in questions:
            shape = one.query.shape
            if len(shape) not in (1, 2) or shape[-1] != self.dimension or 0 in shape or one.k < 1:
                raise ValueError(f"query of shape {shape} and k={one.k}, expected (..., {self.dimension}) and k >= 1")
        plain = iter(self._propose_and_rank([one for one in questions if one.plain]))
        return [next(plain) if one.plain else self._scan(one) for one in questions]

    def _propose_and_rank(self, questions: Sequence[Question]) -> list[list[Hit]]:
        """The answers to plain questions."""
        if not questions:
            return []
        units = unit_rows(np.stack([one.query for one in questions]))
        count = self._count
        # Before what is alive: one that is deleted in between must not be in its own answer.
        own = [self._numbers.get(one.exclude, -1) if one.exclude else -1 for one in questions]
        alive = self._alive[:count].copy()
        # One for all that is asked: an update puts others in their place.
        columns = self._columns
        masks: dict[Filters, Mask] = {}
        for one in questions:
            if one.filters not in masks:
                allowed = alive if one.filters == NO_FILTERS else alive & passing(columns, one.filters, count)
                masks[one.filters] = Mask(allowed)
        asked = [masks[one.filters] for one in questions]
        proposals = propose(self._rows, units, asked, [one.k for one in questions])
        answers, unsettled, floors = [], [], []
        for n, (one, proposal) in enumerate(zip(questions, proposals, strict=True)):
            answers.append(self._ranked(units[n], one.k, proposal.rows[proposal.rows != own[n]]))
            # With a row left out, at least k were proposed.
            if proposal.ceiling is not None and answers[n][-1].score <= proposal.ceiling + self._rows.error:
                unsettled.append(n)
                floors.append(answers[n][-1].score - self._rows.error)
        if unsettled:
            found = at_least(self._rows, units[unsettled], floors, [asked[n] for n in unsettled])
            found = [rows[rows != own[n]] for n, rows in zip(unsettled, found, strict=True)]
            found = contenders(self._rows, found, units[unsettled], [questions[n].k for n in unsettled])
            for n, rows in zip(unsettled, found, strict=True):
                answers[n] = self._ranked(units[n], questions[n].k, rows)
        return answers

    def _scan(self, one: Question) -> list[Hit]:
        """The answer to any other question."""
        queries, count = unit_rows(np.atleast_2d(one.query)), self._count
        columns = self._columns
        barred = [self._numbers.get(key, -1) for key in one.without | ({one.exclude} if one.exclude else set())]
        allowed = self._alive[:count].copy()
        if one.filters != NO_FILTERS:
            allowed &= passing(columns, one.filters, count)
        allowed[[number for number in barred if 0 <= number < count]] = False
        groups = columns.identity[:count] if one.best_of_identity else None
        after = (one.after.score, one.after.tracklet_id) if one.after else None
        numbers, scores = scan(self._rows, Scan(queries, self._ids[:count], allowed, groups, after), one.k)
        return self._hits(self._ids[numbers], scores)

    def _ranked(self, query: NDArray[np.float32], k: int, rows: NDArray[np.int64]) -> list[Hit]:
        scores = scores_of(self._rows, rows, query)
        ids = self._ids[rows]
        order = np.lexsort((ids[:, 1], ids[:, 0], -scores))[:k]
        return self._hits(ids[order], scores[order])

    @staticmethod
    def _hits(ids: NDArray[np.uint64], scores: NDArray[np.float64]) -> list[Hit]:
        return [Hit(uuid.UUID(bytes=one.tobytes()), float(score)) for one, score in zip(ids, scores, strict=True)]
