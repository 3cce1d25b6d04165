"""Not to try again and again what failed a moment ago."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 60.0


@dataclass
class _Failure:
    state: Hashable
    error: Exception
    wait: float
    until: float


class Backoff:
    """Remembers what failed, and in which state: the same is tried again after 1 s, 2 s, ... 60 s, a change at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[Hashable, _Failure] = {}

    def too_early(self, what: Hashable, state: Hashable) -> Exception | None:
        """How it failed last, while it is too early to try again; None when it should be tried."""
        failure = self._failures.get(what)
        waits = failure is not None and failure.state == state and self._clock() < failure.until
        return failure.error if failure is not None and waits else None

    def failed(self, what: Hashable, state: Hashable, error: Exception) -> float:
        """Note a failure; returns the seconds until the next try."""
        before = self._failures.get(what)
        again = before is not None and before.state == state
        wait = min(2 * before.wait, LONGEST_SECONDS) if before is not None and again else FIRST_SECONDS
        # Without the frames of the failed try, which hold what it had in memory.
        self._failures[what] = _Failure(state, error.with_traceback(None), wait, self._clock() + wait)
        return wait

    def worked(self, what: Hashable) -> None:
        """Forget the failures."""
        self._failures.pop(what, None)
