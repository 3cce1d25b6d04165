"""Cursors of lists: opaque to clients, the position after the last item to us."""

import base64
import uuid
from datetime import UTC, datetime, timedelta

from service.errors import FieldError, InvalidRequest

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        message = "is not a cursor of this service; take `next_cursor` of the page before"
        raise InvalidRequest(f"cursor {message}.", [FieldError("cursor", message)]) from None
