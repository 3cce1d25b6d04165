"""What repeated requests are told by."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, Text, func
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from service.store.tables.base import Moment, Table


class IdempotencyRow(Table):
    """An `Idempotency-Key` that a caller sent to a path.

    `fingerprint` tells whether a later request with it is the same one. From `seed` come the ids of what it creates, so
    that it creates them once. `status` is null until it was answered. `owner` works on it, and is taken for dead after
    `locked_until`.
    """

    __tablename__ = "idempotency_keys"

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    seed: Mapped[bytes] = mapped_column(LargeBinary)
    owner: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    locked_until: Mapped[datetime] = mapped_column(Moment)
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(Moment, index=True)
