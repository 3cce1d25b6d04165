"""Both clients against a real HTTP server that answers by a script."""

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO

import pytest

from service.client import (
    ApiProblem,
    JobTimeoutError,
    RetryPolicy,
    SearchOptions,
    TfclipClient,
    UnexpectedAnswerError,
    UnreachableError,
)
from service.client.retries import retry_after_seconds
from tests.service.client.scripted import OnALoop, Script, scripted_server

QUICK = RetryPolicy(attempts=4, first_delay_seconds=0.001, longest_delay_seconds=0.01)
JPEG = b"\xff\xd8\xff\xe0 not decoded here"
TRACKLET = {
    "id": "0192",
    "gallery": "default",
    "camera_id": "c1",
    "frame_count": 1,
    "created_at": "2026-01-02T03:04:05Z",
    "added_later": "ignored",
}
MODEL = {"id": "m", "name": "tfclip-demo", "trained": True, "demo": True}
JOB = {"id": "j1", "kind": "reindex", "status": "running", "done": 1, "total": 2, "error": None}


@pytest.fixture(scope="module")
def server() -> Iterator[Script]:
    with scripted_server() as told:
        yield told


@pytest.fixture
def script(server: Script) -> Script:
    server.answers, server.asked = [], []
    return server


@pytest.fixture(scope="module", params=[TfclipClient, OnALoop], ids=["synchronous", "asynchronous"])
def kind(request: pytest.FixtureRequest) -> type[TfclipClient]:
    """Either client: whatever is asked here, both do alike."""
    return request.param


@pytest.fixture(scope="module")
def client(server: Script, kind: type[TfclipClient]) -> Iterator[TfclipClient]:
    with kind(server.url, "key-of-the-test", retries=QUICK) as made:
        yield made


def test_an_upload_carries_metadata_frames_and_key(script: Script, client: TfclipClient) -> None:
    script.then(201, TRACKLET)
    stored = client.create_tracklet([JPEG, b"\x89PNG"], "c1", external_id="a/b/c", identity="a", labels={"x": 1})
    assert stored.created
    assert stored.tracklet.id == "0192"
    ((method, path, body, headers),) = script.asked
    assert (method, path, headers["Authorization"]) == ("POST", "/tracklets", "Bearer key-of-the-test")
    assert b'{"camera_id": "c1", "external_id": "a/b/c", "identity": "a", "labels": {"x": 1}}' in body
    assert body.index(b"image/jpeg") < body.index(JPEG) < body.index(b"image/png") < body.index(b"\x89PNG")
    assert body.count(b'name="frames"') == 2


def test_a_tracklet_that_was_there_is_told_from_a_new_one(script: Script, client: TfclipClient) -> None:
    script.then(200, TRACKLET)
    assert not client.create_tracklet([JPEG], "c1", external_id="e").created


def test_a_busy_service_is_asked_again_after_the_time_it_named(script: Script, client: TfclipClient) -> None:
    script.then(503, None, Retry_After="0").then(429, None, Retry_After="0").then(201, TRACKLET)
    assert client.create_tracklet([JPEG], "c1", external_id="e").created
    assert len(script.asked) == 3
    assert all(b'"external_id": "e"' in body and JPEG in body for _, _, body, _ in script.asked)


def test_an_upload_survives_a_connection_reset_when_it_has_an_external_id(script: Script, client: TfclipClient) -> None:
    script.then_reset().then(201, TRACKLET)
    assert client.create_tracklet([JPEG], "c1", external_id="e").created
    assert len(script.asked) == 2


def test_what_creates_is_sent_again_under_the_same_idempotency_key(script: Script, client: TfclipClient) -> None:
    script.then_reset().then(503, None, Retry_After="0").then(409, None, Retry_After="0").then(201, TRACKLET)
    assert client.create_tracklet([JPEG], "c1").created
    script.then(201, TRACKLET)
    client.create_tracklet([JPEG], "c1")
    keys = [headers["Idempotency-Key"] for *_, headers in script.asked]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        ("create_key", ("n", ["read"]), {"id": "k", "name": "n", "scopes": [], "secret": "s"}),
        ("reindex", (), JOB),
        ("repair", (), JOB),
        ("activate_generation", (1,), JOB),
    ],
)
def test_other_creating_requests_carry_one_too(
    script: Script, client: TfclipClient, method: str, arguments: tuple, answer: dict
) -> None:
    script.then_reset().then(201, answer)
    getattr(client, method)(*arguments)
    keys = [headers["Idempotency-Key"] for *_, headers in script.asked]
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_weights_are_sent_from_where_the_file_stands_and_their_length_before_them(
    script: Script, client: TfclipClient
) -> None:
    weights = random.Random(1).randbytes(200_000)
    file = BytesIO(b"read already" + weights)
    file.seek(len(b"read already"))
    script.then(201, MODEL | {"dimension": 8})
    assert client.add_model(file, "night").id == "m"
    ((method, path, body, headers),) = script.asked
    assert (method, path) == ("POST", "/admin/models?name=night")
    assert headers["Content-Length"] == str(len(weights))
    assert "Transfer-Encoding" not in headers
    assert body == weights


