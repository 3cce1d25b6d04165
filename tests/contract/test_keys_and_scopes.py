"""Who may do what: nobody without a key, and a key only what its scopes say."""

import json
import uuid

import httpx
import pytest

from tests.contract.outsider import nothing_changes, problem, upload
from tests.service.ingest.archives import tar_of
from tests.support import RunningService, frame_files, pictures

ID = str(uuid.UUID(int=0))
FORM = {"data": {"metadata": '{"camera_id": "c1"}'}, "files": frame_files(pictures(1, 1))}
ARCHIVE = {"content": tar_of([("manifest.jsonl", b"")]), "headers": {"Content-Type": "application/x-tar"}}

# What an endpoint needs: (method, path, how to send, scope).
ENDPOINTS = {
    "upload": ("POST", "/tracklets", FORM, "write"),
    "upload an archive": ("POST", "/tracklets/batch", ARCHIVE, "write"),
    "list": ("GET", "/tracklets", {}, "read"),
    "read": ("GET", f"/tracklets/{ID}", {}, "read"),
    "change": ("PATCH", f"/tracklets/{ID}", {"json": {"labels": {}}}, "write"),
    "delete": ("DELETE", f"/tracklets/{ID}", {}, "write"),
    "frame": ("GET", f"/tracklets/{ID}/frames/0", {}, "read"),
    "attention": ("GET", f"/tracklets/{ID}/frames/0/attention", {}, "read"),
    "evidence": ("GET", f"/tracklets/{ID}/evidence?against={ID}", {}, "read"),
    "purity": ("GET", f"/tracklets/{ID}/purity", {}, "read"),
    "changes": ("GET", "/changes", {}, "read"),
    "search by id": ("GET", f"/search?query_id={ID}", {}, "read"),
    "search by frames": ("POST", "/search", {"files": frame_files(pictures(1, 1))}, "read"),
    "make a gallery": ("POST", "/galleries", {"json": {"name": "g"}}, "admin"),
    "list galleries": ("GET", "/galleries", {}, "read"),
    "read a gallery": ("GET", "/galleries/default", {}, "read"),
    "change a gallery": ("PATCH", "/galleries/default", {"json": {}}, "admin"),
    "delete a gallery": ("DELETE", "/galleries/none", {}, "admin"),
    "read transits": ("GET", "/galleries/default/transits", {}, "read"),
    "say transits": (
        "PUT",
        "/galleries/default/transits",
        {"json": {"cameras": [], "min_seconds": [], "max_seconds": []}},
        "write",
    ),
    "list cameras": ("GET", "/cameras", {}, "read"),
    "read a camera": ("GET", "/cameras/default/none", {}, "read"),
    "say a camera": ("PUT", "/cameras/none/a", {"json": {}}, "write"),
    "remove a camera": ("DELETE", "/cameras/default/none", {}, "write"),
    "search by examples": ("POST", "/search/examples", {"json": {"positive": [ID]}}, "read"),
    "batch": ("POST", "/search/batch", {"json": {"queries": [{"query_id": ID}]}}, "read"),
    "export": ("GET", f"/search/export?query_id={ID}&format=csv", {}, "read"),
    "export by frames": ("POST", "/search/export?format=csv", {"files": frame_files(pictures(1, 1))}, "read"),
    "export by examples": ("POST", "/search/examples/export", {"json": {"positive": [ID], "format": "csv"}}, "read"),
    "verify": ("POST", "/verify", {"json": {"tracklet_id": ID, "other_tracklet_id": ID}}, "read"),
    "make an identity": ("POST", "/identities", {"json": {"gallery": "none", "name": "a"}}, "write"),
    "list identities": ("GET", "/identities", {}, "read"),
    "propose": ("GET", "/identities/proposals", {}, "read"),
    "read an identity": ("GET", f"/identities/{ID}", {}, "read"),
    "rename": ("PATCH", f"/identities/{ID}", {"json": {"name": "a"}}, "write"),
    "delete an identity": ("DELETE", f"/identities/{ID}", {}, "write"),
    "assign": ("POST", f"/identities/{ID}/tracklets", {"json": {"tracklet_ids": [ID]}}, "write"),
    "unassign": ("DELETE", f"/identities/{ID}/tracklets/{ID}", {}, "write"),
    "merge": ("POST", f"/identities/{ID}/merge", {"json": {"from_id": str(uuid.UUID(int=1))}}, "write"),
    "unmerge": ("POST", f"/identities/{ID}/unmerge", {"json": {"event_id": 1}}, "write"),
    "history": ("GET", f"/identities/{ID}/history", {}, "read"),
    "history of a tracklet": ("GET", f"/tracklets/{ID}/history", {}, "read"),
    "appearances": ("GET", f"/identities/{ID}/appearances", {}, "read"),
    "decide": (
        "POST",
        "/matches",
        {"json": {"gallery": "none", "tracklet_id": ID, "identity_id": ID, "verdict": "same"}},
        "write",
    ),
    "list matches": ("GET", "/matches", {}, "read"),
    "read a match": ("GET", f"/matches/{ID}", {}, "read"),
    "undo a match": ("DELETE", f"/matches/{ID}", {}, "write"),
    "reindex": ("POST", "/admin/reindex", {"json": {}}, "admin"),
    "add a model": ("POST", "/admin/models", {"json": {"path": "none.safetensors"}}, "admin"),
    "list models": ("GET", "/admin/models", {}, "admin"),
    "read a model": ("GET", f"/admin/models/{'0' * 64}", {}, "admin"),
    "remove a model": ("DELETE", f"/admin/models/{'0' * 64}", {}, "admin"),
    "list generations": ("GET", "/admin/generations", {}, "admin"),
    "activate": ("POST", "/admin/generations/999999/activate", {}, "admin"),
    "purge": ("DELETE", "/admin/generations/999999", {}, "admin"),
    "integrity": ("GET", "/admin/integrity", {}, "admin"),
    "repair": ("POST", "/admin/repair", {"json": {"gallery": "none"}}, "admin"),
    "calibrate": ("POST", "/admin/calibrations", {"json": {"gallery": "none"}}, "admin"),
    "list calibrations": ("GET", "/calibrations", {}, "read"),
    "read a calibration": ("GET", f"/calibrations/{ID}", {}, "read"),
    "delete a calibration": ("DELETE", f"/admin/calibrations/{ID}", {}, "admin"),
    "list jobs": ("GET", "/jobs", {}, "read"),
    "cancel a job": ("DELETE", f"/jobs/{ID}", {}, "admin"),
    "list keys": ("GET", "/admin/keys", {}, "admin"),
    "make a key": ("POST", "/admin/keys", {"json": {"name": "a", "scopes": ["read"]}}, "admin"),
    "read a key": ("GET", f"/admin/keys/{ID}", {}, "admin"),
    "change a key": ("PATCH", f"/admin/keys/{ID}", {"json": {}}, "admin"),
    "revoke a key": ("DELETE", f"/admin/keys/{ID}", {}, "admin"),
}
WITH_JOB = [*ENDPOINTS, "job"]
HEADERS = {
    "no key": None,
    "empty": b"",
    "scheme alone": b"Bearer",
    "another scheme": b"Basic YTpi",
    "no scheme": b"test-admin-key-0123456789abcdef",
    "wrong key": b"Bearer test-admin-key-0123456789abcdeF",
    "start of the key": b"Bearer test-admin-key-0123456789",
    "key and more": b"Bearer test-admin-key-0123456789abcdef0",
    "two keys": b"Bearer test-admin-key-0123456789abcdef, x",
    "bytes": b"Bearer \xff\xfe",
    "sql": b"Bearer ' OR 1=1 --",
    "50,000 characters": b"Bearer " + b"a" * 50_000,
}


