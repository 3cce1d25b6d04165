"""Prometheus metrics of one service process, in a registry of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What `/metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "tfclip_request_seconds",
            "Time to answer, by route and status",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.stages = Histogram(
            "tfclip_stage_seconds",
            "Time in each stage of an upload or a search",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.batch_clips = Histogram(
            "tfclip_embedding_batch_clips",
            "Clips computed together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self.registry,
        )
        self.batch_questions = Histogram(
            "tfclip_search_batch_questions",
            "Questions answered in one pass over an index",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.rejected = Counter(
            "tfclip_rejected_requests_total",
            "Requests that were refused, by problem code",
            ["code"],
            registry=self.registry,
        )
        self._queue = Gauge("tfclip_embedding_queue_clips", "Clips waiting or being computed", registry=self.registry)
        self._rows = Gauge("tfclip_index_tracklets", "Tracklets in the index", ["gallery"], registry=self.registry)
        self._lag = Gauge(
            "tfclip_index_lag_seconds",
            "Time since the index was last known to be current",
            ["gallery"],
            registry=self.registry,
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the time spent in the block as stage `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(name).observe(time.perf_counter() - began)

    def watch_queue(self, load: Callable[[], int]) -> None:
        """Read the queue's length from `load` whenever metrics are read."""
        self._queue.set_function(load)

    def forget_galleries(self) -> None:
        """Begin anew: galleries that were deleted are shown no more."""
        self._rows.clear()
        self._lag.clear()

    def show_gallery(self, gallery: str, tracklets: int, lag_seconds: float) -> None:
        """Note the state of a gallery's index."""
        self._rows.labels(gallery).set(tracklets)
        self._lag.labels(gallery).set(lag_seconds)

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