def test_what_cannot_be_repeated_is_sent_once(script: Script, client: TfclipClient) -> None:
    script.then_reset().then(202, JOB)
    with pytest.raises(UnreachableError):
        client.purge_generation(1)
    assert len(script.asked) == 1


def test_patience_has_an_end(script: Script, client: TfclipClient) -> None:
    for _ in range(9):
        script.then(503, {"title": "Busy", "code": "queue_full"}, Retry_After="0")
    with pytest.raises(ApiProblem, match="Busy"):
        client.search("q")
    assert len(script.asked) == QUICK.attempts


def test_a_longer_wait_than_the_bound_is_not_waited_for(script: Script, client: TfclipClient) -> None:
    script.then(503, None, Retry_After="3600").then(200, TRACKLET)
    with pytest.raises(ApiProblem):
        client.get_tracklet("t")
    assert len(script.asked) == 1


def test_an_error_that_does_not_pass_is_not_retried(script: Script, client: TfclipClient) -> None:
    script.then(409, {"title": "Taken", "code": "external_id_conflict"})
    with pytest.raises(ApiProblem, match="Taken"):
        client.create_tracklet([JPEG], "c1", external_id="e")
    assert len(script.asked) == 1


def test_a_problem_document_becomes_an_exception_with_its_fields(script: Script, client: TfclipClient) -> None:
    document = {
        "type": "about:blank",
        "title": "The request is not valid",
        "status": 422,
        "detail": "k: too large",
        "code": "invalid_request",
        "request_id": "r-1",
        "errors": [{"location": "k", "message": "too large"}],
    }
    script.then(422, document, Content_Type="application/problem+json")
    with pytest.raises(ApiProblem) as caught:
        client.search("q", SearchOptions(k=5000))
    problem = caught.value
    assert (problem.status, problem.code, problem.title) == (422, "invalid_request", "The request is not valid")
    assert (problem.detail, problem.request_id) == ("k: too large", "r-1")
    assert problem.errors == ({"location": "k", "message": "too large"},)


def test_a_proxy_that_answers_without_json_is_a_problem_too(script: Script, client: TfclipClient) -> None:
    script.then(502, b"<html>Bad Gateway</html>")
    with pytest.raises(ApiProblem) as caught:
        client.get_tracklet("t")
    assert (caught.value.status, caught.value.code, caught.value.title) == (502, "http_502", "Bad Gateway")


def test_an_answer_of_another_service_is_told_as_such(script: Script, client: TfclipClient) -> None:
    script.then(200, {"hello": "world"})
    with pytest.raises(UnexpectedAnswerError, match="is this the service's address"):
        client.get_tracklet("t")


def test_a_deletion_whose_answer_was_lost_is_done(script: Script, client: TfclipClient) -> None:
    script.then_reset().then(404, {"title": "Not found", "code": "not_found"})
    client.delete_tracklet("t")
    assert [method for method, *_ in script.asked] == ["DELETE", "DELETE"]


def test_a_deletion_of_what_never_was_is_a_problem(script: Script, client: TfclipClient) -> None:
    script.then(404, {"title": "Not found", "code": "not_found"})
    with pytest.raises(ApiProblem, match="Not found"):
        client.delete_tracklet("t")


def test_an_id_cannot_leave_its_place_in_the_path(script: Script, client: TfclipClient) -> None:
    script.then(200, TRACKLET)
    client.get_tracklet("a/b?c")
    assert script.asked[0][1] == "/tracklets/a%2Fb%3Fc"


def test_lists_follow_the_cursor_to_its_end(script: Script, client: TfclipClient) -> None:
    script.then(200, {"items": [TRACKLET, TRACKLET], "next_cursor": "n&2"}).then(
        200, {"items": [TRACKLET], "next_cursor": None}
    )
    assert len(list(client.list_tracklets("yard", page_size=2))) == 3
    assert [path for _, path, _, _ in script.asked] == [
        "/tracklets?limit=2&gallery=yard",
        "/tracklets?limit=2&gallery=yard&cursor=n%262",
    ]


