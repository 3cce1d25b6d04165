"""Masks over rows: a filter is a mask, so answers are exact whatever is asked for."""

from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from service.gallery.columns import NOBODY, Columns, Table
from service.gallery.filters import Filters, Pair, Sighting
from service.gallery.times import NO_BOUND, NO_TIME, microseconds, span
from service.store.cameras import Rules


def passing(columns: Columns, filters: Filters, count: int) -> NDArray[np.bool_]:
    """Which of the first `count` rows pass: (count,) bool."""
    allowed = np.ones(count, np.bool_)
    camera, identity = columns.camera[:count], columns.identity[:count]
    if filters.cameras:
        allowed &= _among(camera, columns.cameras, filters.cameras)
    if filters.excluded_cameras:
        allowed &= ~_among(camera, columns.cameras, filters.excluded_cameras)
    if filters.identities:
        allowed &= _among(identity, columns.identities, filters.identities)
    if filters.identity_known is not None:
        allowed &= (identity != NOBODY) == filters.identity_known
    if filters.min_frames is not None:
        allowed &= columns.frames[:count] >= filters.min_frames
    for pair in filters.pairs:
        allowed &= _labelled(columns, pair, count)
    if filters.looks_at_times:
        _restrict_times(allowed, columns, filters)
    return allowed


def _restrict_times(allowed: NDArray[np.bool_], columns: Columns, filters: Filters) -> None:
    """Strike out of `allowed` (N,) what does not fit by its times, all told by one clock."""
    count, rules = len(allowed), filters.rules
    # Copied, as in `_among`.
    camera, started, ended = columns.camera[:count].copy(), columns.started[:count], columns.ended[:count]
    begun, over = started != NO_TIME, ended != NO_TIME
    if rules.offsets:
        offsets = _per_camera(columns.cameras, lambda name: span(rules.offsets.get(name, 0.0)))[camera]
        # Where there is no time, this makes one up that nobody looks at.
        started, ended = started + offsets, ended + offsets
    if filters.started_after is not None:
        allowed &= begun & (started >= microseconds(filters.started_after))
    if filters.ended_before is not None:
        allowed &= over & (ended <= microseconds(filters.ended_before))
    if not filters.sightings:
        return
    allowed &= begun
    ended = np.where(over, ended, started)
    for sighting in filters.sightings:
        offset = span(rules.offsets.get(sighting.camera, 0.0)) if sighting.camera is not None else 0
        after, before = started - (sighting.ended + offset), (sighting.started + offset) - ended
        if filters.min_gap_seconds is not None:
            allowed &= np.maximum(after, before) >= span(filters.min_gap_seconds)
        if filters.feasible_transit:
            allowed &= _feasible(after, before, camera, columns.cameras, sighting, rules)


def _feasible(
    after: NDArray[np.int64],
    before: NDArray[np.int64],
    camera: NDArray[np.int32],
    cameras: Table[str],
    sighting: Sighting,
    rules: Rules,
) -> NDArray[np.bool_]:
    """Whether somebody could have walked from the sighting to each row, or from the row to the sighting.

    Args:
        after: (N,) microseconds from the end of the sighting to the start of the row; negative: it started before.
        before: (N,) from the end of the row to the start of the sighting.
        camera: (N,) numbers in `cameras`.
    """

    def bound(index: int, towards: bool) -> NDArray[np.int64]:
        def one(name: str) -> int:
            pair = (sighting.camera or "", name) if towards else (name, sighting.camera or "")
            seconds = rules.transits.get(pair, (0.0, None))[index]
            return NO_BOUND if seconds is None else span(seconds)

        return _per_camera(cameras, one)[camera]

    def walked(gap: NDArray[np.int64], other: NDArray[np.int64], towards: bool) -> NDArray[np.bool_]:
        # Those that overlap were nowhere between: their gap is nothing, in both directions.
        gap = np.where((gap < 0) & (other < 0), 0, gap)
        return (gap >= bound(0, towards)) & (gap <= bound(1, towards))

    return walked(after, before, True) | walked(before, after, False)


def _per_camera(cameras: Table[str], value: Callable[[str], int]) -> NDArray[np.int64]:
    return np.array([value(name) for name in list(cameras.values)], np.int64)


def _labelled(columns: Columns, pair: Pair, count: int) -> NDArray[np.bool_]:
    found = np.zeros(count, np.bool_)
    labels = columns.labels
    rows, pairs = labels.row[: labels.count], labels.pair[: labels.count]
    for code in columns.pairs.known([pair]):
        those = rows[pairs == code]
        # Rows that were added since are beyond `count`; rows ascend.
        found[those[: np.searchsorted(those, count)]] = True
    return found


def _among(column: NDArray[np.int32], table: Table[str], names: Collection[str]) -> NDArray[np.bool_]:
    # First, and a copy, since a writer may add values and give them to rows meanwhile.
    column = column.copy()
    known = table.known(names)
    # One place more than there are values: that is where NOBODY, being -1, looks.
    wanted = np.zeros(len(table.values) + 1, np.bool_)
    wanted[known] = True
    passing: NDArray[np.bool_] = wanted[column]
    return passing
