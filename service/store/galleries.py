"""Galleries, their generations, and the numbered changes that an index follows."""

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Row, and_, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import CameraRow, ChangeRow, DescriptorRow, GalleryRow, GenerationRow, ModelRow, TrackletRow

ChangeKind = Literal["added", "deleted"]


@dataclass(frozen=True)
class Gallery:
    """A gallery as it stood when it was read.

    Attributes:
        change: number of the last committed change.
        generation: the serving generation, and `model_id` the model it is built under.
    """

    id: int
    name: str
    change: int
    generation: int
    model_id: str


@dataclass(frozen=True)
class IndexRow:
    """What the index keeps of one tracklet; `vector` is float32 little endian, not normalised."""

    tracklet_id: uuid.UUID
    camera: str
    started_at: datetime | None
    ended_at: datetime | None
    vector: bytes


@dataclass(frozen=True)
class Change:
    """One numbered change. `row` is there when a tracklet was added and is still stored under the model asked for."""

    number: int
    kind: ChangeKind
    tracklet_id: uuid.UUID
    row: IndexRow | None


_GALLERY = select(
    GalleryRow.id, GalleryRow.name, GalleryRow.change, GalleryRow.generation, GenerationRow.model_id
).join(GenerationRow, and_(GenerationRow.gallery_id == GalleryRow.id, GenerationRow.number == GalleryRow.generation))

_INDEX_COLUMNS = (CameraRow.name, TrackletRow.started_at, TrackletRow.ended_at, DescriptorRow.vector)


async def find(connection: AsyncConnection, name: str) -> Gallery | None:
    """The gallery called `name`, if there is one."""
    row = (await connection.execute(_GALLERY.where(GalleryRow.name == name))).one_or_none()
    return Gallery(*row) if row else None


async def get_state(connection: AsyncConnection, gallery_id: int) -> Gallery:
    """The gallery with this id, which exists."""
    return Gallery(*(await connection.execute(_GALLERY.where(GalleryRow.id == gallery_id))).one())


async def dimension(connection: AsyncConnection, model_id: str) -> int:
    """Length of a descriptor of the model, which is registered."""
    return (await connection.execute(select(ModelRow.dimension).where(ModelRow.id == model_id))).scalar_one()


async def list_all(connection: AsyncConnection) -> list[Gallery]:
    """Every gallery, oldest first."""
    return [Gallery(*row) for row in await connection.execute(_GALLERY.order_by(GalleryRow.id))]


async def find_or_create(connection: AsyncConnection, name: str, model_id: str) -> Gallery:
    """The gallery called `name`; a new one starts with generation 1 under `model_id`."""
    found = await find(connection, name)
    if found is None:
        created = await connection.scalar(
            insert_or(GalleryRow).values(name=name).on_conflict_do_nothing().returning(GalleryRow.id)
        )
        if created is not None:
            await connection.execute(insert(GenerationRow).values(gallery_id=created, number=1, model_id=model_id))
        found = await find(connection, name)
        assert found is not None
    return found


async def record_change(connection: AsyncConnection, gallery_id: int, kind: ChangeKind, tracklet_id: uuid.UUID) -> int:
    """Give this transaction's change to the gallery its number. Must be the last statement before COMMIT.

    The UPDATE locks the gallery's row until COMMIT, so numbers come in commit order and without gaps.

    Returns:
        The change's number.
    """
    counted = (
        update(GalleryRow)
        .where(GalleryRow.id == gallery_id)
        .values(change=GalleryRow.change + 1)
        .returning(GalleryRow.change)
        .cte("counted")
    )
    recorded = (
        insert(ChangeRow)
        .from_select(
            ["gallery_id", "number", "kind", "tracklet_id"],
            select(
                text(":gallery_id").bindparams(gallery_id=gallery_id),
                counted.c.change,
                text(":kind").bindparams(kind=kind),
                text("CAST(:tracklet_id AS uuid)").bindparams(tracklet_id=str(tracklet_id)),
            ),
            include_defaults=False,
        )
        .returning(ChangeRow.number)
    )
    return (await connection.execute(recorded)).scalar_one()


async def changes_after(
    connection: AsyncConnection, gallery_id: int, model_id: str, number: int, limit: int = 1000
) -> list[Change]:
    """The gallery's changes after `number`, in order, at most `limit`; added rows with their descriptors."""
    statement = (
        select(ChangeRow.number, ChangeRow.kind, ChangeRow.tracklet_id, *_INDEX_COLUMNS)
        .outerjoin(TrackletRow, TrackletRow.id == ChangeRow.tracklet_id)
        .outerjoin(CameraRow, CameraRow.id == TrackletRow.camera_id)
        .outerjoin(DescriptorRow, and_(DescriptorRow.tracklet_id == TrackletRow.id, DescriptorRow.model_id == model_id))
        .where(ChangeRow.gallery_id == gallery_id, ChangeRow.number > number)
        .order_by(ChangeRow.number)
        .limit(limit)
    )
    return [_change(row) for row in await connection.execute(statement)]


def _change(found: Row[int, str, uuid.UUID, str, datetime | None, datetime | None, bytes]) -> Change:
    number, kind, tracklet_id, camera, started_at, ended_at, vector = found
    # The row is joined from outside: a tracklet that was deleted since has none.
    present = kind == "added" and bool(vector)
    row = IndexRow(tracklet_id, camera, started_at, ended_at, vector) if present else None
    return Change(number, "added" if kind == "added" else "deleted", tracklet_id, row)


async def count_descriptors(connection: AsyncConnection, gallery_id: int, model_id: str) -> int:
    """How many tracklets of the gallery have a descriptor of the model."""
    return (
        await connection.execute(
            select(func.count())
            .select_from(DescriptorRow)
            .join(TrackletRow, TrackletRow.id == DescriptorRow.tracklet_id)
            .where(TrackletRow.gallery_id == gallery_id, DescriptorRow.model_id == model_id)
        )
    ).scalar_one()


async def stream_index_rows(
    connection: AsyncConnection, gallery_id: int, model_id: str, size: int = 1000
) -> AsyncIterator[Sequence[IndexRow]]:
    """Every tracklet of the gallery with its descriptor under the model, in batches of `size`, by id."""
    statement = (
        select(TrackletRow.id, *_INDEX_COLUMNS)
        .join(CameraRow, CameraRow.id == TrackletRow.camera_id)
        .join(DescriptorRow, DescriptorRow.tracklet_id == TrackletRow.id)
        .where(TrackletRow.gallery_id == gallery_id, DescriptorRow.model_id == model_id)
        .order_by(TrackletRow.id)
    )
    result = await connection.stream(statement, execution_options={"yield_per": size})
    async for batch in result.partitions(size):
        yield [IndexRow(*row) for row in batch]


async def add_generation(connection: AsyncConnection, gallery_id: int, model_id: str) -> int:
    """Open the gallery's next generation under `model_id`; it does not serve until `activate`."""
    # The gallery's row is locked, so that two re-indexes at once get two numbers.
    await connection.execute(select(GalleryRow.id).where(GalleryRow.id == gallery_id).with_for_update())
    newest = await connection.scalar(
        select(func.max(GenerationRow.number)).where(GenerationRow.gallery_id == gallery_id)
    )
    number = (newest or 0) + 1
    await connection.execute(insert(GenerationRow).values(gallery_id=gallery_id, number=number, model_id=model_id))
    return number


async def activate(connection: AsyncConnection, gallery_id: int, generation: int) -> None:
    """Make `generation` the serving one."""
    await connection.execute(update(GalleryRow).where(GalleryRow.id == gallery_id).values(generation=generation))
