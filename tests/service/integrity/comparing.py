"""What tests of integrity ask of a service."""

from typing import Any

from tests.jobs import run
from tests.support import (
    RunningService,
)

GALLERY = "whole"


def check(running: RunningService, **options: object) -> dict[str, Any]:
    """Compare the gallery."""
    with running.client() as client:
        answer = client.get("/admin/integrity", params={"gallery": GALLERY, "describe": 100, "full": True, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def found(running: RunningService, **options: object) -> dict[str, set[str]]:
    """What was found, by kind."""
    report = check(running, **options)
    assert report["ok"] == (report["findings"] == [])
    return {finding["kind"]: set(finding["examples"]) for finding in report["findings"]}


def repair(running: RunningService) -> dict[str, Any]:
    """Mend the gallery and return what came of it."""
    job = run(running, "POST", "/admin/repair", gallery=GALLERY)
    assert job["status"] == "succeeded", job
    return job["result"]


def kinds(findings: list[dict[str, Any]]) -> dict[str, int]:
    """How many of each kind."""
    return {finding["kind"]: finding["count"] for finding in findings}


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Whether two rankings are alike; a descriptor that was made again may differ by 1e-5."""
    return [result["tracklet_id"] for result in one] == [result["tracklet_id"] for result in other] and all(
        abs(a["score"] - b["score"]) < 1e-5 for a, b in zip(one, other, strict=True)
    )
