"""How many requests a key may send: a bucket of tokens for each, refilled all the time."""

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from service.store.keys import ApiKey

WINDOW_SECONDS = 60


@dataclass(frozen=True)
class RateLimit:
    """Where a caller stands (draft-ietf-httpapi-ratelimit-headers).

    Attributes:
        quota: requests in a window.
        remaining: requests that may follow at once.
        reset: seconds until the whole quota is there again.
        wait: seconds until this request may be sent; 0 when it may go.
    """

    quota: int
    remaining: int
    reset: int
    wait: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """As header fields of an answer."""
        return [
            (b"ratelimit-policy", f'"key";q={self.quota};w={WINDOW_SECONDS}'.encode()),
            (b"ratelimit", f'"key";r={self.remaining};t={self.reset}'.encode()),
        ]


@dataclass
class _Bucket:
    tokens: float
    at: float


class RateLimits:
    """The buckets of this process, in memory: several processes allow several times as much.

    Args:
        default: requests a minute for keys that say nothing; 0 is no limit.
    """

    def __init__(self, default: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._default = default
        self._clock = clock
        self._buckets: dict[uuid.UUID, _Bucket] = {}

    def quota(self, key: ApiKey) -> int:
        """Requests a minute that the key may send; 0 is no limit."""
        return self._default if key.requests_per_minute is None else key.requests_per_minute

    def take(self, key: ApiKey) -> RateLimit | None:
        """Count a request of the key, if it may go; None when the key has no limit."""
        quota = self.quota(key)
        if quota == 0:
            self._buckets.pop(key.id, None)
            return None
        now = self._clock()
        rate = quota / WINDOW_SECONDS
        bucket = self._buckets.setdefault(key.id, _Bucket(quota, now))
        bucket.tokens = min(quota, bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        wait = 0 if bucket.tokens >= 1 else math.ceil((1 - bucket.tokens) / rate)
        if wait == 0:
            bucket.tokens -= 1
        return RateLimit(quota, int(bucket.tokens), math.ceil((quota - bucket.tokens) / rate), wait)
