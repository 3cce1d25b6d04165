"""API keys: random, shown once, kept as SHA-256."""

import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import LargeBinary, any_, bindparam, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service import creation
from service.errors import QuotaExceeded
from service.store.tables import KeyRow, TrackletRow

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret.

    Attributes:
        requests_per_minute, max_tracklets: its limits; None is the settings' default, 0 is no limit.
        version: raised by every change.
    """

    id: uuid.UUID
    name: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    requests_per_minute: int | None
    max_tracklets: int | None
    version: int


@dataclass(frozen=True)
class Limits:
    """What a key may use; None is the settings' default, 0 is no limit."""

    requests_per_minute: int | None = None
    max_tracklets: int | None = None


def new_secret() -> str:
    """A fresh key: 32 random bytes, with a prefix that secret scanners can look for."""
    return f"tfclip_{creation.new_secret()}"


def digest(secret: str) -> bytes:
    """What is stored of a key. A plain hash suffices because keys are long and random, unlike passwords."""
    return hashlib.sha256(secret.encode()).digest()


_KEY = (
    KeyRow.id,
    KeyRow.name,
    KeyRow.scopes,
    KeyRow.created_at,
    KeyRow.revoked_at,
    KeyRow.requests_per_minute,
    KeyRow.max_tracklets,
    KeyRow.version,
)
# Built once: every request asks it, and building it would cost as much again.
_BY_DIGEST = select(*_KEY, KeyRow.sha256).where(
    KeyRow.sha256 == any_(bindparam("digests", type_=ARRAY(LargeBinary))), KeyRow.revoked_at.is_(None)
)


async def find_by_digests(connection: AsyncConnection, digests: Collection[bytes]) -> dict[bytes, ApiKey]:
    """Those of the keys that exist and are not revoked, by the digest of their secret."""
    rows = await connection.execute(_BY_DIGEST, {"digests": list(digests)})
    found = {row.sha256: _key(row) for row in rows}
    return {digest: key for digest, key in found.items() if key is not None}


async def find(connection: AsyncConnection, key_id: uuid.UUID, *, for_update: bool = False) -> ApiKey | None:
    """The key, if there is one; `for_update`: nobody changes it before this transaction ends."""
    statement = select(*_KEY).where(KeyRow.id == key_id)
    if for_update:
        # Who only refers to the key, as a new tracklet does, need not wait.
        statement = statement.with_for_update(key_share=True)
    return _key((await connection.execute(statement)).one_or_none())


async def list_page(
    connection: AsyncConnection, limit: int, before: tuple[datetime, uuid.UUID] | None = None
) -> list[ApiKey]:
    """Up to `limit` keys, revoked ones too, newest first, older than `before` (creation time, id)."""
    statement = select(*_KEY).order_by(KeyRow.created_at.desc(), KeyRow.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(tuple_(KeyRow.created_at, KeyRow.id) < tuple_(*before))
    found = [_key(row) for row in await connection.execute(statement)]
    return [key for key in found if key is not None]


async def create(
    connection: AsyncConnection, name: str, scopes: list[Scope], secret: str, limits: Limits | None = None
) -> ApiKey:
    """Store a key. The caller shows the secret once and forgets it.

    A request that is sent again under its idempotency key finds the key that it made.
    """
    key_id = creation.new_id("key")
    limits = limits or Limits()
    statement = insert_or(KeyRow).values(
        id=key_id,
        name=name,
        sha256=digest(secret),
        scopes=list(scopes),
        requests_per_minute=limits.requests_per_minute,
        max_tracklets=limits.max_tracklets,
    )
    await connection.execute(statement.on_conflict_do_nothing(index_elements=[KeyRow.id]))
    key = await find(connection, key_id)
    assert key is not None
    return key


async def change(connection: AsyncConnection, key_id: uuid.UUID, values: Mapping[str, Any]) -> ApiKey:
    """Give columns of the key, which exists, new values."""
    statement = update(KeyRow).where(KeyRow.id == key_id).values(**values, version=KeyRow.version + 1).returning(*_KEY)
    changed = _key((await connection.execute(statement)).one())
    assert changed is not None
    return changed


async def ensure(connection: AsyncConnection, name: str, scopes: list[Scope], secret: str) -> None:
    """Make `secret` a valid key, whether or not it was one before."""
    await connection.execute(
        insert_or(KeyRow)
        .values(id=uuid.uuid4(), name=name, sha256=digest(secret), scopes=list(scopes))
        .on_conflict_do_update(index_elements=[KeyRow.sha256], set_={"revoked_at": None, "scopes": list(scopes)})
    )


async def revoke(connection: AsyncConnection, key_id: uuid.UUID) -> None:
    """Revoke a key for good; revoking twice is fine."""
    statement = (
        update(KeyRow)
        .where(KeyRow.id == key_id)
        .values(revoked_at=func.coalesce(KeyRow.revoked_at, func.now()), version=KeyRow.version + 1)
    )
    await connection.execute(statement)


async def any_admin(connection: AsyncConnection) -> bool:
    """Whether a valid admin key exists."""
    statement = select(KeyRow.id).where(KeyRow.revoked_at.is_(None), KeyRow.scopes.contains(["admin"])).limit(1)
    return (await connection.execute(statement)).one_or_none() is not None


async def tracklets_of(connection: AsyncConnection, key_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many of the tracklets that are stored now each key has sent; keys without any are left out."""
    statement = (
        select(TrackletRow.key_id, func.count()).where(TrackletRow.key_id.in_(key_ids)).group_by(TrackletRow.key_id)
    )
    return {row[0]: row[1] for row in await connection.execute(statement) if row[0] is not None}


async def check_quota(connection: AsyncConnection, key_id: uuid.UUID, quota: int, *, lock: bool) -> None:
    """Refuse another tracklet of the key when it has stored as many as it may.

    Args:
        lock: until this transaction ends no other one is let in by this check, so that the count holds.

    Raises:
        QuotaExceeded: the remedy is in it.
    """
    if lock:
        await find(connection, key_id, for_update=True)
    stored = (await tracklets_of(connection, [key_id])).get(key_id, 0)
    if stored >= quota:
        raise QuotaExceeded(
            f"This key has stored {stored} tracklets and may store {quota}. Delete some that it stored, or ask an "
            "administrator for more (`max_tracklets` of the key)."
        )


def _key(row: Any) -> ApiKey | None:
    return None if row is None else ApiKey(row.id, row.name, frozenset(row.scopes), *row[3 : len(_KEY)])