def test_search_options_become_parameters(script: Script, client: TfclipClient) -> None:
    ranking = {"query_id": "q", "model_id": "m", "generation": 1, "took_ms": 0.5, "results": []}
    script.then(200, ranking).then(200, ranking)
    options = SearchOptions(k=3, camera_id=["a", "b"], exclude_query_camera=True, min_score=-0.5)
    client.search("q", options)
    client.search("q")
    parameters = "query_id=q&k=3&camera_id=a&camera_id=b&exclude_query_camera=true&min_score=-0.5"
    assert script.asked[0][1] == f"/search?{parameters}"
    assert script.asked[1][1] == "/search?query_id=q"


def test_an_answer_names_its_model_where_the_service_does(script: Script, client: TfclipClient) -> None:
    ranking = {"query_id": "q", "model_id": "m", "generation": 1, "took_ms": 0.5, "results": []}
    script.then(200, ranking | {"model": MODEL}).then(200, ranking)
    named = client.search("q").model
    assert named is not None
    assert (named.name, named.trained, named.demo) == ("tfclip-demo", True, True)
    assert client.search("q").model is None


def test_a_search_by_frames_is_repeated_because_it_stores_nothing(script: Script, client: TfclipClient) -> None:
    script.then_reset().then(200, {"query_id": None, "model_id": "m", "generation": 1, "took_ms": 0.5, "results": []})
    assert client.search_frames([JPEG]).query_id is None
    assert len(script.asked) == 2


def test_waiting_for_a_job_sees_every_state_and_returns_the_last(script: Script, client: TfclipClient) -> None:
    script.then(200, JOB).then(200, JOB | {"done": 2, "status": "failed", "error": "disk full"})
    seen: list[int] = []
    job = client.wait_for_job("j1", poll_seconds=0.001, on_progress=lambda state: seen.append(state.done))
    assert (job.status, job.error, seen) == ("failed", "disk full", [1, 2])


def test_waiting_for_a_job_ends_with_the_callers_patience(script: Script, client: TfclipClient) -> None:
    script.then(200, JOB)
    with pytest.raises(JobTimeoutError, match="still running"):
        client.wait_for_job("j1", timeout_seconds=0, poll_seconds=0.001)


def test_readiness_is_asked_once_and_says_why_not(script: Script, client: TfclipClient) -> None:
    model = {"id": "m", "trained": False, "source": None}
    script.then(503, {"status": "not ready", "reasons": ["index"], "model": model}, Retry_After="0")
    script.then(200, {"status": "ready", "reasons": [], "model": model})
    script.then(503, {"title": "Starting", "status": 503})
    first, second, third = (client.ready() for _ in range(3))
    assert (first.ready, first.reasons) == (False, ["index"])
    assert second.ready
    assert second.model is not None
    assert not second.model.trained
    assert not third.ready


def test_an_address_where_nothing_listens_is_unreachable(kind: type[TfclipClient]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with kind(url, retries=QUICK) as client, pytest.raises(UnreachableError, match=url):
            client.job("j")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://localhost", "http://[", ""])
def test_an_address_that_is_none_is_unreachable(kind: type[TfclipClient], url: str) -> None:
    with kind(url) as client, pytest.raises(UnreachableError):
        client.ready()


def test_a_key_that_no_header_can_carry_is_refused_at_once(kind: type[TfclipClient]) -> None:
    with pytest.raises(ValueError, match="line break"):
        kind("http://localhost", "secret\n")


def test_waits_double_up_to_the_bound_and_are_never_all_the_same() -> None:
    policy = RetryPolicy(attempts=6, first_delay_seconds=1, longest_delay_seconds=4)
    for attempt, full in ((1, 1.0), (2, 2.0), (3, 4.0), (5, 4.0)):
        delays = {policy.delay(attempt) for _ in range(50)}
        assert len(delays) > 1
        assert all(delay is not None and full / 2 <= delay <= full for delay in delays)
    assert policy.delay(6) is None


def test_a_wait_is_never_shorter_than_the_service_asked() -> None:
    policy = RetryPolicy(longest_delay_seconds=10)
    assert all((policy.delay(1, 3.0) or 0) >= 3 for _ in range(50))
    assert policy.delay(1, 11.0) is None


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), (None, None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)]
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header) == seconds


def test_the_client_imports_nothing_heavy() -> None:
    code = "import sys, service.client; print({'torch', 'faiss', 'sqlalchemy', 'fastapi'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
