"""Paths and methods that do not exist, and JSON bodies that say nothing, get whole problems too."""

import json

import httpx
import pytest

from tests.contract.outsider import LONG, problem, refused, upload
from tests.support import RunningService

ID = "00000000-0000-0000-0000-000000000000"
METHODS = {
    "/tracklets": {"GET", "POST"},
    # A tracklet's path matches too.
    "/tracklets/batch": {"GET", "POST", "PATCH", "DELETE"},
    f"/tracklets/{ID}": {"GET", "PATCH", "DELETE"},
    f"/tracklets/{ID}/frames/0": {"GET"},
    f"/tracklets/{ID}/frames/0/attention": {"GET"},
    f"/tracklets/{ID}/evidence": {"GET"},
    f"/tracklets/{ID}/purity": {"GET"},
    "/changes": {"GET"},
    "/search": {"GET", "POST"},
    "/galleries": {"GET", "POST"},
    "/galleries/default": {"GET", "PATCH", "DELETE"},
    "/galleries/default/transits": {"GET", "PUT"},
    "/cameras": {"GET"},
    "/cameras/default/none": {"GET", "PUT", "DELETE"},
    "/search/examples": {"POST"},
    "/search/batch": {"POST"},
    "/search/export": {"GET", "POST"},
    "/search/examples/export": {"POST"},
    "/verify": {"POST"},
    "/identities": {"GET", "POST"},
    # An identity's path matches too.
    "/identities/proposals": {"GET", "PATCH", "DELETE"},
    f"/identities/{ID}": {"GET", "PATCH", "DELETE"},
    f"/identities/{ID}/tracklets": {"POST"},
    f"/identities/{ID}/tracklets/{ID}": {"DELETE"},
    f"/identities/{ID}/merge": {"POST"},
    f"/identities/{ID}/unmerge": {"POST"},
    f"/identities/{ID}/history": {"GET"},
    f"/tracklets/{ID}/history": {"GET"},
    f"/identities/{ID}/appearances": {"GET"},
    "/matches": {"GET", "POST"},
    f"/matches/{ID}": {"GET", "DELETE"},
    "/admin/reindex": {"POST"},
    "/admin/keys": {"GET", "POST"},
    f"/admin/keys/{ID}": {"GET", "PATCH", "DELETE"},
    "/admin/models": {"GET", "POST"},
    f"/admin/models/{'0' * 64}": {"GET", "DELETE"},
    "/admin/generations": {"GET"},
    "/admin/generations/1": {"DELETE"},
    "/admin/generations/1/activate": {"POST"},
    "/admin/integrity": {"GET"},
    "/admin/repair": {"POST"},
    "/admin/calibrations": {"POST"},
    f"/admin/calibrations/{ID}": {"DELETE"},
    "/calibrations": {"GET"},
    f"/calibrations/{ID}": {"GET"},
    "/jobs": {"GET"},
    f"/jobs/{ID}": {"GET", "DELETE"},
    "/livez": {"GET"},
    "/readyz": {"GET"},
    "/metrics": {"GET"},
    "/openapi.json": {"GET"},
}
WRONG_METHODS = [
    (method, path)
    for path, allowed in METHODS.items()
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
    if method not in allowed
]


@pytest.mark.parametrize(("method", "path"), WRONG_METHODS, ids=lambda value: value)
def test_a_wrong_method_is_refused_and_the_right_ones_are_named(
    running_service: RunningService, method: str, path: str
) -> None:
    with running_service.client() as client:
        answer = client.request(method, path)
    problem(answer, 405)
    assert {name.strip() for name in answer.headers["allow"].split(",")} - {"HEAD"} == METHODS[path]


UNKNOWN_PATHS = {
    "root of an interface": "/api",
    "misspelt": "/tracklet",
    "capitals": "/Tracklets",
    "old version": "/v1/tracklets",
    "below a tracklet": f"/tracklets/{ID}/files",
    "below frames": f"/tracklets/{ID}/frames",
    "two slashes": "//tracklets",
    "two slashes and a host": "//example.com/tracklets",
    "trailing slash": "/tracklets/",
    "trailing slash of health": "/livez/",
    "climbing": "/tracklets/../../etc/passwd",
    "climbing in code": "/tracklets/%2e%2e/%2e%2e/etc/passwd",
    "nul": "/%00",
    "not utf-8": "/%ff%fe",
    "surrogate": "/%ed%a0%80",
    "line break": "/a%0d%0aSet-Cookie:x=1",
    "markup": "/%3Cscript%3Ealert(1)%3C/script%3E",
    "emoji": "/\U0001f600",
    "5,000 characters": "/" + "a" * 5000,
    "admin": "/admin",
    "dot env": "/.env",
}


