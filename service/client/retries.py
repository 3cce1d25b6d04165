"""When a request that failed for a passing reason is sent again, and after how long."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

BUSY = (429, 503)
"""Statuses that pass: too many requests, unavailable."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent, and the waits between.

    Without a word from the service the wait doubles from `first_delay_seconds` up to `longest_delay_seconds`, and a
    random half of it is taken off, so that clients that failed together do not come back together. `Retry-After` is
    honoured up to `longest_delay_seconds`; when the service asks for more, the failure is reported at once.
    """

    attempts: int = 8
    first_delay_seconds: float = 0.25
    longest_delay_seconds: float = 30.0

    def delay(self, attempt: int, retry_after: float | None = None) -> float | None:
        """Return the seconds to wait after failed attempt number `attempt` (from 1), or None to give up.

        Args:
            attempt: how many times the request has been sent.
            retry_after: the seconds for which the service asked, if it did.
        """
        if attempt >= self.attempts:
            return None
        jitter = random.random()  # noqa: S311 - it spreads load, it guards nothing
        if retry_after is not None:
            return retry_after * (1 + jitter / 4) if retry_after <= self.longest_delay_seconds else None
        doubled = self.first_delay_seconds * 2.0 ** (attempt - 1)
        return min(self.longest_delay_seconds, doubled) * (1 + jitter) / 2


PATIENT = RetryPolicy()


def retry_after_seconds(header: str | None) -> float | None:
    """Read a `Retry-After` header, seconds or a date (RFC 9110, 10.2.3); None where it is neither."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        when = parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())
