"""Times as an index keeps them: whole microseconds, so that they are compared exactly."""

from datetime import UTC, datetime, timedelta

import numpy as np

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

NO_TIME = int(np.iinfo(np.int64).min)
"""Stands for "no time known"; such a row passes no filter on time."""

NO_BOUND = int(np.iinfo(np.int64).max)
"""Stands for "however long"."""


def microseconds(moment: datetime | None) -> int:
    """Microseconds since 1970, exact; `NO_TIME` for None."""
    return NO_TIME if moment is None else (moment - _EPOCH) // _MICROSECOND


def span(seconds: float) -> int:
    """A length of time in microseconds, the nearest."""
    return round(seconds * 1_000_000)
