"""Identities: the people of a gallery, and which tracklets are theirs.

Locks are taken in one order: whoever changes identities keeps the gallery (`galleries.keep`) and has its advisory lock
(`lock`); then come rows of identities by id, rows of tracklets, the gallery's row (`changes.record_all`). An upload
holds one identity's row, a deletion one tracklet's, and both end with the gallery's row.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from sqlalchemy import and_, any_, bindparam, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store import identity_events as events
from service.store.cameras import by_one_clock
from service.store.tables import CameraRow, GalleryRow, IdentityRow, TrackletRow

# Advisory locks share one space per database; the class keeps ours apart from other uses.
_LOCK_CLASS = 0x69646E00 << 24


@dataclass(frozen=True)
class IdentityRecord:
    """An identity as the database has it; one with `merged_into` has no tracklets."""

    id: uuid.UUID
    gallery_id: int
    gallery: str
    name: str
    merged_into: uuid.UUID | None
    version: int
    created_at: datetime
    tracklets: int


@dataclass(frozen=True)
class SeenBy:
    """What one camera saw of an identity; times with the camera's offset."""

    camera: str
    tracklets: int
    first_seen: datetime | None
    last_seen: datetime | None


_COUNT = (
    select(func.count())
    .where(TrackletRow.gallery_id == IdentityRow.gallery_id, TrackletRow.identity == IdentityRow.name)
    .correlate(IdentityRow)
    .scalar_subquery()
)
_IDENTITY = select(
    IdentityRow.id,
    IdentityRow.gallery_id,
    GalleryRow.name,
    IdentityRow.name,
    IdentityRow.merged_into,
    IdentityRow.version,
    IdentityRow.created_at,
    _COUNT,
).join(GalleryRow, and_(GalleryRow.id == IdentityRow.gallery_id, ~GalleryRow.deleting))
_IDS = any_(bindparam("ids", type_=ARRAY(UUID(as_uuid=True))))

_LIVING = text("""
    WITH RECURSIVE chain AS (
        SELECT id, merged_into FROM identities WHERE gallery_id = :gallery_id AND name = :name
        UNION ALL
        SELECT identities.id, identities.merged_into FROM identities JOIN chain ON identities.id = chain.merged_into
    )
    SELECT id FROM chain WHERE merged_into IS NULL
""")
_MERGED_INTO = text("""
    WITH RECURSIVE merged AS (
        SELECT id, name FROM identities WHERE merged_into = :identity_id
        UNION ALL
        SELECT identities.id, identities.name FROM identities JOIN merged ON identities.merged_into = merged.id
    )
    SELECT id, name FROM merged ORDER BY id
""")


async def lock(connection: AsyncConnection, gallery_id: int) -> None:
    """Until this transaction ends, no other person changes identities of the gallery. Taken before what is in it."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_CLASS + gallery_id})


async def find(connection: AsyncConnection, identity_id: uuid.UUID) -> IdentityRecord | None:
    """The identity, if there is one."""
    row = (await connection.execute(_IDENTITY.where(IdentityRow.id == identity_id))).one_or_none()
    return IdentityRecord(*row) if row else None


async def find_by_name(connection: AsyncConnection, gallery_id: int, name: str) -> IdentityRecord | None:
    """The gallery's identity of this name, merged or not, if there is one."""
    statement = _IDENTITY.where(IdentityRow.gallery_id == gallery_id, IdentityRow.name == name)
    row = (await connection.execute(statement)).one_or_none()
    return IdentityRecord(*row) if row else None


async def ids_of(connection: AsyncConnection, gallery_id: int, names: Sequence[str]) -> dict[str, uuid.UUID]:
    """Ids of those of the names that the gallery has, by name."""
    statement = select(IdentityRow.name, IdentityRow.id).where(
        IdentityRow.gallery_id == gallery_id,
        IdentityRow.name == any_(bindparam("names", type_=ARRAY(IdentityRow.name.type))),
    )
    return {row[0]: row[1] for row in await connection.execute(statement, {"names": list(names)})}


