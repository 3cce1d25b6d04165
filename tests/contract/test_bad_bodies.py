"""Bodies that are too large, cut off, of the wrong type, or never come."""

from collections.abc import Iterator
from select import select

import httpx
import pytest

from service.store.embedded import EmbeddedPostgres
from tests.contract.outsider import (
    LONG,
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

LIMIT = 200_000
ENDLESS = 100 * LIMIT
METADATA = ('name="metadata"', b'{"camera_id": "c1"}')
FRAME = ('name="frames"; filename="0.jpg"', picture(1))
GOOD = multipart(METADATA, FRAME)
QUERY = multipart(FRAME)
FORM = "Content-Type: multipart/form-data; boundary=frontier"
WITH_BODY = ("/tracklets", "/search", "/admin/reindex", "/admin/keys")


@pytest.fixture(scope="module")
def narrow_service(postgres: EmbeddedPostgres) -> Iterator[RunningService]:
    """A service with a low limit on bodies and few places for uploads."""
    with reachable_folder() as folder, empty_database(postgres) as url:
        settings = make_settings(folder / "data", url, max_body_bytes=LIMIT, max_frame_bytes=LIMIT, max_uploads=4)
        with run_service(settings) as running:
            yield running


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize("length", [LIMIT + 1, 64 * 1024**2 + 1, 10**18])
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    narrow_service: RunningService, path: str, length: int
) -> None:
    with nothing_changes(narrow_service), connect(narrow_service) as connection:
        connection.sendall(head(narrow_service, "POST", path, FORM, f"Content-Length: {length}"))
        problem(read_answer(connection), 413)


def test_a_client_that_waits_for_leave_is_not_told_to_send_too_much(narrow_service: RunningService) -> None:
    with nothing_changes(narrow_service), connect(narrow_service) as connection:
        expect = (FORM, f"Content-Length: {LIMIT + 1}", "Expect: 100-continue")
        connection.sendall(head(narrow_service, "POST", "/tracklets", *expect))
        problem(read_answer(connection), 413)


@pytest.mark.parametrize("path", WITH_BODY)
def test_a_body_without_a_length_is_read_no_further_than_the_limit(narrow_service: RunningService, path: str) -> None:
    part = multipart(METADATA, ('name="frames"; filename="0.jpg"', bytes(60_000)), close=False)[:60_000]
    chunk = f"{len(part):x}\r\n".encode() + part + b"\r\n"
    sent = 0
    with nothing_changes(narrow_service), connect(narrow_service) as connection:
        connection.sendall(head(narrow_service, "POST", path, FORM, "Transfer-Encoding: chunked"))
        # What the sockets' buffers hold (a few MB) is beyond the service's power; the rest must wait.
        connection.setblocking(False)
        while not select([connection], [], [], 0)[0] and sent < ENDLESS:
            _, writable, _ = select([], [connection], [], 0.01)
            if writable:
                sent += connection.send((chunk * 2)[sent % len(chunk) :][: len(chunk)])
        connection.settimeout(20)
        problem(read_answer(connection), 413)
    assert sent < ENDLESS


def test_a_body_of_exactly_the_limit_is_read(narrow_service: RunningService) -> None:
    padding = LIMIT - len(multipart(METADATA, ('name="frames"; filename="0.jpg"', picture(1))))
    body = multipart(METADATA, ('name="frames"; filename="0.jpg"', picture(1) + bytes(padding)))
    assert len(body) == LIMIT
    with narrow_service.client() as client:
        assert post_multipart(client, body).status_code == 201
    refused(narrow_service, lambda client: post_multipart(client, body + b"\n"), 413)


@pytest.mark.parametrize("path", WITH_BODY)
def test_the_body_of_a_stranger_is_not_read(narrow_service: RunningService, path: str) -> None:
    with nothing_changes(narrow_service), connect(narrow_service) as connection:
        connection.sendall(head(narrow_service, "POST", path, FORM, "Content-Length: 1000", key=False))
        problem(read_answer(connection), 401)


