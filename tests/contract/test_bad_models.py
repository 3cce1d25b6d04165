"""Weights that must not become a model, and requests about models that make no sense."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from model.default_weights import DEMO_WEIGHTS
from service.store.embedded import EmbeddedPostgres
from tests.contract.crafted_weights import bad_weights, weights_file
from tests.contract.outsider import (
    connect,
    everything,
    head,
    multipart,
    nothing_changes,
    post_multipart,
    problem,
    read_answer,
    refused,
)
from tests.support import (
    RunningService,
    empty_database,
    make_settings,
    picture,
    reachable_folder,
    run_service,
    wait_until,
)

LIMIT = 50_000
MODEL_LIMIT = 6_000_000
OCTETS = "Content-Type: application/octet-stream"
BYTES = {"Content-Type": "application/octet-stream"}
FORM = "Content-Type: multipart/form-data; boundary=frontier"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A weights file."""
    return weights_file(tmp_path_factory.mktemp("weights")).read_bytes()


@pytest.fixture(scope="module")
def narrow_service(postgres: EmbeddedPostgres) -> Iterator[RunningService]:
    """A service with a low limit on bodies and a higher one on weights."""
    with reachable_folder() as folder, empty_database(postgres) as url:
        limits = {"max_body_bytes": LIMIT, "max_frame_bytes": LIMIT, "max_model_bytes": MODEL_LIMIT, "max_uploads": 2}
        with run_service(make_settings(folder / "data", url, **limits)) as running:
            yield running


def test_what_is_no_weights_file_is_refused_and_leaves_nothing(running_service: RunningService, good: bytes) -> None:
    crafted = bad_weights(good)
    with nothing_changes(running_service), running_service.client() as client:
        for wrong, content in crafted.items():
            answer = client.post("/admin/models", content=content, headers=BYTES)
            body = problem(answer, 422)
            assert body["code"] == "invalid_weights", wrong
            assert str(running_service.data_directory) not in body["detail"], wrong


def test_the_same_from_the_folder_is_refused_and_the_users_file_stays(
    running_service: RunningService, good: bytes
) -> None:
    mine = running_service.data_directory / "models" / "mine.safetensors"
    try:
        for content in (good[:-1], b"", bad_weights(good)["not a number"]):
            mine.write_bytes(content)
            body = refused(
                running_service, lambda client: client.post("/admin/models", json={"path": "mine.safetensors"}), 422
            )
            assert body["code"] == "invalid_weights"
            assert mine.read_bytes() == content
    finally:
        mine.unlink()


BAD_PATHS = {
    "empty": "",
    "absolute": "/etc/passwd.safetensors",
    "climbing": "../models/mine.safetensors",
    "climbing inside": "inner/../mine.safetensors",
    "here": "./mine.safetensors",
    "two slashes": "inner//mine.safetensors",
    "hidden": ".incoming/mine.safetensors",
    "nul": "mine\0.safetensors",
    "another ending": "mine.pt",
    "no ending": "mine",
    "a link out": "out.safetensors",
    "a folder": "folder.safetensors",
    "a pipe": "pipe.safetensors",
    "a link to itself": "loop.safetensors",
    "long": "x" * 900 + ".safetensors",
    "longer": "x" * 5000 + ".safetensors",
    "below a file": "file.safetensors/mine.safetensors",
    "sparse and huge": "huge.safetensors",
}


