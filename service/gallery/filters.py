"""The plain columns beside the vectors, and filters over them: a filter is a mask over rows, so answers are exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NO_TIME = np.iinfo(np.int64).min
"""Stands for "no time known"; such a row passes no filter on time."""


@dataclass(frozen=True)
class Filters:
    """Which rows may answer. Every given filter must hold.

    Attributes:
        cameras: seen by one of these; empty means any.
        excluded_cameras: seen by none of these.
        started_after: started at this moment or later.
        ended_before: ended at this moment or earlier.
    """

    cameras: frozenset[str] = frozenset()
    excluded_cameras: frozenset[str] = frozenset()
    started_after: datetime | None = None
    ended_before: datetime | None = None


def microseconds(moment: datetime | None) -> int:
    """Microseconds since 1970, exact; `NO_TIME` for None."""
    return NO_TIME if moment is None else (moment - _EPOCH) // _MICROSECOND


class Columns:
    """Camera, start and end of every row. Rows are only ever appended; one writer, any number of readers.

    A reader passes the row count it knows: what a writer does beyond that count, it does not see.
    """

    def __init__(self, cameras: Sequence[str] = ()) -> None:
        self.cameras: list[str] = list(cameras)
        self._codes = {name: code for code, name in enumerate(self.cameras)}
        self.camera = np.empty(0, np.int32)
        self.started = np.empty(0, np.int64)
        self.ended = np.empty(0, np.int64)

    def code(self, camera: str) -> int:
        """The number that stands for a camera; a new one where it was not known."""
        if camera not in self._codes:
            self.cameras.append(camera)
            self._codes[camera] = len(self.cameras) - 1
        return self._codes[camera]

    def put(self, start: int, camera: NDArray[np.int32], started: NDArray[np.int64], ended: NDArray[np.int64]) -> None:
        """Write rows from `start` on, growing as needed."""
        stop = start + len(camera)
        self.camera = grown(self.camera, stop)
        self.started = grown(self.started, stop)
        self.ended = grown(self.ended, stop)
        self.camera[start:stop] = camera
        self.started[start:stop] = started
        self.ended[start:stop] = ended

    def mask(self, filters: Filters, count: int) -> NDArray[np.bool_]:
        """Which of the first `count` rows pass: (count,) bool."""
        allowed = np.ones(count, np.bool_)
        if filters.cameras:
            allowed &= np.isin(self.camera[:count], self._known(filters.cameras))
        if filters.excluded_cameras:
            allowed &= ~np.isin(self.camera[:count], self._known(filters.excluded_cameras))
        if filters.started_after is not None:
            started = self.started[:count]
            allowed &= (started != NO_TIME) & (started >= microseconds(filters.started_after))
        if filters.ended_before is not None:
            ended = self.ended[:count]
            allowed &= (ended != NO_TIME) & (ended <= microseconds(filters.ended_before))
        return allowed

    def _known(self, names: frozenset[str]) -> list[int]:
        return [self._codes[name] for name in names if name in self._codes]


def grown(array: NDArray[Any], size: int) -> NDArray[Any]:
    """`array` itself when it holds `size` rows, else a copy with room to spare; readers may keep the old one."""
    if len(array) >= size:
        return array
    larger = np.empty((max(size, 2 * len(array), 1024), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
