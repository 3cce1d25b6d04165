"""What the service says of itself: metrics that answer questions, and log lines that name their request."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from service.metrics import GalleryState, Metrics
from tests.docs.pages import ROOT
from tests.support import RunningService, frame_files, pictures, search, upload, wait_until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(running: RunningService) -> Samples:
    """What `/metrics` says, by name and labels."""
    with running.client(key=None) as client:
        return parse(client.get("/metrics").text)


def parse(text: str) -> Samples:
    """Prometheus' text format, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """One sample; 0 where there is none yet."""
    return samples.get((name, frozenset(labels.items())), 0.0)


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """The events that are logged in the block, in this process, with what is bound to their contexts."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as events:
        yield events


def test_uploads_and_searches_are_measured_by_stage_and_size(running_service: RunningService) -> None:
    before = read(running_service)
    stored = upload(running_service, seed=1, frames=2)
    search(running_service, stored["id"])
    after = read(running_service)
    for stage in ("receive", "decode", "embed", "store", "commit", "index", "rank"):
        grown = [value(samples, "tfclip_stage_seconds_count", stage=stage) for samples in (before, after)]
        assert grown[1] > grown[0], stage
    assert value(after, "tfclip_upload_bytes_count") == value(before, "tfclip_upload_bytes_count") + 1
    sent = sum(len(content) for content in pictures(1, 2))
    assert value(after, "tfclip_upload_bytes_sum") == value(before, "tfclip_upload_bytes_sum") + sent
    route = {"method": "POST", "route": "/tracklets", "status": "201"}
    counted = [value(samples, "tfclip_request_seconds_count", **route) for samples in (before, after)]
    assert counted[1] == counted[0] + 1


def test_the_build_the_queue_and_the_pool_are_shown(running_service: RunningService) -> None:
    samples = read(running_service)
    (build,) = [dict(labels) for name, labels in samples if name == "tfclip_build_info"]
    assert set(build) == {"version", "python"}
    for name in ("tfclip_embedding_queue_clips", "tfclip_uploads_in_progress", "tfclip_database_connections_in_use"):
        assert samples[name, frozenset()] >= 0


def test_an_index_that_lags_shows_by_how_much(fresh_service: RunningService) -> None:
    upload(fresh_service, seed=1)
    served = fresh_service.service.galleries.find("default")
    assert value(read(fresh_service), "tfclip_index_lag_changes", gallery="default") == 0
    with fresh_service.database() as connection:
        # The index would follow by itself within a moment: it is held still.
        assert served is not None
        fresh_service.service.galleries.refresh_soon = lambda served: None  # type: ignore[method-assign]
        connection.execute("UPDATE galleries SET change = change + 3 WHERE name = 'default'")
        samples = read(fresh_service)
        connection.execute("UPDATE galleries SET change = change - 3 WHERE name = 'default'")
    assert value(samples, "tfclip_index_lag_changes", gallery="default") == 3
    assert value(samples, "tfclip_index_tracklets", gallery="default") == 1


def test_jobs_are_counted_by_kind_and_status(running_service: RunningService) -> None:
    labels = {"kind": "reindex", "status": "succeeded"}
    before = read(running_service)
    with running_service.client() as client:
        job = client.post("/admin/reindex").headers["location"]
        wait_until(lambda: client.get(job).json()["finished_at"])
    wait_until(
        lambda: (
            value(read(running_service), "tfclip_job_seconds_count", **labels)
            == value(before, "tfclip_job_seconds_count", **labels) + 1
        )
    )
    after = read(running_service)
    assert value(after, "tfclip_jobs", **labels) == value(before, "tfclip_jobs", **labels) + 1


def test_made_up_methods_and_paths_make_no_labels(running_service: RunningService) -> None:
    with running_service.client() as client:
        for number in range(5):
            client.request(f"BREW{number}", f"/tracklets/{number}/x")
            client.request(f"BREW{number}", "/tracklets")
    labels = [dict(labels) for name, labels in read(running_service) if name == "tfclip_request_seconds_count"]
    assert not [one for one in labels if one["method"].startswith("BREW") or "/x" in one["route"]]


def test_many_galleries_make_few_labels() -> None:
    metrics = Metrics()
    names = [f"g{number:04}" for number in range(250)]
    metrics.show_galleries([GalleryState(name, 2, 1.0 + number, number) for number, name in enumerate(names)])
    samples = parse(metrics.render().decode())
    labels = [dict(labels)["gallery"] for name, labels in samples if name == "tfclip_index_tracklets"]
    assert sorted(labels) == ["(others)", *names[:100]]
    assert value(samples, "tfclip_index_tracklets", gallery="(others)") == 300
    assert value(samples, "tfclip_index_lag_seconds", gallery="(others)") == 250.0
    assert value(samples, "tfclip_index_lag_changes", gallery="(others)") == 249
    # A gallery that is gone is gone from the metrics.
    metrics.show_galleries([GalleryState("g0001", 2, 0.0, None)])
    samples = parse(metrics.render().decode())
    assert [dict(labels) for name, labels in samples if name == "tfclip_index_tracklets"] == [{"gallery": "g0001"}]
    assert not [name for name, _ in samples if name == "tfclip_index_lag_changes"]


def test_every_metric_is_documented_and_no_other(running_service: RunningService) -> None:
    documented = set(re.findall(r"\btfclip_[a-z_]+\b", (ROOT / "docs/operations.md").read_text()))
    # The name of a file with a secret.
    documented.remove("tfclip_admin_key")
    families = {family.name for family in running_service.service.metrics.registry.collect()}
    endings = ("_total", "_bucket", "_sum", "_count", "")
    assert documented <= {name + ending for name in families for ending in endings}
    for name in families:
        assert {name + ending for ending in endings} & documented, name


def test_a_request_is_one_line_that_names_route_and_key_and_nobody(running_service: RunningService) -> None:
    with running_service.client() as client, logged() as events:
        client.get("/tracklets?gallery=default&limit=3", headers={"X-Request-ID": "one-line"})
        client.get("/search?identity=somebody", headers={"X-Request-ID": "refused"})
        wait_until(lambda: len([event for event in events if event["event"] == "request"]) == 2)
    served, refused = (event for event in events if event["event"] == "request")
    assert served.pop("seconds") >= 0
    assert served == {
        "event": "request",
        "log_level": "info",
        "request_id": "one-line",
        "method": "GET",
        "route": "/tracklets",
        "status": 200,
        "key": "TFCLIP_ADMIN_KEY",
    }
    assert (refused["status"], refused["problem"]) == (422, "invalid_request")
    assert "somebody" not in str(events)
    assert running_service.admin_key not in str(events)


@pytest.mark.parametrize("path", ["/admin/reindex", "/admin/repair"])
def test_the_lines_of_a_job_name_the_request_that_started_it(running_service: RunningService, path: str) -> None:
    with running_service.client() as client, logged() as events:
        job = client.post(path, headers={"X-Request-ID": f"started-{path[7:]}"}).json()["id"]
        wait_until(lambda: [event for event in events if event["event"] == "job ended" and event["job_id"] == job])
    lines = [event for event in events if event.get("job_id") == job]
    assert len(lines) >= 2
    assert {line["request_id"] for line in lines} == {f"started-{path[7:]}"}


def test_a_replayed_answer_is_counted(running_service: RunningService) -> None:
    before = value(read(running_service), "tfclip_replayed_requests_total")
    with running_service.client() as client:
        for _ in range(2):
            client.post(
                "/tracklets",
                data={"metadata": json.dumps({"camera_id": "c1"})},
                files=frame_files(pictures(5, 1)),
                headers={"Idempotency-Key": "replayed"},
            )
    assert value(read(running_service), "tfclip_replayed_requests_total") == before + 1