@pytest.fixture(scope="module")
def odd_folder(narrow_service: RunningService, good: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Things in `models/` that are no files of this folder."""
    models = narrow_service.data_directory / "models"
    outside = tmp_path_factory.mktemp("outside") / "theirs.safetensors"
    outside.write_bytes(good)
    (models / "out.safetensors").symlink_to(outside)
    (models / "loop.safetensors").symlink_to(models / "loop.safetensors")
    (models / "folder.safetensors").mkdir()
    (models / "file.safetensors").write_bytes(good)
    os.mkfifo(models / "pipe.safetensors")
    with (models / "huge.safetensors").open("wb") as huge:
        huge.truncate(MODEL_LIMIT + 1)


@pytest.mark.usefixtures("odd_folder")
@pytest.mark.parametrize("name", BAD_PATHS)
def test_a_path_that_is_no_weights_file_of_the_folder_is_refused(narrow_service: RunningService, name: str) -> None:
    refused(narrow_service, lambda client: client.post("/admin/models", json={"path": BAD_PATHS[name]}), 422)


@pytest.mark.parametrize("path", ["none.safetensors", "inner/none.safetensors"])
def test_a_file_that_is_not_there_is_not_found(running_service: RunningService, path: str) -> None:
    body = refused(running_service, lambda client: client.post("/admin/models", json={"path": path}), 404)
    assert "models/" in body["detail"]


BAD_BODIES = {
    "empty": b"",
    "cut off": b"{",
    "list": b"[]",
    "no path": b"{}",
    "number": b'{"path": 1}',
    "surrogate": b'{"path": "\\ud800.safetensors"}',
    "more": b'{"path": "a.safetensors", "name": "x"}',
    "not utf-8": b'{"path": "\xff.safetensors"}',
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_json_body_adds_nothing(running_service: RunningService, name: str) -> None:
    send = {"content": BAD_BODIES[name], "headers": JSON}
    refused(running_service, lambda client: client.post("/admin/models", **send), 404, 422)


@pytest.mark.parametrize(
    "type", [None, "", "text/plain", "application/octets", "multipart/form-data; boundary=frontier"]
)
def test_weights_under_another_media_type_are_refused(
    running_service: RunningService, good: bytes, type: str | None
) -> None:
    headers = {} if type is None else {"Content-Type": type}
    refused(running_service, lambda client: client.post("/admin/models", content=good, headers=headers), 415)


@pytest.mark.parametrize("query", ["name=", "name=%00", f"name={'x' * 201}", "name=a&name=b", "name=%ff"])
def test_a_bad_name_adds_nothing(running_service: RunningService, good: bytes, query: str) -> None:
    send = {"content": good, "headers": BYTES}
    refused(running_service, lambda client: client.post(f"/admin/models?{query}", **send), 422)


@pytest.mark.parametrize("query", ["limit=1", "gallery=default", "x", "limit=1&limit=2"])
def test_the_list_takes_no_options(running_service: RunningService, query: str) -> None:
    refused(running_service, lambda client: client.get(f"/admin/models?{query}"), 422)


@pytest.mark.parametrize("model_id", ["x", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "%00" * 64])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_no_model_id_is_refused(running_service: RunningService, method: str, model_id: str) -> None:
    refused(running_service, lambda client: client.request(method, f"/admin/models/{model_id}"), 422)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_model_is_not_found(running_service: RunningService, method: str) -> None:
    refused(running_service, lambda client: client.request(method, f"/admin/models/{'0' * 64}"), 404)


def test_weights_have_a_limit_of_their_own_and_other_bodies_keep_theirs(narrow_service: RunningService) -> None:
    large = DEMO_WEIGHTS.read_bytes()
    assert LIMIT < len(large) < MODEL_LIMIT
    with narrow_service.client() as client:
        known = client.post("/admin/models", content=large, headers=BYTES)
        assert known.status_code == 200, known.text
    for method, path in (
        ("POST", "/tracklets"),
        ("POST", "/search"),
        ("POST", "/admin/keys"),
        ("PUT", "/admin/models"),
        ("POST", "/admin/models/"),
        ("GET", "/admin/models"),
        ("DELETE", f"/admin/models/{'0' * 64}"),
    ):
        with nothing_changes(narrow_service), connect(narrow_service) as connection:
            connection.sendall(head(narrow_service, method, path, FORM, f"Content-Length: {LIMIT + 1}"))
            assert "TFCLIP_MAX_BODY_BYTES" in problem(read_answer(connection), 413)["detail"], path


@pytest.mark.parametrize("length", [MODEL_LIMIT + 1, 10**18])
def test_weights_that_say_they_are_too_large_are_refused_before_they_are_sent(
    narrow_service: RunningService, length: int
) -> None:
    with nothing_changes(narrow_service), connect(narrow_service) as connection:
        connection.sendall(head(narrow_service, "POST", "/admin/models", OCTETS, f"Content-Length: {length}"))
        assert "TFCLIP_MAX_MODEL_BYTES" in problem(read_answer(connection), 413)["detail"]


def test_weights_without_a_length_are_read_no_further_than_the_limit(narrow_service: RunningService) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(MODEL_LIMIT // 100_000 + 1):
            yield bytes(100_000)

    def send(client: httpx.Client) -> httpx.Response:
        return client.post("/admin/models", content=endless(), headers=BYTES)

    assert refused(narrow_service, send, 413)["code"] == "body_too_large"


def test_a_json_body_is_no_longer_than_any_other(narrow_service: RunningService) -> None:
    content = b'{"path": "' + b"x" * 70_000 + b'"}'
    refused(narrow_service, lambda client: client.post("/admin/models", content=content, headers=JSON), 413)


@pytest.mark.parametrize("type", [OCTETS, "Content-Type: application/json"])
def test_the_weights_of_who_may_not_add_them_are_not_read(narrow_service: RunningService, type: str) -> None:
    for key, status in (("unheard-of", 401), (make_key(narrow_service, "read", "write"), 403)):
        sent = (type, "Content-Length: 1000", f"Authorization: Bearer {key}")
        with nothing_changes(narrow_service), connect(narrow_service) as connection:
            connection.sendall(head(narrow_service, "POST", "/admin/models", *sent, key=False))
            problem(read_answer(connection), status)


def test_clients_that_hang_up_leave_nothing_and_take_no_place(narrow_service: RunningService) -> None:
    before = everything(narrow_service)
    body = DEMO_WEIGHTS.read_bytes()
    for sent in (0, 60, 3_000_000, len(body) - 1):
        with connect(narrow_service) as connection:
            request = head(narrow_service, "POST", "/admin/models", OCTETS, f"Content-Length: {len(body)}")
            connection.sendall(request + body[:sent])
    query = multipart(('name="frames"; filename="0.jpg"', picture(1)))
    with narrow_service.client() as client:
        wait_until(lambda: post_multipart(client, query, "/search").status_code == 200, seconds=20)
    wait_until(lambda: everything(narrow_service) == before, seconds=20)


def test_a_full_disk_is_told_and_nothing_is_left(running_service: RunningService) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with running_service.client() as client, nothing_changes(running_service):
        # The kernel refuses to let a file grow further, as it does on a full disk.
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, hard))
        try:
            with DEMO_WEIGHTS.open("rb") as file:
                answer = client.post("/admin/models", content=file, headers=BYTES)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert problem(answer, 507)["code"] == "insufficient_storage"


def make_key(running: RunningService, *scopes: str) -> str:
    """The secret of a new key."""
    with running.client() as client:
        return client.post("/admin/keys", json={"name": "narrow", "scopes": scopes}).json()["secret"]


def test_the_folder_of_weights_is_closed_to_others(narrow_service: RunningService) -> None:
    folder = Path(narrow_service.data_directory / "models")
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / ".incoming").stat().st_mode & 0o077 == 0
