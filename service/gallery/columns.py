"""The plain columns beside the vectors: what filters look at."""

import copy
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of all rows, by row: one entry for each label of each row.

    Attributes:
        count: entries; the arrays may be longer.
        row, pair: the row of each, and the label's number in the table of pairs.
    """

    count: int
    row: NDArray[np.int32]
    pair: NDArray[np.int32]


class Columns:
    """Camera, times, identity, frame count and labels of every row.

    One writer, any number of readers. A reader passes the row count it knows: rows that a writer appends beyond it, it
    does not see. No row that is there ever changes: other values make other columns, see `replaced`.

    Attributes:
        count: rows.
        labels: replaced as a whole by every addition, so that a reader never sees half of one.
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
        self.labels = Labels(0, np.empty(0, np.int32), np.empty(0, np.int32))

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
        columns.labels = Labels(
            len(labels),
            np.array([number for number, _ in labels], np.int32),
            np.array([columns.pairs.code(pair) for _, pair in labels], np.int32),
        )
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
        mine, added = self.labels, other.labels
        self.labels = Labels(
            mine.count + added.count,
            _put(mine.row, mine.count, added.row[: added.count] + np.int32(start)),
            _put(mine.pair, mine.count, pair[added.pair[: added.count]]),
        )
        self.count = stop

    def replaced(self, values: Mapping[int, IndexRow]) -> "Columns":
        """These columns with other values in some rows, by row number.

        Readers may keep these; the writer must go on with the new ones alone, which share what did not change.
        """
        rows = np.array(sorted(values), np.int64)
        other = Columns.of([values[row] for row in rows.tolist()])
        identity = np.append(self.identities.translate(other.identities), np.int32(NOBODY))
        changed = copy.copy(self)
        changed.camera = _with(self.camera, rows, self.cameras.translate(other.cameras)[other.camera])
        changed.started = _with(self.started, rows, other.started)
        changed.ended = _with(self.ended, rows, other.ended)
        changed.identity = _with(self.identity, rows, identity[other.identity])
        changed.frames = _with(self.frames, rows, other.frames)
        pair = self.pairs.translate(other.pairs)[other.labels.pair]
        changed.labels = _with_labels(self.labels, rows, rows[other.labels.row].astype(np.int32), pair)
        return changed

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
        row, pair = self.labels.row[: self.labels.count], self.labels.pair[: self.labels.count]
        kept = keep[row]
        taken.pairs, pair = self.pairs.only(pair[kept])
        taken.labels = Labels(len(pair), (np.cumsum(keep, dtype=np.int32) - np.int32(1))[row[kept]], pair)
        return taken

    def describe(self, row: int) -> tuple[str, int, int, str | None, int, frozenset[Pair]]:
        """Camera, start, end, identity, frames and labels of one row."""
        identity = self.identity[row]
        first, last = np.searchsorted(self.labels.row[: self.labels.count], [row, row + 1])
        return (
            self.cameras.values[self.camera[row]],
            int(self.started[row]),
            int(self.ended[row]),
            None if identity == NOBODY else self.identities.values[identity],
            int(self.frames[row]),
            frozenset(self.pairs.values[code] for code in self.labels.pair[first:last]),
        )


def _put(array: NDArray[Any], start: int, values: NDArray[Any]) -> NDArray[Any]:
    stop = start + len(values)
    array = grown(array, stop)
    array[start:stop] = values
    return array


def _with(column: NDArray[Any], rows: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    """The column itself where it has these values in these rows, else a copy that has."""
    if np.array_equal(column[rows], values):
        return column
    column = column.copy()
    column[rows] = values
    return column


def _with_labels(labels: Labels, rows: NDArray[np.int64], row: NDArray[np.int32], pair: NDArray[np.int32]) -> Labels:
    """The labels, with those that (row, pair) name, (n,) by row, in the place of all that `rows` had."""
    old_row, old_pair = labels.row[: labels.count], labels.pair[: labels.count]
    bounds = np.searchsorted(old_row, np.stack([rows, rows + 1], axis=1))
    old = np.concatenate([np.arange(first, last) for first, last in bounds])
    had, have = np.lexsort((old_pair[old], old_row[old])), np.lexsort((pair, row))
    if np.array_equal(old_row[old][had], row[have]) and np.array_equal(old_pair[old][had], pair[have]):
        # Most updates are of an identity; copying all labels for each would cost more than all the rest.
        return labels
    kept_row, kept_pair = np.delete(old_row, old), np.delete(old_pair, old)
    places = np.searchsorted(kept_row, row)
    return Labels(len(kept_row) + len(row), np.insert(kept_row, places, row), np.insert(kept_pair, places, pair))
