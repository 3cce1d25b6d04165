"""Jobs over HTTP, as tests start them and wait for them."""

from typing import Any

from tests.support import RunningService, wait_until

ENDED = ("succeeded", "failed", "cancelled")


def start(running: RunningService, method: str, path: str, **body: object) -> str:
    """Start a job and return where it is."""
    with running.client() as client:
        answer = client.request(method, path, **({"json": body} if body else {}))
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    assert answer.json()["status"] == "queued"
    return answer.headers["location"]


def ended(running: RunningService, location: str) -> dict[str, Any]:
    """The job, once it is over."""
    with running.client() as client:
        wait_until(lambda: client.get(location).json()["status"] in ENDED)
        return client.get(location).json()


def run(running: RunningService, method: str, path: str, **body: object) -> dict[str, Any]:
    """Start a job, wait for its end, and return it."""
    return ended(running, start(running, method, path, **body))
