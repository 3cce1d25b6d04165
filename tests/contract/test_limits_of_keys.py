"""How much one key may send and store, and what its holder is told."""

import json
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import httpx
import pytest

from service.rate_limits import RateLimits
from service.store.keys import ApiKey
from tests.contract.outsider import connect, head, problem, read_answer, refused
from tests.support import RunningService, frame_files, pictures


def make_key(running: RunningService, **limits: int | None) -> dict:
    """A new key that may do everything, within limits."""
    with running.client() as client:
        answer = client.post("/admin/keys", json={"name": "limited", "scopes": ["read", "write"], **limits})
    assert answer.status_code == 201, answer.text
    return answer.json()


def send(client: httpx.Client, seed: int, **headers: str) -> httpx.Response:
    """Upload a tracklet."""
    form = {"metadata": json.dumps({"camera_id": "c1"})}
    return client.post("/tracklets", data=form, files=frame_files(pictures(seed, 1)), headers=headers)


def key_with(requests_per_minute: int | None) -> ApiKey:
    """A key, as the database has it."""
    return ApiKey(uuid.UUID(int=1), "k", frozenset({"read"}), datetime.now(UTC), None, requests_per_minute, None, 1)


def test_a_bucket_is_refilled_steadily_and_never_overflows() -> None:
    now = 0.0
    limits = RateLimits(default=0, clock=lambda: now)
    key = key_with(6)
    waits = []
    for _ in range(8):
        state = limits.take(key)
        assert state is not None
        waits.append((state.remaining, state.wait, state.reset))
    # Six at once, then one in ten seconds.
    assert waits == [(5, 0, 10), (4, 0, 20), (3, 0, 30), (2, 0, 40), (1, 0, 50), (0, 0, 60), (0, 10, 60), (0, 10, 60)]
    now = 9.9
    assert limits.take(key).wait == 1
    now = 10.0
    assert limits.take(key).wait == 0
    assert limits.take(key).wait == 10
    now = 10_000.0
    assert [limits.take(key).wait == 0 for _ in range(7)] == [True] * 6 + [False]


@pytest.mark.parametrize(
    ("default", "own", "quota"), [(5, None, 5), (5, 7, 7), (5, 0, None), (0, 7, 7), (0, None, None)]
)
def test_a_keys_own_limit_wins_over_the_default(default: int, own: int | None, quota: int | None) -> None:
    state = RateLimits(default).take(key_with(own))
    assert (state.quota if state else None) == quota


def test_one_request_too_many_is_told_when_to_come_back(running_service: RunningService) -> None:
    key = make_key(running_service, requests_per_minute=3)
    with running_service.client(key["secret"]) as client:
        answers = [client.get("/tracklets") for _ in range(3)]
        late = client.get("/tracklets")
        forbidden = client.get("/admin/keys")
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"key";q=3;w=60'}
    remaining = [re.fullmatch(r'"key";r=(\d+);t=(\d+)', answer.headers["ratelimit"]) for answer in answers]
    assert [int(found[1]) for found in remaining] == [2, 1, 0]
    assert problem(late, 429)["code"] == "rate_limited"
    assert 1 <= int(late.headers["retry-after"]) <= 20
    assert late.headers["ratelimit"].startswith('"key";r=0;')
    # What the key may not do costs as much as what it may.
    problem(forbidden, 429)
    with running_service.client() as client:
        assert "ratelimit" not in client.get("/tracklets").headers
        assert 'tfclip_rejected_requests_total{code="rate_limited"}' in client.get("/metrics").text


def test_a_quota_holds_for_uploads_that_come_together(running_service: RunningService) -> None:
    key = make_key(running_service, max_tracklets=3)

    def one(seed: int) -> httpx.Response:
        with running_service.client(key["secret"]) as client:
            return send(client, seed)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(100, 108)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [507] * 5
    for answer in answers:
        if answer.status_code == 507:
            body = problem(answer, 507)
            assert body["code"] == "quota_exceeded"
            assert "max_tracklets" in body["detail"]
    with running_service.client() as client:
        assert client.get(f"/admin/keys/{key['id']}").json()["tracklets"] == 3
        (listed,) = [one for one in client.get("/admin/keys").json()["items"] if one["id"] == key["id"]]
        assert (listed["tracklets"], listed["max_tracklets"]) == (3, 3)
        names = {path.name for path in (running_service.data_directory / "frames/default").iterdir()}
        with running_service.database() as connection:
            assert names == {row[0].hex() for row in connection.execute("SELECT sha256 FROM frames").fetchall()}


