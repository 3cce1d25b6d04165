"""Cursors of lists: opaque to clients, the position after the last item to us."""

import base64
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from service.errors import FieldError, InvalidRequest

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cut_page(found: Sequence[T], limit: int, cursor_of: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """The `limit` items that are shown, and the cursor after them if more were found: ask for one more than `limit`."""
    page = found[:limit]
    return page, cursor_of(page[-1]) if len(found) > len(page) else None


def encode_cursor(created_at: datetime, identifier: uuid.UUID) -> str:
    """The position of an item in a list that is ordered by creation time and id."""
    microseconds = (created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big", signed=True) + identifier.bytes).decode()


def decode_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    """The inverse of `encode_cursor`.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise ValueError("wrong length")
        created_at = _EPOCH + timedelta(microseconds=int.from_bytes(raw[:8], "big", signed=True))
        return created_at, uuid.UUID(bytes=raw[8:])
    except (ValueError, OverflowError):
        raise _not_ours() from None


def encode_number(number: int) -> str:
    """The position of an item in a list that is ordered by a number."""
    return base64.urlsafe_b64encode(number.to_bytes(8, "big")).decode()


def decode_number(cursor: str) -> int:
    """The inverse of `encode_number`.

    Raises:
        InvalidRequest: the cursor is not one of ours.
    """
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        if len(raw) != 8:
            raise ValueError("wrong length")
        # What does not fit PostgreSQL's bigint was not made here either.
        return int.from_bytes(raw, "big", signed=False) & (2**63 - 1)
    except ValueError:
        raise _not_ours() from None


def _not_ours() -> InvalidRequest:
    message = "is not a cursor of this service; take `next_cursor` of the page before"
    return InvalidRequest(f"cursor {message}.", [FieldError("cursor", message)])
