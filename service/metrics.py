"""Prometheus metrics of one service process, in a registry of its own.

Every label has few values: routes are patterns, methods and problem codes those that exist, and of galleries the first
`_MAX_GALLERIES` by name stand for themselves.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_MAX_GALLERIES = 100
_OTHERS = "(others)"
_JOB_SECONDS = (0.1, 1, 10, 60, 300, 1800, 7200, 43_200)
_BYTES = tuple(1024 * 4**step for step in range(3, 9))
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True)
class GalleryState:
    """How the index of a gallery stands.

    Attributes:
        lag_seconds: since the index was last known to be current.
        lag_changes: changes that are committed and that the index lacks; None where the database does not say.
    """

    name: str
    tracklets: int
    lag_seconds: float
    lag_changes: int | None


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
        self._recall_asked = Counter(
            "tfclip_index_recall_asked_total",
            "Places of sampled answers, by brute force",
            registry=self.registry,
        )
        self._recall_found = Counter(
            "tfclip_index_recall_found_total",
            "Those of them that the index had found",
            registry=self.registry,
        )
        self.upload_bytes = Histogram(
            "tfclip_upload_bytes",
            "Bytes of the frames of an upload or a search",
            buckets=_BYTES,
            registry=self.registry,
        )
        self.replayed = Counter(
            "tfclip_replayed_requests_total",
            "Requests that were answered by what was answered before, under an idempotency key",
            registry=self.registry,
        )
        self.job_seconds = Histogram(
            "tfclip_job_seconds",
            "Time that jobs of this process ran, by kind and how they ended",
            ["kind", "status"],
            buckets=_JOB_SECONDS,
            registry=self.registry,
        )
        self._queue = self._gauge("tfclip_embedding_queue_clips", "Clips waiting or being computed")
        self._uploads = self._gauge("tfclip_uploads_in_progress", "Requests with frames or weights being worked on")
        self._connections = self._gauge("tfclip_database_connections_in_use", "Connections taken out of the pool")
        self._rows = self._gauge("tfclip_index_tracklets", "Tracklets in the index", "gallery")
        self._lag = self._gauge(
            "tfclip_index_lag_seconds", "Time since the index was last known to be current", "gallery"
        )
        self._lag_changes = self._gauge("tfclip_index_lag_changes", "Committed changes that the index lacks", "gallery")
        self._jobs = self._gauge("tfclip_jobs", "Jobs in the database, of all processes", "kind", "status")
        build = self._gauge("tfclip_build_info", "What runs; always 1", "version", "python")
        build.labels(version("tfclip"), platform.python_version()).set(1)

    def _gauge(self, name: str, said: str, *labels: str) -> Gauge:
        return Gauge(name, said, labels, registry=self.registry)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the time spent in the block as stage `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages.labels(name).observe(time.perf_counter() - began)

    def count_recall(self, asked: int, found: int) -> None:
        """Note how many places a sampled answer should have had, and how many of them it had."""
        self._recall_asked.inc(asked)
        self._recall_found.inc(found)

    def watch_queue(self, load: Callable[[], int]) -> None:
        """Read the queue's length from `load` whenever metrics are read."""
        self._queue.set_function(load)

    def watch_uploads(self, inside: Callable[[], int]) -> None:
        """Read the number of uploads being worked on from `inside` whenever metrics are read."""
        self._uploads.set_function(inside)

    def watch_connections(self, in_use: Callable[[], int]) -> None:
        """Read the number of connections in use from `in_use` whenever metrics are read."""
        self._connections.set_function(in_use)

    def show_galleries(self, states: Sequence[GalleryState]) -> None:
        """Note how all galleries stand; those beyond the first hundred by name as one, with its worst lag."""
        ordered = sorted(states, key=lambda state: state.name)
        named, others = ordered[:_MAX_GALLERIES], ordered[_MAX_GALLERIES:]
        if others:
            behind = [state.lag_changes for state in others if state.lag_changes is not None]
            together = sum(state.tracklets for state in others)
            lag = max(state.lag_seconds for state in others)
            named = [*named, GalleryState(_OTHERS, together, lag, max(behind, default=None))]
        for gauge in (self._rows, self._lag, self._lag_changes):
            # Galleries that are gone leave no last value behind.
            gauge.clear()
        for state in named:
            self._rows.labels(state.name).set(state.tracklets)
            self._lag.labels(state.name).set(state.lag_seconds)
            if state.lag_changes is not None:
                self._lag_changes.labels(state.name).set(state.lag_changes)

    def show_jobs(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Note how many jobs of each kind and status there are."""
        self._jobs.clear()
        for (kind, status), count in counts.items():
            self._jobs.labels(kind, status).set(count)

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
