"""Cameras, transit times and the rules of the world over HTTP, in the process that is told and in another one."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support import RunningService, frame_files, make_settings, pictures, run_service, search, upload, wait_until

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
MATRIX = {"cameras": ["a", "b"], "min_seconds": [[0, 10], [20, 0]], "max_seconds": [[None, 60], [None, None]]}


@pytest.fixture
def client(running_service: RunningService) -> Iterator[httpx.Client]:
    """Speaks to the service as an administrator."""
    with running_service.client() as client:
        yield client


def name() -> str:
    """A gallery that nobody has yet."""
    return f"g{uuid.uuid4().hex[:12]}"


def seen(running: RunningService, gallery: str, camera: str, start: float, end: float | None = None) -> str:
    """Store a tracklet that was seen there, seconds after noon."""
    times = {"started_at": (NOON + timedelta(seconds=start)).isoformat()}
    if end is not None:
        times["ended_at"] = (NOON + timedelta(seconds=end)).isoformat()
    return upload(running, 1, frames=1, gallery=gallery, camera_id=camera, **times)["id"]


def found(running: RunningService, gallery: str, query: str, **options: Any) -> set[str]:
    """The tracklets that a search finds."""
    return {place["tracklet_id"] for place in search(running, query, gallery=gallery, **options)["results"]}


@pytest.fixture(scope="module")
def gallery(running_service: RunningService) -> tuple[str, dict[str, str]]:
    """Camera a at noon, and others around it; with transit times."""
    gallery = name()
    stored = {
        "query": seen(running_service, gallery, "a", 0, 5),
        "soon at a": seen(running_service, gallery, "a", 6, 8),
        "too soon at b": seen(running_service, gallery, "b", 14),
        "in time at b": seen(running_service, gallery, "b", 15, 30),
        "too late at b": seen(running_service, gallery, "b", 66),
        "came from b": seen(running_service, gallery, "b", -40, -20),
        "came too fast from b": seen(running_service, gallery, "b", -40, -19),
        "meanwhile at b": seen(running_service, gallery, "b", 2),
        "at c": seen(running_service, gallery, "c", 6),
        "no time": upload(running_service, 1, frames=1, gallery=gallery, camera_id="c")["id"],
    }
    with running_service.client() as client:
        assert client.put(f"/galleries/{gallery}/transits", json=MATRIX).status_code == 200
    return gallery, stored


def test_what_the_same_person_could_be_is_found(
    running_service: RunningService, gallery: tuple[str, dict[str, str]]
) -> None:
    place, stored = gallery
    query = stored["query"]
    could = {"soon at a", "in time at b", "came from b", "at c"}
    assert found(running_service, place, query, feasible_transit=True) == {stored[one] for one in could}
    apart = {"too late at b", "came from b", "came too fast from b"}
    assert found(running_service, place, query, min_time_gap_seconds=19) == {stored[one] for one in apart}
    both = found(
        running_service, place, query, min_time_gap_seconds=9, feasible_transit=True, exclude_query_camera=True
    )
    assert both == {stored["in time at b"], stored["came from b"]}


def test_frames_that_are_not_stored_say_where_and_when_they_were_seen(
    running_service: RunningService, client: httpx.Client, gallery: tuple[str, dict[str, str]]
) -> None:
    place, stored = gallery
    options = {
        "gallery": place,
        "feasible_transit": "true",
        "query_camera_id": "a",
        "query_started_at": NOON.isoformat(),
        "query_ended_at": (NOON + timedelta(seconds=5)).isoformat(),
        "exclude_query_camera": "true",
    }
    answer = client.post("/search", data=options, files=frame_files(pictures(1, 1)))
    assert answer.status_code == 200, answer.text
    ids = {one["tracklet_id"] for one in answer.json()["results"]}
    assert ids == found(running_service, place, stored["query"], feasible_transit=True, exclude_query_camera=True)


@pytest.mark.parametrize(
    ("options", "location"),
    [
        ({"feasible_transit": "true"}, "feasible_transit"),
        ({"min_time_gap_seconds": "1"}, "min_time_gap_seconds"),
        ({"feasible_transit": "true", "query_started_at": "2025-01-01T00:00:00Z"}, "feasible_transit"),
        ({"exclude_query_camera": "true"}, "exclude_query_camera"),
        ({"query_ended_at": "2025-01-01T00:00:00Z"}, None),
        ({"query_started_at": "2025-01-02T00:00:00Z", "query_ended_at": "2025-01-01T00:00:00Z"}, None),
        ({"min_time_gap_seconds": "-1"}, "min_time_gap_seconds"),
        ({"min_time_gap_seconds": "nan"}, "min_time_gap_seconds"),
        ({"min_time_gap_seconds": "1e300"}, "min_time_gap_seconds"),
    ],
    ids=str,
)
def test_a_question_that_cannot_be_answered_says_what_is_missing(
    client: httpx.Client, gallery: tuple[str, dict[str, str]], options: dict[str, str], location: str | None
) -> None:
    answer = client.post("/search", data={"gallery": gallery[0]} | options, files=frame_files(pictures(1, 1)))
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["location"] == (location or "")


def test_a_stored_query_without_a_time_is_refused(client: httpx.Client, gallery: tuple[str, dict[str, str]]) -> None:
    place, stored = gallery
    for rule in ({"feasible_transit": True}, {"min_time_gap_seconds": 1}):
        answer = client.get("/search", params={"gallery": place, "query_id": stored["no time"], **rule})
        assert answer.status_code == 422
        assert "started_at" in answer.json()["detail"]


def test_a_camera_is_made_changed_and_removed(running_service: RunningService, client: httpx.Client) -> None:
    gallery = name()
    client.post("/galleries", json={"name": gallery})
    said = {"place": "Gate", "latitude": 47.5, "longitude": -8.25, "time_offset_seconds": 1.5}
    made = client.put(f"/cameras/{gallery}/north/2", json=said)
    assert made.status_code == 201
    assert made.json().items() >= (said | {"name": "north/2", "tracklets": 0}).items()
    changed = client.put(f"/cameras/{gallery}/north%2F2", json={"place": "Door"})
    assert changed.status_code == 200
    assert changed.json()["time_offset_seconds"] == 0
    upload(running_service, 1, gallery=gallery, camera_id="c")
    assert [one["name"] for one in client.get("/cameras", params={"gallery": gallery}).json()["items"]] == [
        "north/2",
        "c",
    ]
    page = client.get("/cameras", params={"gallery": gallery, "limit": 1}).json()
    rest = client.get("/cameras", params={"gallery": gallery, "cursor": page["next_cursor"]}).json()
    assert [(one["name"], one["tracklets"]) for one in rest["items"]] == [("c", 1)]

    used = client.delete(f"/cameras/{gallery}/c")
    assert (used.status_code, used.json()["code"]) == (409, "camera_in_use")
    assert client.delete(f"/cameras/{gallery}/north/2").status_code == 204
    assert client.delete(f"/cameras/{gallery}/north/2").status_code == 404


BAD_MATRICES = {
    "not square": {"cameras": ["a", "b"], "min_seconds": [[0, 1]], "max_seconds": [[1, 1], [1, 1]]},
    "ragged": {"cameras": ["a", "b"], "min_seconds": [[0, 1], [0]], "max_seconds": [[1, 1], [1, 1]]},
    "negative": {"cameras": ["a"], "min_seconds": [[-1]], "max_seconds": [[1]]},
    "too long": {"cameras": ["a"], "min_seconds": [[0]], "max_seconds": [[1e300]]},
    "upside down": {"cameras": ["a"], "min_seconds": [[2]], "max_seconds": [[1]]},
    "least unknown": {"cameras": ["a"], "min_seconds": [[None]], "max_seconds": [[1]]},
    "unknown camera": {"cameras": ["x"], "min_seconds": [[0]], "max_seconds": [[1]]},
    "twice": {"cameras": ["a", "a"], "min_seconds": [[0, 0], [0, 0]], "max_seconds": [[1, 1], [1, 1]]},
    "text": {"cameras": ["a"], "min_seconds": [["soon"]], "max_seconds": [[1]]},
    "more": {"cameras": [], "min_seconds": [], "max_seconds": [], "walls": []},
    "too many": {
        "cameras": [str(n) for n in range(201)],
        "min_seconds": [[0] * 201] * 201,
        "max_seconds": [[1] * 201] * 201,
    },
}


@pytest.mark.parametrize("matrix", BAD_MATRICES)
def test_a_matrix_that_makes_no_sense_is_refused_and_the_old_one_stays(
    client: httpx.Client, gallery: tuple[str, dict[str, str]], matrix: str
) -> None:
    path = f"/galleries/{gallery[0]}/transits"
    answer = client.put(path, json=BAD_MATRICES[matrix])
    assert answer.status_code == 422, answer.text
    assert client.get(path).json() == MATRIX
    for number in ("NaN", "Infinity", "1e999"):
        content = f'{{"cameras": ["a"], "min_seconds": [[0]], "max_seconds": [[{number}]]}}'
        assert client.put(path, content=content, headers={"Content-Type": "application/json"}).status_code == 422


@pytest.mark.parametrize(
    "said",
    [
        {"latitude": 91, "longitude": 0},
        {"latitude": 1},
        {"time_offset_seconds": 1e12},
        {"time_offset_seconds": None},
        {"place": ""},
        {"place": "a\0"},
        {"name": "b"},
    ],
    ids=str,
)
def test_a_camera_that_makes_no_sense_is_refused(
    client: httpx.Client, gallery: tuple[str, dict[str, str]], said: dict[str, Any]
) -> None:
    before = client.get("/cameras", params={"gallery": gallery[0]}).json()
    assert client.put(f"/cameras/{gallery[0]}/a", json=said).status_code == 422
    assert client.get("/cameras", params={"gallery": gallery[0]}).json() == before


def test_a_clock_that_is_set_right_is_heard_of_by_the_next_search_and_by_other_processes(
    running_service: RunningService, client: httpx.Client
) -> None:
    gallery = name()
    query = seen(running_service, gallery, "a", 0, 5)
    other = seen(running_service, gallery, "b", 100)
    late = {"started_after": (NOON + timedelta(seconds=50)).isoformat()}
    assert client.put(f"/galleries/{gallery}/transits", json=MATRIX).status_code == 200
    settings = make_settings(running_service.data_directory, running_service.database_url)
    with run_service(settings) as second:
        both = (running_service, second)
        for running in both:
            wait_until(lambda running=running: not found(running, gallery, query, feasible_transit=True))
            assert found(running, gallery, query, **late) == {other}
        # b is a minute and a half fast: it saw that 5 s after the query, which is too soon still.
        for offset, feasible in ((-90, False), (-80, True)):
            assert client.put(f"/cameras/{gallery}/b", json={"time_offset_seconds": offset}).status_code == 200
            assert (found(running_service, gallery, query, feasible_transit=True) == {other}) == feasible
            assert found(running_service, gallery, query, **late) == set()
        wait_until(lambda: found(second, gallery, query, feasible_transit=True) == {other})
        assert found(second, gallery, query, **late) == set()
        lenient = MATRIX | {"min_seconds": [[0, 16], [20, 0]]}
        with second.client() as elsewhere:
            assert elsewhere.put(f"/galleries/{gallery}/transits", json=lenient).status_code == 200
        assert found(second, gallery, query, feasible_transit=True) == set()
        wait_until(lambda: not found(running_service, gallery, query, feasible_transit=True))
        assert search(second, query, gallery=gallery)["results"][0]["started_at"].startswith("2025-03-01T12:01:40")
    # Nothing of it is in the snapshot: who starts reads it anew.
    with run_service(settings) as third:
        assert found(third, gallery, query, **late) == set()
        assert third.service.galleries.rules(gallery).offsets == {"b": -80.0}
