"""What makes two requests under one `Idempotency-Key` the same."""

import pytest

from service.api.fingerprint import Fingerprint
from tests.contract.outsider import multipart

FORM = "multipart/form-data; boundary="


def fingerprint(body: bytes, content_type: str = "application/json", query: bytes = b"", size: int = 1000) -> bytes:
    """The fingerprint of a body that comes in pieces of this size."""
    made = Fingerprint(query, content_type)
    for start in range(0, len(body), size):
        made.feed(body[start : start + size])
    return made.digest()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_fingerprint_depends_on_neither_pieces_nor_boundary(size: int) -> None:
    parts = (('name="a"', b"--fron--"), ('name="b"', b"-" * 30))
    body = multipart(*parts, boundary="frontier")
    expected = fingerprint(body, FORM + "frontier")
    assert fingerprint(body, FORM + "frontier", size=size) == expected
    assert fingerprint(multipart(*parts, boundary="--x"), FORM + '"--x"', size=size) == expected
    assert fingerprint(multipart(*parts[:1], boundary="frontier"), FORM + "frontier", size=size) != expected
    assert fingerprint(b'{"a": 1}', size=size) == fingerprint(b'{"a": 1}', "application/json; charset=utf-8")


def test_a_fingerprint_tells_bodies_types_and_queries_apart() -> None:
    seen = [
        fingerprint(b""),
        fingerprint(b"ab"),
        fingerprint(b"ab", "text/plain"),
        fingerprint(b"ab", query=b"ab"),
        fingerprint(b"", query=b"ab"),
        fingerprint(b"ab--xcd", FORM + "x"),
        fingerprint(b"a--xbcd", FORM + "x"),
        fingerprint(b"abcd", FORM + "x"),
        fingerprint(b"ab--x--xcd", FORM + "x"),
    ]
    assert len(set(seen)) == len(seen)
