"""API keys: random, shown once, kept as SHA-256."""

import hashlib
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from sqlalchemy import LargeBinary, any_, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import KeyRow

Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret."""

    id: uuid.UUID
    name: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None


def new_secret() -> str:
    """A fresh key: 32 random bytes, with a prefix that secret scanners can look for."""
    return f"tfclip_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> bytes:
    """What is stored of a key. A plain hash suffices because keys are long and random, unlike passwords."""
    return hashlib.sha256(secret.encode()).digest()


_KEY = (KeyRow.id, KeyRow.name, KeyRow.scopes, KeyRow.created_at, KeyRow.revoked_at)
# Built once: every request asks it, and building it would cost as much again.
_BY_DIGEST = select(*_KEY, KeyRow.sha256).where(
    KeyRow.sha256 == any_(bindparam("digests", type_=ARRAY(LargeBinary))), KeyRow.revoked_at.is_(None)
)


async def find_by_digests(connection: AsyncConnection, digests: Collection[bytes]) -> dict[bytes, ApiKey]:
    """Those of the keys that exist and are not revoked, by the digest of their secret."""
    rows = await connection.execute(_BY_DIGEST, {"digests": list(digests)})
    return {row.sha256: ApiKey(row.id, row.name, frozenset(row.scopes), row.created_at, row.revoked_at) for row in rows}


async def list_all(connection: AsyncConnection) -> list[ApiKey]:
    """Every key, revoked ones too, newest first."""
    rows = await connection.execute(select(*_KEY).order_by(KeyRow.created_at.desc(), KeyRow.id))
    return [ApiKey(row.id, row.name, frozenset(row.scopes), row.created_at, row.revoked_at) for row in rows]


async def create(connection: AsyncConnection, name: str, scopes: list[Scope], secret: str) -> ApiKey:
    """Store a key. The caller shows the secret once and forgets it."""
    statement = (
        insert(KeyRow).values(id=uuid.uuid4(), name=name, sha256=digest(secret), scopes=list(scopes)).returning(*_KEY)
    )
    row = (await connection.execute(statement)).one()
    return ApiKey(row.id, row.name, frozenset(row.scopes), row.created_at, row.revoked_at)


async def ensure(connection: AsyncConnection, name: str, scopes: list[Scope], secret: str) -> None:
    """Make `secret` a valid key, whether or not it was one before."""
    await connection.execute(
        insert_or(KeyRow)
        .values(id=uuid.uuid4(), name=name, sha256=digest(secret), scopes=list(scopes))
        .on_conflict_do_update(index_elements=[KeyRow.sha256], set_={"revoked_at": None, "scopes": list(scopes)})
    )


async def revoke(connection: AsyncConnection, key_id: uuid.UUID) -> bool:
    """Revoke a key for good. False when there is no such key; revoking twice is fine."""
    statement = (
        update(KeyRow)
        .where(KeyRow.id == key_id)
        .values(revoked_at=func.coalesce(KeyRow.revoked_at, func.now()))
        .returning(KeyRow.id)
    )
    return (await connection.execute(statement)).one_or_none() is not None


async def any_admin(connection: AsyncConnection) -> bool:
    """Whether a valid admin key exists."""
    statement = select(KeyRow.id).where(KeyRow.revoked_at.is_(None), KeyRow.scopes.contains(["admin"])).limit(1)
    return (await connection.execute(statement)).one_or_none() is not None
