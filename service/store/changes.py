"""The numbered changes of a gallery, and the rows that an index keeps: what an index is built from and follows."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from typing import Any, Literal

from sqlalchemy import and_, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import GalleryDeleting
from service.store.tables import CameraRow, ChangeRow, DescriptorRow, TrackletRow

ChangeKind = Literal["added", "deleted", "updated"]
"""`updated`: what the index keeps of a stored tracklet beside its descriptor is another now."""

CHANNEL = "tfclip_galleries"
"""Whoever changes a gallery notifies this channel at COMMIT: `GALLERY_ID CHANGE`, or `GALLERY_ID` after a switch."""

_COPY_TYPES = ("uuid", "text", "timestamptz", "timestamptz", "bytea", "text", "jsonb", "int4")
_ROWS_BETWEEN_BREATHS = 100


@dataclass(frozen=True)
class IndexRow:
    """What the index keeps of one tracklet; `vector` is float32 little endian, not normalised.

    That of an update is empty: the one that the index has stays.
    """

    tracklet_id: uuid.UUID
    camera: str
    started_at: datetime | None
    ended_at: datetime | None
    vector: bytes
    identity: str | None = None
    labels: dict[str, Any] = field(default_factory=dict)
    frame_count: int = 1


@dataclass(frozen=True)
class Change:
    """One numbered change.

    Attributes:
        row: the tracklet as it is now; None when it was deleted, by this change or since, and for one that was added
            and is not described by the model asked for.
        undescribed: it was added and is still stored, but has no descriptor of that model.
    """

    number: int
    kind: ChangeKind
    tracklet_id: uuid.UUID
    row: IndexRow | None
    undescribed: bool = False


@dataclass(frozen=True)
class Recorded:
    """Changes that got their numbers.

    Attributes:
        number: of the last one.
        models: those that every tracklet of the gallery must be described by from now on: the serving generation's, and
            that of one which is joining. None among them is one that came while the gallery's row was waited for.
    """

    number: int
    models: frozenset[str | None]


_RECORD = text("""
    WITH counted AS (
        UPDATE galleries SET change = change + cardinality(CAST(:tracklet_ids AS uuid[]))
        WHERE id = :gallery_id AND NOT deleting RETURNING change, generation, joining
    ), recorded AS (
        INSERT INTO changes (gallery_id, number, kind, tracklet_id)
        SELECT :gallery_id, change - cardinality(CAST(:tracklet_ids AS uuid[])) + place, :kind, tracklet_id
        FROM counted, unnest(CAST(:tracklet_ids AS uuid[])) WITH ORDINALITY AS changed (tracklet_id, place)
    )
    SELECT
        counted.change,
        counted.joining,
        serving.model_id,
        joining.model_id,
        pg_notify(:channel, CAST(:gallery AS text) || ' ' || counted.change)
    FROM counted
    LEFT JOIN generations AS serving ON serving.gallery_id = :gallery_id AND serving.number = counted.generation
    LEFT JOIN generations AS joining ON joining.gallery_id = :gallery_id AND joining.number = counted.joining
""")

_INDEX_COLUMNS = (
    CameraRow.name,
    TrackletRow.started_at,
    TrackletRow.ended_at,
    DescriptorRow.vector,
    TrackletRow.identity,
    TrackletRow.labels,
    TrackletRow.frame_count,
)

_COPY = """
    COPY (
        SELECT tracklets.id, cameras.name, started_at, ended_at, vector, identity, labels, frame_count
        FROM tracklets JOIN cameras ON cameras.id = camera_id JOIN descriptors ON tracklet_id = tracklets.id
        WHERE tracklets.gallery_id = %s AND model_id = %s ORDER BY tracklets.id
    ) TO STDOUT (FORMAT BINARY)
"""


async def record(connection: AsyncConnection, gallery_id: int, kind: ChangeKind, tracklet_id: uuid.UUID) -> Recorded:
    """Give this transaction's change to the gallery its number; see `record_all`."""
    return await record_all(connection, gallery_id, kind, [tracklet_id])


async def record_all(
    connection: AsyncConnection, gallery_id: int, kind: ChangeKind, tracklet_ids: Sequence[uuid.UUID]
) -> Recorded:
    """Give a change of each tracklet its number, in their order. Must be the last statement before COMMIT.

    The UPDATE locks the gallery's row until COMMIT, so numbers come in commit order and without gaps, and neither the
    serving generation nor the joining one can change any more before this transaction ends.

    Raises:
        GalleryDeleting: nothing in it changes any more.
    """
    values = {
        "gallery_id": gallery_id,
        "kind": kind,
        "tracklet_ids": list(tracklet_ids),
        "channel": CHANNEL,
        "gallery": str(gallery_id),
    }
    row = (await connection.execute(_RECORD, values)).one_or_none()
    if row is None:
        raise GalleryDeleting("The gallery is being deleted.")
    number, joining, serves, joins, _ = row
    return Recorded(number, frozenset([serves] if joining is None else [serves, joins]))