@pytest.mark.parametrize("sent", [0, 10, 150, len(GOOD) // 2, len(GOOD) - 1])
@pytest.mark.parametrize("path", ["/tracklets", "/search"])
def test_clients_that_hang_up_leave_nothing_and_take_no_place(
    narrow_service: RunningService, caplog: pytest.LogCaptureFixture, path: str, sent: int
) -> None:
    before = everything(narrow_service)
    # More than there are places for uploads.
    for _ in range(8):
        with connect(narrow_service) as connection:
            connection.sendall(head(narrow_service, "POST", path, FORM, f"Content-Length: {len(GOOD)}") + GOOD[:sent])
    with narrow_service.client() as client:
        wait_until(lambda: post_multipart(client, QUERY, "/search").status_code == 200, seconds=20)
    assert everything(narrow_service) == before
    assert not [record for record in caplog.records if record.levelname == "ERROR"], (
        "hanging up is no fault of the service"
    )


def test_waiting_clients_do_not_keep_others_from_reading(narrow_service: RunningService) -> None:
    waiting = [connect(narrow_service) for _ in range(8)]
    try:
        for connection in waiting:
            connection.sendall(
                head(narrow_service, "POST", "/tracklets", FORM, f"Content-Length: {len(GOOD)}") + GOOD[:50]
            )
        with narrow_service.client() as client:
            assert client.get("/readyz").status_code == 200
            assert client.get("/tracklets").status_code == 200
            answer = post_multipart(client, QUERY, "/search")
            if answer.status_code != 200:
                problem(answer, 503)
    finally:
        for connection in waiting:
            connection.close()
    with narrow_service.client() as client:
        wait_until(lambda: post_multipart(client, QUERY, "/search").status_code == 200, seconds=20)


def test_a_client_that_hangs_up_after_the_last_byte_stores_all_or_nothing(narrow_service: RunningService) -> None:
    before = everything(narrow_service)
    body = multipart(METADATA, ('name="frames"; filename="0.jpg"', picture(77)))
    with connect(narrow_service) as connection:
        connection.sendall(head(narrow_service, "POST", "/tracklets", FORM, f"Content-Length: {len(body)}") + body)
    with narrow_service.client() as client:
        assert client.get("/readyz").status_code == 200

    def settled() -> bool:
        after = everything(narrow_service)
        gained = {after[name] - before[name] for name in ("tracklets", "descriptors", "frames", "files", "index")}
        return gained in ({0}, {1})

    wait_until(settled, seconds=20)


MALFORMED = {
    "no bytes": b"",
    "only line breaks": b"\r\n\r\n",
    "not multipart": b"camera_id=c1",
    "only the end": b"--frontier--\r\n",
    "another boundary": multipart(METADATA, FRAME, boundary="elsewhere"),
    "no end": multipart(METADATA, FRAME, close=False),
    "cut off in a frame": GOOD[: len(GOOD) // 2],
    "cut off in the metadata": GOOD[:70],
    "cut off in a header": GOOD[:30],
    "no headers": b"--frontier\r\n\r\nx\r\n--frontier--\r\n",
    "no disposition": b"--frontier\r\nContent-Type: image/jpeg\r\n\r\nx\r\n--frontier--\r\n",
    "broken header": b"--frontier\r\n: \0\r\n\r\nx\r\n--frontier--\r\n",
    "header of 100,000 characters": b"--frontier\r\nX: " + LONG.encode() + b"\r\n\r\nx\r\n--frontier--\r\n",
    "10,000 headers": b"--frontier\r\n" + b"X: y\r\n" * 10_000 + b"\r\nx\r\n--frontier--\r\n",
    "unknown charset": multipart(('name="_charset_"', b"utf-99")),
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("path", ["/tracklets", "/search"])
def test_a_malformed_form_is_refused(running_service: RunningService, path: str, name: str) -> None:
    refused(running_service, lambda client: post_multipart(client, MALFORMED[name], path), 400, 413, 422)


CONTENT_TYPES = {
    "none": None,
    "empty": "",
    "json": "application/json",
    "url-encoded": "application/x-www-form-urlencoded",
    "octets": "application/octet-stream",
    "image": "image/jpeg",
    "mixed": "multipart/mixed; boundary=frontier",
    "nonsense": "nonsense",
}


@pytest.mark.parametrize("name", CONTENT_TYPES)
@pytest.mark.parametrize("path", ["/tracklets", "/search"])
def test_a_form_under_another_name_is_refused(running_service: RunningService, path: str, name: str) -> None:
    def send(client: httpx.Client) -> httpx.Response:
        type = CONTENT_TYPES[name]
        return client.post(path, content=GOOD, headers={} if type is None else {"Content-Type": type})

    refused(running_service, send, 415)


BOUNDARIES = {
    "missing": "multipart/form-data",
    "empty": "multipart/form-data; boundary=",
    "quoted nothing": 'multipart/form-data; boundary=""',
    "5,000 characters": f"multipart/form-data; boundary={'b' * 5000}",
    "beyond ascii": b"multipart/form-data; boundary=\xff\xfe",
    "unknown charset": "multipart/form-data; boundary=elsewhere; charset=utf-99",
}


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("path", ["/tracklets", "/search"])
def test_a_form_with_a_bad_boundary_is_refused(running_service: RunningService, path: str, name: str) -> None:
    headers = {"Content-Type": BOUNDARIES[name]}
    refused(running_service, lambda client: client.post(path, content=GOOD, headers=headers), 400, 415, 422)


@pytest.mark.parametrize(
    "type", ["multipart/form-data; boundary=frontier; charset=utf-99", "Multipart/Form-Data; boundary=frontier"]
)
def test_an_odd_but_good_content_type_works_or_is_refused_clearly(running_service: RunningService, type: str) -> None:
    with running_service.client() as client:
        answer = client.post("/search", content=QUERY, headers={"Content-Type": type})
        if answer.status_code != 200:
            problem(answer, 400, 415, 422)


BAD_HEADS = {
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
    "negative length": b"POST /tracklets HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length in words": b"POST /tracklets HTTP/1.1\r\nHost: a\r\nContent-Length: ten\r\n\r\n",
    "length of 31 digits": b"POST /tracklets HTTP/1.1\r\nHost: a\r\nContent-Length: 1" + b"0" * 30 + b"\r\n\r\n",
    "two lengths": b"POST /tracklets HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "nul in the path": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "blank in the path": b"GET /tracklets/a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "nul in a header": b"GET /livez HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "path of 100,000 characters": f"GET /{LONG} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "path of 1,000,000 characters": f"GET /{LONG * 10} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "query of 100,000 characters": f"GET /search?camera_id={LONG} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    "header of 100,000 characters": f"GET /tracklets HTTP/1.1\r\nHost: a\r\nX: {LONG}\r\n\r\n".encode(),
    "key of 100,000 characters": f"GET /tracklets HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {LONG}\r\n\r\n".encode(),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_request_that_is_no_http_or_too_long_is_answered_with_a_problem(
    running_service: RunningService, name: str
) -> None:
    with nothing_changes(running_service), connect(running_service) as connection:
        connection.sendall(BAD_HEADS[name])
        problem(read_answer(connection), 400, 401, 404, 413, 414, 422, 431, readable=False)
