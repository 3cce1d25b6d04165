"""Cursors of rankings: the place after which a page goes on, which ranking it is a place of, and how that began."""

import base64
import hashlib
import json
import math
import struct
import uuid
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime

from service.errors import CursorExpired, FieldError, InvalidRequest
from service.gallery.options import SearchOptions
from service.gallery.questions import Hit, Question

_LAYOUT = struct.Struct(">d16sIdq16s")  # score, id, rank, best, generation, mark
_CHECK_BYTES = 6
"""With the layout a multiple of three: base64 has no last bits then that mean nothing."""

_FREE = ("k", "cursor")
"""Options that may differ from page to page."""


def mark_of(question: Question, options: SearchOptions) -> bytes:
    """What tells one ranking from another: the vectors, who must not answer, and every option but the page's size."""
    named = {option.name: getattr(options, option.name) for option in fields(options) if option.name not in _FREE}
    named["barred"] = question.without | ({question.exclude} if question.exclude else set())
    text = json.dumps(named, sort_keys=True, default=_plain)
    return hashlib.blake2b(text.encode() + (question.made_of or question.query.tobytes()), digest_size=16).digest()


def encode(last: Hit, rank: int, best: float, generation: int, mark: bytes) -> str:
    """The cursor that goes on after `last`, which was shown at `rank`; `best` is the first place's score."""
    content = _LAYOUT.pack(last.score, last.tracklet_id.bytes, rank, best, generation, mark)
    return base64.urlsafe_b64encode(content + _check(content)).decode()


def decode(cursor: str, generation: int, mark: bytes) -> tuple[Hit, int, float]:
    """The place after which to go on in the ranking that `generation` and `mark` name, its rank, and the best score.

    Raises:
        InvalidRequest: the cursor is not one of ours.
        CursorExpired: it is of another ranking.
    """
    # Whoever makes one up gets a place in a ranking that they may read anyway: the check is against accidents.
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        content, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        score, identifier, rank, best, its_generation, its_mark = _LAYOUT.unpack(content)
        if check != _check(content) or not math.isfinite(score) or not math.isfinite(best):
            raise ValueError("altered")
    except (ValueError, struct.error):
        message = "is not a cursor of this service; take `next_cursor` of the page before"
        raise InvalidRequest(f"cursor {message}.", [FieldError("cursor", message)]) from None
    if its_generation != generation:
        raise CursorExpired(
            f"The cursor is of generation {its_generation}, the gallery is on {generation} by now. Begin anew."
        )
    if its_mark != mark:
        raise CursorExpired(
            "The cursor is of another query or of other options. Repeat all but `k` as they were, or begin anew."
        )
    return Hit(uuid.UUID(bytes=identifier), score), rank, best


def _check(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECK_BYTES, person=b"tfclip search").digest()


def _plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        # In an order that does not depend on the process.
        return sorted(str(one) for one in value)
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)