def send(client: httpx.Client, endpoint: str) -> httpx.Response:
    """Call an endpoint with a request that an entitled caller may make."""
    if endpoint == "job":
        return client.get(f"/jobs/{ID}")
    method, path, how, _ = ENDPOINTS[endpoint]
    return client.request(method, path, **how)


def make_key(running: RunningService, *scopes: str) -> dict:
    """A new key with these scopes."""
    with running.client() as client:
        answer = client.post("/admin/keys", json={"name": "test", "scopes": scopes})
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.mark.parametrize("endpoint", WITH_JOB)
def test_no_endpoint_answers_without_a_key(running_service: RunningService, endpoint: str) -> None:
    with nothing_changes(running_service), running_service.client(key=None) as client:
        answer = send(client, endpoint)
        problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("endpoint", ["upload", "list", "list keys"])
def test_what_is_not_a_key_opens_nothing(running_service: RunningService, endpoint: str, name: str) -> None:
    with nothing_changes(running_service), running_service.client(key=None) as client:
        if HEADERS[name] is not None:
            client.headers = httpx.Headers([(b"Authorization", HEADERS[name])])
        problem(send(client, endpoint), 401)


@pytest.mark.parametrize("place", ["query", "cookie", "other header"])
def test_a_key_in_another_place_opens_nothing(running_service: RunningService, place: str) -> None:
    key = running_service.admin_key
    with running_service.client(key=None) as client:
        if place == "query":
            answer = client.get(f"/tracklets?api_key={key}")
        elif place == "cookie":
            answer = client.get("/tracklets", headers={"Cookie": f"key={key}"})
        else:
            answer = client.get("/tracklets", headers={"X-API-Key": key})
    body = problem(answer, 401)
    assert key not in json.dumps(body)


