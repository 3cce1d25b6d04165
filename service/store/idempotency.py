"""Idempotency keys: who works on a request, and what was answered."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import IdempotencyRow

Row = IdempotencyRow
_SEED_BYTES = 32


@dataclass(frozen=True)
class Name:
    """What a key is unique by: two callers, or two paths, share none."""

    caller: str
    path: str
    key: str


@dataclass(frozen=True)
class Claim:
    """Leave to work on a request.

    Attributes:
        fresh: nobody worked on it before. Else somebody did, may have changed something, and was not heard of again.
    """

    name: Name
    owner: uuid.UUID
    seed: bytes = field(repr=False)
    fresh: bool


@dataclass(frozen=True)
class Answer:
    """What was answered, of a request that changed something."""

    status: int
    headers: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Taken:
    """A key that cannot be claimed: for another request, or because somebody works on it, or because it was answered.

    Attributes:
        answer: None while it is worked on.
        seed: what the ids of what it created came from.
    """

    fingerprint: bytes
    answer: Answer | None
    seed: bytes = field(repr=False)


async def claim(
    connection: AsyncConnection, name: Name, fingerprint: bytes, lease: timedelta, keep: timedelta
) -> Claim | Taken:
    """Claim the key, unless it is taken. A claim that was not heard of for its lease is taken over.

    Args:
        fingerprint: SHA-256 of what was asked, as far as it has come in.
        lease: for how long the claim holds unless it is renewed.
        keep: for how long the key is remembered.
    """
    await connection.execute(delete(Row).where(*_is(name), Row.expires_at < func.now(), Row.locked_until < func.now()))
    owner = uuid.uuid4()
    seed = secrets.token_bytes(_SEED_BYTES)
    statement = insert(Row).values(
        caller=name.caller,
        path=name.path,
        key=name.key,
        fingerprint=fingerprint,
        seed=seed,
        owner=owner,
        locked_until=func.now() + lease,
        expires_at=func.now() + keep,
    )
    claimed = await connection.scalar(
        statement.on_conflict_do_update(
            index_elements=[Row.caller, Row.path, Row.key],
            set_={"owner": owner, "locked_until": func.now() + lease},
            where=Row.status.is_(None) & (Row.locked_until < func.now()) & (Row.fingerprint == fingerprint),
        ).returning(Row.seed)
    )
    if claimed is not None:
        return Claim(name, owner, claimed, fresh=claimed == seed)
    # The conflict has locked the row, whether or not it was updated: it is there.
    columns = (Row.fingerprint, Row.seed, Row.status, Row.headers, Row.body)
    found = (await connection.execute(select(*columns).where(*_is(name)))).one()
    answer = None if found.status is None else Answer(found.status, found.headers, found.body)
    return Taken(found.fingerprint, answer, found.seed)


async def renew(connection: AsyncConnection, held: Claim, lease: timedelta) -> None:
    """The claim's owner lives."""
    await connection.execute(
        update(Row).where(*_is(held.name), Row.owner == held.owner).values(locked_until=func.now() + lease)
    )


async def finish(connection: AsyncConnection, held: Claim, answer: Answer, whole: bytes | None = None) -> None:
    """Keep the answer, unless somebody took the claim over; `whole` is a fingerprint in the place of the claim's."""
    kept = {"status": answer.status, "headers": answer.headers, "body": answer.body, "locked_until": func.now()}
    if whole is not None:
        kept["fingerprint"] = whole
    await connection.execute(update(Row).where(*_is(held.name), Row.owner == held.owner).values(**kept))


async def forget(connection: AsyncConnection, held: Claim) -> None:
    """Nothing was changed: the key is as good as new."""
    await connection.execute(delete(Row).where(*_is(held.name), Row.owner == held.owner))


async def unlock(connection: AsyncConnection, held: Claim) -> None:
    """Nobody works on it any more, and something may have been changed: the same request may go on with it."""
    await connection.execute(
        update(Row)
        .where(*_is(held.name), Row.owner == held.owner)
        .values(locked_until=func.now() - timedelta(seconds=1))
    )


async def purge(connection: AsyncConnection) -> int:
    """Remove what has expired; returns how many there were."""
    gone = await connection.execute(delete(Row).where(Row.expires_at < func.now(), Row.locked_until < func.now()))
    return gone.rowcount


def _is(name: Name) -> tuple[ColumnElement[bool], ...]:
    return (Row.caller == name.caller, Row.path == name.path, Row.key == name.key)