@pytest.mark.parametrize("name", UNKNOWN_PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_not_found(running_service: RunningService, method: str, name: str) -> None:
    with running_service.client() as client:
        request = client.build_request(method, running_service.url + UNKNOWN_PATHS[name])
        answer = client.send(request)
    problem(answer, 404)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/tracklets/", "/search/", "/livez/"])
def test_nobody_is_sent_to_the_host_that_a_request_names(running_service: RunningService, path: str) -> None:
    with running_service.client() as client:
        answer = client.get(path, headers={"Host": "attacker.example"})
    assert "attacker.example" not in answer.headers.get("location", "")


def test_a_location_is_a_path_whatever_host_a_request_names(running_service: RunningService) -> None:
    with running_service.client() as client:
        client.headers["Host"] = "attacker.example"
        answer = upload(client)
    assert answer.headers["location"] == f"/tracklets/{answer.json()['id']}"


BAD_JSON = {
    "empty": b"",
    "cut off": b"{",
    "list": b"[]",
    "string": b'"default"',
    "not utf-8": b'{"gallery": "\xff"}',
    "10,000 brackets": b"[" * 10_000,
    "100,000 closed brackets": b"[" * 100_000 + b"]" * 100_000,
    "unknown field": b'{"gallery": "default", "everything": true}',
    "number for a gallery": b'{"gallery": 1}',
    "null gallery": b'{"gallery": null}',
    "climbing gallery": b'{"gallery": ".."}',
    "nul in gallery": b'{"gallery": "a\\u0000"}',
    "nul in model": b'{"model_id": "a\\u0000"}',
    "surrogate in model": b'{"model_id": "\\ud800"}',
    "long gallery": json.dumps({"gallery": LONG}).encode(),
    "long model": json.dumps({"model_id": LONG}).encode(),
    "number for a model": b'{"model_id": 1}',
}


@pytest.mark.parametrize("name", [name for name in BAD_JSON if name != "empty"])
def test_a_bad_reindex_request_is_refused_and_starts_no_job(running_service: RunningService, name: str) -> None:
    def send(client: httpx.Client) -> httpx.Response:
        return client.post("/admin/reindex", content=BAD_JSON[name], headers={"Content-Type": "application/json"})

    # A model that is not the gallery's is a conflict, whatever its name.
    refused(running_service, send, 400, 409, 413, 422)


@pytest.mark.parametrize("name", BAD_JSON)
@pytest.mark.parametrize("path", ["/search/examples", "/search/batch", "/verify"])
def test_bad_json_asks_nothing(running_service: RunningService, path: str, name: str) -> None:
    headers = {"Content-Type": "application/json"}
    with running_service.client() as client:
        problem(client.post(path, content=BAD_JSON[name], headers=headers), 413, 422)


@pytest.mark.parametrize(
    "body", [{"gallery": "unheard-of"}, {"model_id": "0" * 64}, {"model_id": ""}], ids=["gallery", "model", "no model"]
)
def test_a_reindex_of_what_is_unknown_is_refused_and_starts_no_job(running_service: RunningService, body: dict) -> None:
    refused(running_service, lambda client: client.post("/admin/reindex", json=body), 404, 409, 422)


BAD_KEYS = {
    "no scopes": {"name": "a", "scopes": []},
    "scopes missing": {"name": "a"},
    "unknown scope": {"name": "a", "scopes": ["root"]},
    "scope as text": {"name": "a", "scopes": "read"},
    "name missing": {"scopes": ["read"]},
    "empty name": {"name": "", "scopes": ["read"]},
    "nul in name": {"name": "a\0", "scopes": ["read"]},
    "surrogate in name": {"name": "\ud800", "scopes": ["read"]},
    "long name": {"name": LONG, "scopes": ["read"]},
    "secret chosen by the user": {"name": "a", "scopes": ["read"], "secret": "x" * 40},
    "100,000 scopes": {"name": "a", "scopes": ["read"] * 100_000},
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_bad_key_is_refused(running_service: RunningService, name: str) -> None:
    content = json.dumps(BAD_KEYS[name]).encode()
    headers = {"Content-Type": "application/json"}
    refused(running_service, lambda client: client.post("/admin/keys", content=content, headers=headers), 400, 413, 422)


@pytest.mark.parametrize("name", BAD_JSON)
def test_bad_json_makes_no_key(running_service: RunningService, name: str) -> None:
    headers = {"Content-Type": "application/json"}
    send = {"content": BAD_JSON[name], "headers": headers}
    refused(running_service, lambda client: client.post("/admin/keys", **send), 400, 413, 422)


@pytest.mark.parametrize("path", ["/admin/keys", "/admin/reindex", "/search/examples", "/search/batch", "/verify"])
@pytest.mark.parametrize(
    "type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "x"]
)
def test_json_under_another_name_is_refused(running_service: RunningService, path: str, type: str) -> None:
    content = b'{"name": "a", "scopes": ["read"]}' if path.endswith("keys") else b"{}"
    headers = {"Content-Type": type}
    refused(running_service, lambda client: client.post(path, content=content, headers=headers), 400, 415, 422)


@pytest.mark.parametrize(
    "value",
    ["a" * 5000, "a b", "<script>", "é".encode("latin-1"), b"\xff", ""],
    ids=["long", "blank", "markup", "latin", "bytes", "empty"],
)
def test_a_request_id_of_the_user_is_taken_whole_or_replaced(
    running_service: RunningService, value: str | bytes
) -> None:
    with running_service.client() as client:
        problem(client.get("/nowhere", headers={"X-Request-ID": value}), 404)
