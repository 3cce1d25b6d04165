"""The plain columns beside the vectors: what filters look at."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.gallery.filters import Pair, label_pairs
from service.gallery.times import microseconds
from service.store.changes import IndexRow

NOBODY = -1
"""Stands for "no identity known"."""

T = TypeVar("T", bound=Hashable)


def grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """`array` itself when it holds `size` rows, else a copy with room to spare; readers may keep the old one."""
    if len(array) >= size:
        return array
    larger = np.empty((max(size, 2 * len(array), 1024), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


class Table(Generic[T]):
    """Values, each with a number that stands for it. Only ever appended to."""

    def __init__(self, values: Iterable[T] = ()) -> None:
        self.values = list(values)
        self._codes = {value: code for code, value in enumerate(self.values)}

    def code(self, value: T) -> int:
        """The number that stands for a value; a new one where it was not known."""
        code = self._codes.get(value)
        if code is None:
            # The value first: whoever finds the number counts on it.
            self.values.append(value)
            code = self._codes[value] = len(self.values) - 1
        return code

    def known(self, values: Iterable[T]) -> list[int]:
        """The numbers of those values that are known."""
        return [self._codes[value] for value in values if value in self._codes]

    def only(self, codes: NDArray[np.int32]) -> "tuple[Table[T], NDArray[np.int32]]":
        """A table of the values that `codes` (none negative) name, and `codes` in its numbers."""
        used, recoded = np.unique(codes, return_inverse=True)
        return Table(self.values[code] for code in used), recoded.astype(np.int32)

    def translate(self, other: "Table[T]") -> NDArray[np.int32]:
        """For each number of `other`, the number here, new where it was not known."""
        return np.array([self.code(value) for value in other.values], np.int32)


class Columns:
    """Camera, times, identity, frame count and labels of every row.

    Rows are only ever appended; one writer, any number of readers. A reader passes the row count it knows: what a
    writer does beyond that count, it does not see.

    Attributes:
        count: rows.
        label_row, label_pair: one entry for each label of each row, by row: the row, and the label's number in `pairs`.
        labelled: entries of the two.
    """

    def __init__(self) -> None:
        self.cameras: Table[str] = Table()
        self.identities: Table[str] = Table()
        self.pairs: Table[Pair] = Table()
        self.count = 0
        self.camera = np.empty(0, np.int32)
        self.started = np.empty(0, np.int64)
        self.ended = np.empty(0, np.int64)
        self.identity = np.empty(0, np.int32)
        self.frames = np.empty(0, np.int32)
        self.labelled = 0
        self.label_row = np.empty(0, np.int32)
        self.label_pair = np.empty(0, np.int32)

    @classmethod
    def of(cls, rows: Sequence[IndexRow]) -> "Columns":
        """The columns of these rows."""
        columns = cls()
        columns.count = len(rows)
        columns.camera = np.array([columns.cameras.code(row.camera) for row in rows], np.int32)
        columns.started = np.array([microseconds(row.started_at) for row in rows], np.int64)
        columns.ended = np.array([microseconds(row.ended_at) for row in rows], np.int64)
        columns.identity = np.array(
            [NOBODY if row.identity is None else columns.identities.code(row.identity) for row in rows], np.int32
        )
        columns.frames = np.array([row.frame_count for row in rows], np.int32)
        labels = [(number, pair) for number, row in enumerate(rows) for pair in label_pairs(row.labels)]
        columns.labelled = len(labels)
        columns.label_row = np.array([number for number, _ in labels], np.int32)
        columns.label_pair = np.array([columns.pairs.code(pair) for _, pair in labels], np.int32)
        return columns

    def append(self, other: "Columns") -> None:
        """Append all rows of `other`."""
        start, stop = self.count, self.count + other.count
        camera = self.cameras.translate(other.cameras)
        # Nobody is the last number of all, so it stays what it is.
        identity = np.append(self.identities.translate(other.identities), np.int32(NOBODY))
        pair = self.pairs.translate(other.pairs)
        self.camera = _put(self.camera, start, camera[other.camera[: other.count]])
        self.started = _put(self.started, start, other.started[: other.count])
        self.ended = _put(self.ended, start, other.ended[: other.count])
        self.identity = _put(self.identity, start, identity[other.identity[: other.count]])
        self.frames = _put(self.frames, start, other.frames[: other.count])
        self.label_row = _put(self.label_row, self.labelled, other.label_row[: other.labelled] + np.int32(start))
        self.label_pair = _put(self.label_pair, self.labelled, pair[other.label_pair[: other.labelled]])
        self.labelled += other.labelled
        self.count = stop

    def take(self, keep: NDArray[np.bool_]) -> "Columns":
        """The rows that `keep` (count,) names, and only those names and labels that they have."""
        taken = Columns()
        rows = np.flatnonzero(keep)
        taken.count = len(rows)
        taken.cameras, taken.camera = self.cameras.only(self.camera[rows])
        taken.started, taken.ended, taken.frames = self.started[rows], self.ended[rows], self.frames[rows]
        identity = self.identity[rows]
        known = identity != NOBODY
        taken.identity = identity
        taken.identities, taken.identity[known] = self.identities.only(identity[known])
        labels = keep[self.label_row[: self.labelled]]
        taken.labelled = int(np.count_nonzero(labels))
        taken.label_row = (np.cumsum(keep, dtype=np.int32) - np.int32(1))[self.label_row[: self.labelled][labels]]
        taken.pairs, taken.label_pair = self.pairs.only(self.label_pair[: self.labelled][labels])
        return taken

    def describe(self, row: int) -> tuple[str, int, int, str | None, int, frozenset[Pair]]:
        """Camera, start, end, identity, frames and labels of one row."""
        identity = self.identity[row]
        first, last = np.searchsorted(self.label_row[: self.labelled], [row, row + 1])
        return (
            self.cameras.values[self.camera[row]],
            int(self.started[row]),
            int(self.ended[row]),
            None if identity == NOBODY else self.identities.values[identity],
            int(self.frames[row]),
            frozenset(self.pairs.values[code] for code in self.label_pair[first:last]),
        )


def _put(array: NDArray[Any], start: int, values: NDArray[Any]) -> NDArray[Any]:
    stop = start + len(values)
    array = grown(array, stop)
    array[start:stop] = values
    return array
