"""What the contract tests share: requests as an outsider sends them, and what every refusal must look like."""

import json
import socket
import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

import httpx
from starlette.routing import compile_path

from service.api.problems import codes_of
from service.openapi import document
from tests.support import RunningService, frame_files, pictures

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "instance", "code", "request_id", "errors"}
# No refusal needs more than this: an answer that echoes its input is an amplifier.
LONGEST_PROBLEM = 20_000
IDENTITIES = ("identities", "identity_events", "match_decisions")
LONG = "x" * 100_000
URI_CHARACTERS = set(string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;=%")


def problem(answer: httpx.Response, *statuses: int, readable: bool = True) -> dict:
    """The body of a refusal, after checking all that holds for every refusal.

    Args:
        answer: what the service answered.
        statuses: the statuses that are right here.
        readable: the request could be read as HTTP; of another nobody knows the path.

    Raises:
        AssertionError: another status, or a body that is not a whole problem document.
    """
    assert answer.status_code in statuses, f"{answer.status_code}, expected {statuses}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) <= LONGEST_PROBLEM
    body = answer.json()
    assert set(body) == PROBLEM_MEMBERS
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    assert 0 < len(body["request_id"]) <= 200
    for member in ("type", "title", "detail", "instance", "code"):
        assert isinstance(body[member], str), member
        assert body[member] or (member == "instance" and not readable), member
    assert set(body["instance"]) <= URI_CHARACTERS, "instance is a URI reference"
    assert isinstance(body["errors"], list)
    for error in body["errors"]:
        assert isinstance(error["message"], str)
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) > 0
    # One that was read from a socket by hand has no request.
    if readable and answer._request is not None:
        assert_declared(answer.request, answer.status_code, body["code"])
    return body


def everything(running: RunningService) -> dict[str, int]:
    """How much is stored anywhere: the footprint, and the rows of every other table that a request can write."""
    counts = running.footprint()
    with running.database() as connection:
        for table in ("galleries", "generations", "models", "api_keys", "jobs", *IDENTITIES):
            counts[table] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    counts["weights"] = sum(1 for path in (running.data_directory / "models").rglob("*") if path.is_file())
    return counts


@contextmanager
def nothing_changes(running: RunningService) -> Iterator[None]:
    """What happens in the block leaves no row, no file and no index entry, and the service still answers after it."""
    before = everything(running)
    yield
    assert everything(running) == before
    with running.client() as client:
        assert client.get("/readyz").status_code == 200
        answer = client.get("/tracklets", params={"limit": 1})
        assert answer.status_code == 200, answer.text


def refused(running: RunningService, send: Callable[[httpx.Client], httpx.Response], *statuses: int) -> dict:
    """Send a request that must be refused with one of `statuses` and change nothing; return the problem."""
    with nothing_changes(running), running.client() as client:
        return problem(send(client), *statuses)


def upload(
    client: httpx.Client, metadata: object = None, frames: list[bytes] | None = None, **values: object
) -> httpx.Response:
    """POST /tracklets.

    Args:
        client: who uploads.
        metadata: the text of the field, or what to write as JSON; by default a camera.
        frames: image files; by default two good ones.
        values: members of the metadata, when `metadata` is not given.
    """
    if metadata is None:
        metadata = {"camera_id": "c1", **values}
    text = metadata if isinstance(metadata, str | bytes) else json.dumps(metadata)
    return client.post(
        "/tracklets", data={"metadata": text}, files=frame_files(pictures(1, 2) if frames is None else frames)
    )


def multipart(*parts: tuple[str, bytes], boundary: str = "frontier", close: bool = True) -> bytes:
    """A multipart body made by hand: each part is its Content-Disposition parameters (and more headers), and bytes."""
    lines = []
    for disposition, content in parts:
        start = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
        lines += [start.encode("utf-8", "surrogateescape"), content, b"\r\n"]
    return b"".join(lines) + (f"--{boundary}--\r\n".encode() if close else b"")


def post_multipart(
    client: httpx.Client, body: bytes, path: str = "/tracklets", boundary: str = "frontier"
) -> httpx.Response:
    """POST a multipart body that was made by hand."""
    return client.post(path, content=body, headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})


def connect(running: RunningService) -> socket.socket:
    """A raw connection to the service."""
    address = urlsplit(running.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def head(running: RunningService, method: str, path: str, *headers: str, key: bool = True) -> bytes:
    """The head of a request for a raw connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: service", *headers]
    if key:
        lines.append(f"Authorization: Bearer {running.admin_key}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_answer(connection: socket.socket) -> httpx.Response:
    """Read one answer with a Content-Length from a raw connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    start, _, body = received.partition(b"\r\n\r\n")
    status, *lines = start.decode("latin-1").split("\r\n")
    headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])
    while len(body) < int(headers.get("content-length", 0)):
        body += _some(connection)
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    assert received, "the connection was closed before the answer was whole"
    return received


@cache
def _declared() -> dict[tuple[str, str], dict[str, list[str]]]:
    """Codes that the OpenAPI document names, by status, of every method and path."""
    return {
        (method.upper(), path): {status: codes_of(answer) for status, answer in operation["responses"].items()}
        for path, methods in json.loads(document())["paths"].items()
        for method, operation in methods.items()
    }


def assert_declared(request: httpx.Request, status: int, code: str) -> None:
    """The description of the operation that was asked, if it was one, names the code."""
    path = request.url.raw_path.decode().partition("?")[0]
    for (method, template), codes in _declared().items():
        if method == request.method and compile_path(template)[0].match(path):
            assert code in codes.get(str(status), []), f"{method} {template} does not name {status} {code}"
            return