@pytest.fixture(scope="module")
def keys(running_service: RunningService) -> dict[str, str]:
    """One key for each scope alone, and one for both that are not admin."""
    made = {scope: make_key(running_service, scope)["secret"] for scope in ("read", "write", "admin")}
    return made | {"read and write": make_key(running_service, "read", "write")["secret"]}


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [
        (endpoint, key)
        for endpoint, (_, _, _, needed) in ENDPOINTS.items()
        for key in ("read", "write", "read and write")
        if needed not in key.split(" and ")
    ],
    ids=lambda value: value,
)
def test_a_key_without_the_scope_is_refused(
    running_service: RunningService, keys: dict[str, str], endpoint: str, key: str
) -> None:
    with nothing_changes(running_service), running_service.client(keys[key]) as client:
        problem(send(client, endpoint), 403)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_key_with_the_scope_is_let_in(running_service: RunningService, keys: dict[str, str], endpoint: str) -> None:
    with running_service.client(keys[ENDPOINTS[endpoint][3]]) as client:
        assert send(client, endpoint).status_code in (200, 201, 202, 404)


@pytest.mark.parametrize("endpoint", WITH_JOB)
def test_a_revoked_key_opens_nothing_from_the_next_request_on(running_service: RunningService, endpoint: str) -> None:
    key = make_key(running_service, "read", "write", "admin")
    with running_service.client(key["secret"]) as client:
        assert client.get("/tracklets").status_code == 200
        with running_service.client() as admin:
            assert admin.delete(f"/admin/keys/{key['id']}").status_code == 204
        with nothing_changes(running_service):
            problem(send(client, endpoint), 401)


def test_a_secret_is_shown_once_and_stored_nowhere(running_service: RunningService) -> None:
    secret = make_key(running_service, "read")["secret"]
    with running_service.client() as client:
        assert secret not in client.get("/admin/keys").text
    with running_service.database() as connection:
        rows = connection.execute("SELECT to_jsonb(api_keys)::text FROM api_keys").fetchall()
    assert rows
    assert not any(secret in row[0] or running_service.admin_key in row[0] for row in rows)


def test_the_wrong_scope_is_told_before_the_wrong_input(running_service: RunningService, keys: dict[str, str]) -> None:
    with running_service.client(keys["write"]) as client:
        problem(client.get("/search?k=0"), 403)
    with running_service.client(keys["read"]) as client:
        problem(client.post("/tracklets", content=b"x"), 403)
        problem(client.post("/admin/keys", content=b"x"), 403)
    with running_service.client(key=None) as client:
        problem(client.get("/search?k=0"), 401)
        problem(client.get("/tracklets/abc"), 401)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/openapi.json"])
def test_health_and_the_description_need_no_key(running_service: RunningService, path: str) -> None:
    with running_service.client(key=None) as client:
        assert client.get(path).status_code == 200


def test_a_refused_upload_does_not_tell_whether_a_tracklet_exists(
    running_service: RunningService, keys: dict[str, str]
) -> None:
    with running_service.client() as client:
        there = upload(client).json()["id"]
    with running_service.client(keys["read"]) as client:
        answers = [problem(client.delete(f"/tracklets/{identifier}"), 403) for identifier in (there, ID)]
    assert answers[0]["detail"] == answers[1]["detail"]