async def after(
    connection: AsyncConnection, gallery_id: int, model_id: str, number: int, limit: int = 1000
) -> list[Change]:
    """The gallery's changes after `number`, in order, at most `limit`; added rows come with descriptors."""
    statement = (
        select(ChangeRow.number, ChangeRow.kind, ChangeRow.tracklet_id, TrackletRow.id, *_INDEX_COLUMNS)
        .outerjoin(TrackletRow, TrackletRow.id == ChangeRow.tracklet_id)
        .outerjoin(CameraRow, CameraRow.id == TrackletRow.camera_id)
        .outerjoin(
            DescriptorRow,
            and_(
                DescriptorRow.tracklet_id == TrackletRow.id,
                DescriptorRow.model_id == model_id,
                ChangeRow.kind == "added",
            ),
        )
        .where(ChangeRow.gallery_id == gallery_id, ChangeRow.number > number)
        .order_by(ChangeRow.number)
        .limit(limit)
    )
    return [_change(*row) for row in await connection.execute(statement)]


async def whole_edits_after(
    connection: AsyncConnection, gallery_id: int, model_id: str, number: int, limit: int = 1000
) -> list[Change]:
    """As `after`, without an end amid updates, which may be one edit: those come together however many they are."""
    changes = await after(connection, gallery_id, model_id, number, limit)
    if len(changes) < limit or changes[-1].kind != "updated":
        return changes
    others = [place for place, change in enumerate(changes, start=1) if change.kind != "updated"]
    if others:
        # The updates at the end come next time, with what follows them.
        return changes[: others[-1]]
    while True:
        page = await after(connection, gallery_id, model_id, changes[-1].number, limit)
        updates = list(takewhile(lambda change: change.kind == "updated", page))
        changes += updates
        if len(updates) < limit:
            return changes


def _change(number: int, kind: str, tracklet_id: uuid.UUID, stored: uuid.UUID | None, *columns: Any) -> Change:
    # The row is joined from outside: a tracklet that was deleted since has none.
    if kind == "deleted":
        return Change(number, "deleted", tracklet_id, None)
    row = IndexRow(tracklet_id, *columns)
    if kind == "updated":
        return Change(number, "updated", tracklet_id, replace(row, vector=b"") if stored is not None else None)
    if stored is None or row.vector is None:
        return Change(number, "added", tracklet_id, None, undescribed=stored is not None)
    return Change(number, "added", tracklet_id, row)


@dataclass(frozen=True)
class RecordedChange:
    """What a change says of itself: its number, what was done to which tracklet, and when."""

    number: int
    kind: ChangeKind
    tracklet_id: uuid.UUID
    at: datetime


async def list_after(connection: AsyncConnection, gallery_id: int, number: int, limit: int) -> list[RecordedChange]:
    """The gallery's changes after `number`, in order, at most `limit`, as they were recorded."""
    statement = (
        select(ChangeRow.number, ChangeRow.kind, ChangeRow.tracklet_id, ChangeRow.at)
        .where(ChangeRow.gallery_id == gallery_id, ChangeRow.number > number)
        .order_by(ChangeRow.number)
        .limit(limit)
    )
    rows: list[Any] = [*await connection.execute(statement)]
    return [RecordedChange(*row) for row in rows]


async def rows_of(
    connection: AsyncConnection, gallery_id: int, model_id: str, tracklet_ids: Sequence[uuid.UUID]
) -> list[IndexRow]:
    """Those of the tracklets that the gallery holds with a descriptor of the model, by id."""
    statement = (
        select(TrackletRow.id, *_INDEX_COLUMNS)
        .join(CameraRow, CameraRow.id == TrackletRow.camera_id)
        .join(DescriptorRow, and_(DescriptorRow.tracklet_id == TrackletRow.id, DescriptorRow.model_id == model_id))
        .where(TrackletRow.gallery_id == gallery_id, TrackletRow.id.in_(tracklet_ids))
        .order_by(TrackletRow.id)
    )
    return [IndexRow(*row) for row in await connection.execute(statement)]


async def copy_rows(
    connection: AsyncConnection, gallery_id: int, model_id: str, size: int = 1000
) -> AsyncIterator[list[IndexRow]]:
    """Every tracklet of the gallery with its descriptor under the model, by COPY, in batches of `size`, by id."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    batch: list[IndexRow] = []
    async with driver.cursor() as cursor, cursor.copy(_COPY, (gallery_id, model_id)) as copy:
        copy.set_types(_COPY_TYPES)
        async for row in copy.rows():
            batch.append(IndexRow(*row))
            if len(batch) % _ROWS_BETWEEN_BREATHS == 0:
                # Rows that have arrived already are read without waiting: others must get their turn.
                await asyncio.sleep(0)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


async def count_described(connection: AsyncConnection, gallery_id: int, model_id: str) -> int:
    """How many tracklets of the gallery have a descriptor of the model."""
    statement = (
        select(func.count())
        .select_from(DescriptorRow)
        .join(TrackletRow, TrackletRow.id == DescriptorRow.tracklet_id)
        .where(TrackletRow.gallery_id == gallery_id, DescriptorRow.model_id == model_id)
    )
    return (await connection.execute(statement)).scalar_one()


async def undescribed(
    connection: AsyncConnection, gallery_id: int, model_id: str, limit: int | None = None
) -> list[uuid.UUID]:
    """Tracklets of the gallery that have no descriptor of the model, oldest first, at most `limit`."""
    described = select(DescriptorRow.tracklet_id).where(
        DescriptorRow.tracklet_id == TrackletRow.id, DescriptorRow.model_id == model_id
    )
    statement = (
        select(TrackletRow.id)
        .where(TrackletRow.gallery_id == gallery_id, ~described.exists())
        .order_by(TrackletRow.created_at, TrackletRow.id)
        .limit(limit)
    )
    return list(await connection.scalars(statement))
