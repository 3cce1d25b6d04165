"""What tells one request from another, computed while its body comes in."""

import hashlib

from python_multipart.multipart import parse_options_header


class Fingerprint:
    """SHA-256 over media type, query string and body.

    The boundary of a multipart body is left out: clients make a new one every time they send the same form.
    """

    def __init__(self, query: bytes, content_type: str) -> None:
        kind, options = parse_options_header(content_type)
        self._whole = hashlib.sha256(len(query).to_bytes(8, "big") + query + kind + b"\0")
        boundary = options.get(b"boundary") if kind == b"multipart/form-data" else None
        self._delimiter = b"--" + boundary if boundary else b""
        self._part = hashlib.sha256()
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the body."""
        if not self._delimiter:
            self._part.update(chunk)
            return
        *parts, last = (self._tail + chunk).split(self._delimiter)
        for part in parts:
            self._part.update(part)
            self._end_part()
        # A delimiter may be cut in two by the end of the chunk.
        kept = min(len(last), len(self._delimiter) - 1)
        self._part.update(last[: len(last) - kept])
        self._tail = last[len(last) - kept :]

    def digest(self) -> bytes:
        """The fingerprint of everything so far."""
        self._part.update(self._tail)
        self._tail = b""
        self._end_part()
        return self._whole.digest()

    def _end_part(self) -> None:
        # A digest for each part: no two lists of parts come to the same bytes.
        self._whole.update(self._part.digest())
        self._part = hashlib.sha256()
