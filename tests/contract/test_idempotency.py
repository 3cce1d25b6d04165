"""A POST that creates is carried out once, however often it is sent under one `Idempotency-Key`."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from service.store.embedded import EmbeddedPostgres
from tests.contract.keyed_requests import HELD, count, let_claims_run_out, new_key, no_answer_kept, trigger, waits
from tests.contract.outsider import connect, head, multipart, problem, read_answer
from tests.support import (
    RunningService,
    empty_database,
    frame_files,
    make_settings,
    pictures,
    run_service,
    wait_until,
)

RENEWED = "SELECT locked_until > now() FROM idempotency_keys WHERE key = %s"


def send(client: httpx.Client, key: str, seed: int = 1, **metadata: object) -> httpx.Response:
    """Upload a tracklet under an idempotency key."""
    return client.post(
        "/tracklets",
        data={"metadata": json.dumps({"camera_id": "c1", **metadata})},
        files=frame_files(pictures(seed, 2)),
        headers={"Idempotency-Key": key},
    )


def test_the_same_upload_is_stored_once_and_answered_alike(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service)
    with running_service.client() as client:
        first, second = send(client, key), send(client, key)
    assert first.status_code == second.status_code == 201, second.text
    # Each request has a boundary of its own, and they are one request all the same.
    assert first.request.headers["content-type"] != second.request.headers["content-type"]
    assert first.content == second.content
    assert first.headers["location"] == second.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert count(running_service) == before + 1


def test_whatever_takes_a_key_says_that_its_answer_may_be_an_earlier_one(running_service: RunningService) -> None:
    key = new_key()
    with running_service.client() as client:
        assert send(client, key).status_code == 201
        replayed = send(client, key)
        paths = client.get("/openapi.json").json()["paths"]
    (header,) = replayed.headers.keys() & {"idempotent-replayed"}
    for methods in paths.values():
        for operation in methods.values():
            takes_key = "Idempotency-Key" in [one["name"] for one in operation.get("parameters", ())]
            for status, answer in operation["responses"].items():
                said = header in {name.lower() for name in answer["headers"]}
                assert said == (takes_key and status in ("200", "201", "202", "204")), (
                    operation["operationId"],
                    status,
                )


@pytest.mark.parametrize("change", [{"seed": 2}, {"camera_id": "c2"}], ids=["other frames", "other metadata"])
def test_another_request_under_the_same_key_is_refused(running_service: RunningService, change: dict) -> None:
    key = new_key()
    with running_service.client() as client:
        assert send(client, key).status_code == 201
        before = count(running_service)
        assert problem(send(client, key, **change), 422)["code"] == "idempotency_key_reused"
    assert count(running_service) == before


def test_a_key_belongs_to_one_caller_and_one_path(running_service: RunningService) -> None:
    key = new_key()
    headers = {"Idempotency-Key": key}
    with running_service.client() as client:
        made = client.post("/admin/keys", json={"name": "w", "scopes": ["write"]}, headers=headers)
        assert made.status_code == 201
        first = send(client, key)
    with running_service.client(made.json()["secret"]) as client:
        other = send(client, key)
    assert first.status_code == other.status_code == 201
    assert first.json()["id"] != other.json()["id"]


def test_a_refused_request_leaves_its_key_free(running_service: RunningService) -> None:
    key = new_key()
    with running_service.client() as client:
        problem(send(client, key, camera_id=""), 422)
        assert send(client, key).status_code == 201


def test_while_the_first_is_worked_on_the_second_is_told_to_come_back(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service)
    hold = f"PERFORM pg_advisory_xact_lock({HELD})"
    with ThreadPoolExecutor(1) as pool, running_service.client() as client:
        with running_service.database() as connection, trigger(running_service, "INSERT ON tracklets", hold):
            connection.execute(f"SELECT pg_advisory_lock({HELD})")
            first = pool.submit(send, client, key)
            wait_until(lambda: waits(connection))
            refused = send(client, key)
            body = problem(refused, 409)
            assert body["code"] == "idempotency_in_progress"
            assert int(refused.headers["retry-after"]) >= 1
            # However long it takes: its process says that it lives.
            let_claims_run_out(running_service)
            wait_until(lambda: connection.execute(RENEWED, [key]).fetchone() == (True,))
            connection.execute(f"SELECT pg_advisory_unlock({HELD})")
            assert first.result().status_code == 201
        assert send(client, key).content == first.result().content
    assert count(running_service) == before + 1


def test_many_at_once_make_one(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service)
    together = threading.Barrier(6)

    def one(_: int) -> httpx.Response:
        with running_service.client() as client:
            together.wait()
            return send(client, key, seed=3)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert count(running_service) == before + 1


def test_an_upload_whose_answer_was_lost_is_found_again(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service)
    with running_service.client() as client:
        with no_answer_kept(running_service):
            first = send(client, key, seed=4)
            assert first.status_code == 201
            problem(send(client, key, seed=5), 422)
            assert problem(send(client, key, seed=4), 409)["code"] == "idempotency_in_progress"
            let_claims_run_out(running_service)
            again = send(client, key, seed=4)
        let_claims_run_out(running_service)
        problem(send(client, key, seed=5), 422)
        last = send(client, key, seed=4)
        replayed = send(client, key, seed=4)
    for answer in (again, last, replayed):
        assert (answer.status_code, answer.json()) == (201, first.json())
    assert "idempotent-replayed" not in last.headers
    assert replayed.headers["idempotent-replayed"] == "true"
    assert count(running_service) == before + 1


def test_an_upload_that_is_stored_is_found_even_if_its_retry_fails_first(running_service: RunningService) -> None:
    key, before = new_key(), count(running_service)
    with running_service.client() as client:
        with no_answer_kept(running_service):
            first = send(client, key, seed=6)
        let_claims_run_out(running_service)
        admission = running_service.service.admission
        admission._inside += admission._limit
        assert problem(send(client, key, seed=6), 503)["code"] == "unavailable"
        admission._inside -= admission._limit
        assert send(client, key, seed=6).json() == first.json()
    assert count(running_service) == before + 1


@pytest.mark.parametrize(
    ("path", "body"), [("/admin/reindex", {}), ("/admin/repair", None), ("/admin/generations/1/activate", None)]
)
def test_a_job_is_started_once(running_service: RunningService, path: str, body: dict | None) -> None:
    key, before = new_key(), count(running_service, "jobs")
    headers = {"Idempotency-Key": key}
    with running_service.client() as client:
        with no_answer_kept(running_service):
            first = client.post(path, json=body, headers=headers)
        let_claims_run_out(running_service)
        second, third = (client.post(path, json=body, headers=headers) for _ in range(2))
        assert first.status_code == second.status_code == third.status_code == 202, first.text
        assert first.json()["id"] == second.json()["id"] == third.json()["id"]
        assert third.headers["location"] == f"/jobs/{first.json()['id']}"
        assert third.headers["retry-after"]
        assert count(running_service, "jobs") == before + 1
        wait_until(lambda: client.get(first.headers["location"]).json()["finished_at"])


def test_a_key_is_made_once_and_its_secret_is_shown_again_but_kept_nowhere(running_service: RunningService) -> None:
    headers = {"Idempotency-Key": new_key()}
    before = count(running_service, "api_keys")
    with running_service.client() as client:

        def make() -> httpx.Response:
            return client.post("/admin/keys", json={"name": "n", "scopes": ["read"]}, headers=headers)

        with no_answer_kept(running_service):
            first = make()
        let_claims_run_out(running_service)
        second, third = make(), make()
    assert first.status_code == 201
    assert first.json() == second.json() == third.json()
    assert third.headers["idempotent-replayed"] == "true"
    assert count(running_service, "api_keys") == before + 1
    secret = first.json()["secret"]
    with running_service.client(secret) as client:
        assert client.get("/tracklets").status_code == 200
    with running_service.database() as connection:
        everything = connection.execute("SELECT row_to_json(idempotency_keys)::text, body FROM idempotency_keys")
        for row, body in everything.fetchall():
            assert secret not in row
            assert secret.removeprefix("tfclip_").encode() not in (body or b"")


def test_without_keys_all_callers_are_one(postgres: EmbeddedPostgres, data_folder: Path) -> None:
    headers = {"Idempotency-Key": new_key()}
    body = {"name": "n", "scopes": ["read"]}
    with (
        empty_database(postgres) as url,
        run_service(make_settings(data_folder / "data", url, auth="off")) as running,
        running.client(key=None) as client,
    ):
        first = client.post("/admin/keys", json=body, headers=headers)
        second = client.post("/admin/keys", json=body, headers=headers | {"Authorization": "Bearer anything"})
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()


def test_a_model_is_registered_once(running_service: RunningService) -> None:
    headers = {"Idempotency-Key": new_key()}
    (file,) = [path.name for path in (running_service.data_directory / "models").glob("*.safetensors")]
    with running_service.client() as client:
        first, second = (client.post("/admin/models", json={"path": file}, headers=headers) for _ in range(2))
        other = client.post("/admin/models?name=other", json={"path": file}, headers=headers)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    problem(other, 422)


BAD_KEYS = {
    "empty": "",
    "two words": "a b",
    "long": "a" * 256,
    "open string": '"abc',
    "empty string": '""',
    "bytes": b"\xff\xfe",
    "not ascii": "é".encode(),
    "tab": "a\tb",
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_what_is_no_key_is_refused(running_service: RunningService, name: str) -> None:
    before = count(running_service)
    with running_service.client() as client:
        problem(send(client, BAD_KEYS[name]), 422)
    assert count(running_service) == before


def test_two_keys_are_none(running_service: RunningService) -> None:
    body = multipart(('name="metadata"', b'{"camera_id": "c"}'), ('name="frames"; filename="0"', pictures(1, 1)[0]))
    headers = ("Idempotency-Key: a", "Idempotency-Key: b", f"Content-Length: {len(body)}")
    with connect(running_service) as connection:
        form = "Content-Type: multipart/form-data; boundary=frontier"
        connection.sendall(head(running_service, "POST", "/tracklets", form, *headers) + body)
        problem(read_answer(connection), 422)


def test_a_quoted_key_is_the_same_key(running_service: RunningService) -> None:
    key = new_key()
    with running_service.client() as client:
        first, second = send(client, key), send(client, f'"{key}"')
    assert first.content == second.content


def test_nobody_without_a_key_learns_anything_of_one(running_service: RunningService) -> None:
    key = new_key()
    with running_service.client() as client:
        assert send(client, key).status_code == 201
    with running_service.client(key=None) as client:
        problem(send(client, key), 401)
        problem(send(client, ""), 401)


def test_an_expired_key_is_forgotten(running_service: RunningService) -> None:
    key = new_key()
    with running_service.client() as client:
        first = send(client, key)
        with running_service.database() as connection:
            connection.execute(
                "UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE key = %s",
                [key],
            )
        second = send(client, key, seed=9)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


def test_every_post_that_creates_takes_a_key(running_service: RunningService) -> None:
    description = httpx.get(f"{running_service.url}/openapi.json").json()
    posts = {path: methods["post"] for path, methods in description["paths"].items() if "post" in methods}
    takes = {
        path: {parameter["name"] for parameter in post.get("parameters", []) if parameter["in"] == "header"}
        for path, post in posts.items()
    }
    # These ask, and change nothing.
    asking = {"/search", "/search/export", "/search/examples", "/search/examples/export", "/search/batch", "/verify"}
    assert {path for path in posts if "Idempotency-Key" not in takes[path]} == asking
    assert all({"409", "422"} <= set(posts[path]["responses"]) for path in posts.keys() - asking)