def test_room_is_made_by_deleting_and_by_an_administrator(running_service: RunningService) -> None:
    key = make_key(running_service, max_tracklets=1)
    with running_service.client(key["secret"]) as client, running_service.client() as admin:
        first = send(client, 110)
        problem(send(client, 111), 507)
        assert client.delete(f"/tracklets/{first.json()['id']}").status_code == 204
        assert send(client, 111).status_code == 201
        problem(send(client, 112), 507)
        assert admin.patch(f"/admin/keys/{key['id']}", json={"max_tracklets": 2}).status_code == 200
        assert send(client, 112).status_code == 201
        problem(send(client, 113), 507)
        assert admin.patch(f"/admin/keys/{key['id']}", json={"max_tracklets": None}).status_code == 200
        assert send(client, 113).status_code == 201


def test_a_repeated_upload_needs_no_room(running_service: RunningService) -> None:
    key = make_key(running_service, max_tracklets=1)
    with running_service.client(key["secret"]) as client:
        first = send(client, 120, **{"Idempotency-Key": "once"})
        assert first.status_code == 201
        assert send(client, 120, **{"Idempotency-Key": "once"}).json() == first.json()
        problem(send(client, 120), 507)


def test_a_key_is_changed_by_who_has_seen_it(running_service: RunningService) -> None:
    key = make_key(running_service, requests_per_minute=50)
    path = f"/admin/keys/{key['id']}"
    with running_service.client() as client:
        seen = client.get(path)
        tag = seen.headers["etag"]
        changed = client.patch(path, json={"name": "other"}, headers={"If-Match": tag})
        assert (changed.status_code, changed.json()["name"], changed.json()["requests_per_minute"]) == (
            200,
            "other",
            50,
        )
        assert changed.headers["etag"] != tag
        late = client.patch(path, json={"name": "late"}, headers={"If-Match": tag})
        assert problem(late, 412)["code"] == "precondition_failed"
        assert client.patch(path, json={"requests_per_minute": None}).json()["requests_per_minute"] is None
        now = client.get(path)
        assert (now.json()["name"], now.json()["scopes"]) == ("other", ["read", "write"])
        assert client.delete(path).status_code == 204
        assert client.get(path).headers["etag"] != now.headers["etag"]


BAD_CHANGES = {
    "null name": {"name": None},
    "empty name": {"name": ""},
    "negative": {"max_tracklets": -1},
    "text": {"max_tracklets": "many"},
    "half": {"requests_per_minute": 0.5},
    "huge": {"requests_per_minute": 10**9},
    "beyond bigint": {"max_tracklets": 2**64},
    "scopes": {"scopes": ["admin"]},
    "list": [],
}


@pytest.mark.parametrize("name", BAD_CHANGES)
def test_a_bad_change_of_a_key_is_refused(running_service: RunningService, name: str) -> None:
    with running_service.client() as client:
        path = f"/admin/keys/{client.get('/admin/keys').json()['items'][0]['id']}"
    refused(running_service, lambda client: client.patch(path, json=BAD_CHANGES[name]), 422)


def test_keys_are_listed_by_pages(running_service: RunningService) -> None:
    made = [make_key(running_service)["id"] for _ in range(3)]
    with running_service.client() as client:
        whole = [key["id"] for key in client.get("/admin/keys?limit=500").json()["items"]]
        paged, cursor = [], None
        while True:
            page = client.get("/admin/keys", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
            paged += [key["id"] for key in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    assert paged == whole
    assert whole[:3] == made[::-1]


def test_a_long_address_is_refused_before_it_is_taken_apart(running_service: RunningService) -> None:
    many = "&".join(f"a{number}" for number in range(30_000))
    for path in (f"/tracklets?{many}", "/" + "a" * 70_000):
        with connect(running_service) as connection:
            connection.sendall(head(running_service, "GET", path, key=False))
            assert problem(read_answer(connection), 414)["code"] == "uri_too_long"
    with running_service.client() as client:
        problem(client.get(f"/tracklets?{many[:60_000]}"), 422)
