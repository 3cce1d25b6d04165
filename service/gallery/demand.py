"""Whether searches are being asked at the moment, for those who should then make room."""

import time
from collections.abc import Callable

RECENT_SECONDS = 1.0


class Demand:
    """Remembers when the last search was."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = float("-inf")

    def note(self) -> None:
        """There is a search now."""
        self._last = self._clock()

    @property
    def recent(self) -> bool:
        """Whether there was a search within `RECENT_SECONDS`."""
        return self._clock() - self._last < RECENT_SECONDS