async def list_page(
    connection: AsyncConnection, gallery: str, limit: int, before: tuple[datetime, uuid.UUID] | None, merged: bool
) -> list[IdentityRecord]:
    """Up to `limit` identities of the gallery, newest first, older than `before` (creation time, id).

    Args:
        merged: with those that were merged into others.
    """
    statement = (
        _IDENTITY.where(GalleryRow.name == gallery)
        .order_by(IdentityRow.created_at.desc(), IdentityRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(tuple_(IdentityRow.created_at, IdentityRow.id) < tuple_(*before))
    if not merged:
        statement = statement.where(IdentityRow.merged_into.is_(None))
    return [IdentityRecord(*row) for row in await connection.execute(statement)]


async def merged_into(connection: AsyncConnection, identity_id: uuid.UUID) -> list[tuple[uuid.UUID, str]]:
    """Ids and names of all that went into the identity, also by way of others."""
    rows = await connection.execute(_MERGED_INTO, {"identity_id": identity_id})
    return [(row[0], row[1]) for row in rows]


async def cameras(connection: AsyncConnection, identity: IdentityRecord) -> list[SeenBy]:
    """Which cameras saw the identity, by name."""
    statement = (
        select(
            CameraRow.name,
            func.count(),
            func.min(by_one_clock(TrackletRow.started_at)),
            func.max(by_one_clock(func.coalesce(TrackletRow.ended_at, TrackletRow.started_at))),
        )
        .join(TrackletRow, TrackletRow.camera_id == CameraRow.id)
        .where(TrackletRow.gallery_id == identity.gallery_id, TrackletRow.identity == identity.name)
        .group_by(CameraRow.name)
        .order_by(CameraRow.name)
    )
    return [SeenBy(*row) for row in await connection.execute(statement)]


async def tracklets_of(connection: AsyncConnection, gallery_id: int, name: str) -> list[uuid.UUID]:
    """Ids of the identity's tracklets, oldest first."""
    statement = (
        select(TrackletRow.id)
        .where(TrackletRow.gallery_id == gallery_id, TrackletRow.identity == name)
        .order_by(TrackletRow.created_at, TrackletRow.id)
    )
    return list(await connection.scalars(statement))


async def name_for_upload(
    connection: AsyncConnection, gallery_id: int, name: str, tracklet_id: uuid.UUID, done_by: str
) -> str:
    """The name of the person that somebody calls `name`, who is given a tracklet; a new person where none is called so.

    One that was merged is the one it was merged into. Until this transaction ends, the name stays.
    """
    while True:
        living = await connection.scalar(_LIVING, {"gallery_id": gallery_id, "name": name})
        if living is None:
            created = await connection.scalar(
                insert_or(IdentityRow)
                .values(id=uuid.uuid4(), gallery_id=gallery_id, name=name)
                # Waits for a concurrent creator to commit.
                .on_conflict_do_nothing()
                .returning(IdentityRow.id)
            )
            if created is not None:
                await events.add(
                    connection, gallery_id, created, "created", done_by, [tracklet_id], details={"name": name}
                )
                return name
            continue
        # Only this one is locked: whoever merges locks two, by id.
        present = await connection.scalar(
            select(IdentityRow.name)
            .where(IdentityRow.id == living, IdentityRow.merged_into.is_(None))
            .with_for_update(read=True, key_share=True)
        )
        if present is not None:
            await events.add(connection, gallery_id, living, "assigned", done_by, [tracklet_id])
            return present


async def create(connection: AsyncConnection, gallery_id: int, identity_id: uuid.UUID, name: str) -> uuid.UUID | None:
    """Make an identity; None when the name is taken."""
    return await connection.scalar(
        insert_or(IdentityRow)
        .values(id=identity_id, gallery_id=gallery_id, name=name)
        .on_conflict_do_nothing()
        .returning(IdentityRow.id)
    )


async def hold(connection: AsyncConnection, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, IdentityRecord]:
    """Those of the identities that exist, held until this transaction ends: no upload gives them a tracklet."""
    statement = select(IdentityRow.id).where(IdentityRow.id == _IDS).order_by(IdentityRow.id).with_for_update()
    await connection.execute(statement, {"ids": list(ids)})
    # After the wait: what others committed meanwhile counts.
    rows = await connection.execute(_IDENTITY.where(IdentityRow.id == _IDS), {"ids": list(ids)})
    return {row.id: IdentityRecord(*row) for row in rows}


async def count_edit(connection: AsyncConnection, identity_id: uuid.UUID) -> None:
    """Give the identity its next version."""
    await connection.execute(
        update(IdentityRow).where(IdentityRow.id == identity_id).values(version=IdentityRow.version + 1)
    )


async def rename(connection: AsyncConnection, identity: IdentityRecord, name: str) -> list[uuid.UUID] | None:
    """Call a held identity by another name; returns its tracklets, or None when the name is taken.

    Raises:
        sqlalchemy.exc.IntegrityError: another rule of the database is broken, by its tracklets' rows for one.
    """
    try:
        # An upload may take the name at any moment, and is waited for here.
        async with connection.begin_nested():
            await connection.execute(update(IdentityRow).where(IdentityRow.id == identity.id).values(name=name))
    except IntegrityError as error:
        if not isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise
        return None
    # The foreign key has taken the name to the tracklets already.
    return await _write(connection, identity.gallery_id, name, name)


async def move_all(connection: AsyncConnection, gallery_id: int, name: str, to: str | None) -> list[uuid.UUID]:
    """Give all tracklets of one identity to another one, or to nobody; returns them."""
    return await _write(connection, gallery_id, name, to)


async def _write(connection: AsyncConnection, gallery_id: int, name: str, to: str | None) -> list[uuid.UUID]:
    statement = (
        update(TrackletRow)
        .where(TrackletRow.gallery_id == gallery_id, TrackletRow.identity == name)
        .values(identity=to, version=TrackletRow.version + 1)
        .returning(TrackletRow.id)
    )
    return sorted(await connection.scalars(statement))


async def set_merged(connection: AsyncConnection, identity_id: uuid.UUID, into: uuid.UUID | None) -> None:
    """Say that an identity went into another one, or that it stands for itself again."""
    await connection.execute(update(IdentityRow).where(IdentityRow.id == identity_id).values(merged_into=into))


async def remove(connection: AsyncConnection, identity_id: uuid.UUID) -> None:
    """Remove an identity that has no tracklets, and those that were merged into it."""
    await connection.execute(delete(IdentityRow).where(IdentityRow.id == identity_id))
