"""Generations: the indexes of a gallery, one of which serves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import and_, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import GalleryDeleting
from service.store.changes import CHANNEL
from service.store.tables import GalleryRow, GenerationRow, ModelRow

Status = Literal["building", "ready"]


@dataclass(frozen=True)
class Generation:
    """One index of one gallery under one model.

    Attributes:
        id: names it in the whole database; `number` counts the generations that its gallery ever had.
        status: `building` until it was complete once.
        serving: whether searches of the gallery are answered by it.
    """

    id: int
    gallery_id: int
    gallery: str
    number: int
    model_id: str
    status: str
    serving: bool
    created_at: datetime
    model_name: str


_GENERATION = select(
    GenerationRow.id,
    GenerationRow.gallery_id,
    GalleryRow.name,
    GenerationRow.number,
    GenerationRow.model_id,
    GenerationRow.status,
    and_(GalleryRow.generation == GenerationRow.number, GenerationRow.status == "ready"),
    GenerationRow.created_at,
    func.coalesce(ModelRow.provenance["name"].astext, "unnamed"),
)
_GENERATION = _GENERATION.join(GalleryRow, and_(GalleryRow.id == GenerationRow.gallery_id, ~GalleryRow.deleting)).join(
    ModelRow, ModelRow.id == GenerationRow.model_id
)


async def find(connection: AsyncConnection, generation_id: int) -> Generation | None:
    """The generation with this id, if there is one."""
    row = (await connection.execute(_GENERATION.where(GenerationRow.id == generation_id))).one_or_none()
    return Generation(*row) if row else None


async def list_page(
    connection: AsyncConnection, gallery: str | None, limit: int, before: int | None = None
) -> list[Generation]:
    """Up to `limit` generations, newest first, of one gallery or of all; those with an id below `before`."""
    statement = _GENERATION.order_by(GenerationRow.id.desc()).limit(limit)
    if gallery is not None:
        statement = statement.where(GalleryRow.name == gallery)
    if before is not None:
        statement = statement.where(GenerationRow.id < before)
    return [Generation(*row) for row in await connection.execute(statement)]


async def numbers(connection: AsyncConnection) -> set[tuple[int, int]]:
    """Gallery id and number of every generation."""
    return {
        (row[0], row[1]) for row in await connection.execute(select(GenerationRow.gallery_id, GenerationRow.number))
    }


async def add(connection: AsyncConnection, gallery_id: int, model_id: str) -> Generation:
    """Open the gallery's next generation under `model_id`; it does not serve until `activate`.

    Raises:
        GalleryDeleting: the gallery is being deleted.
    """
    # This locks the gallery's row, so that two at once get two numbers.
    number = await connection.scalar(
        update(GalleryRow)
        .where(GalleryRow.id == gallery_id, ~GalleryRow.deleting)
        .values(generations=GalleryRow.generations + 1)
        .returning(GalleryRow.generations)
    )
    if number is None:
        raise GalleryDeleting("The gallery is being deleted.")
    created = await connection.scalar(
        insert(GenerationRow)
        .values(gallery_id=gallery_id, number=number, model_id=model_id)
        .returning(GenerationRow.id)
    )
    assert created is not None
    found = await find(connection, created)
    assert found is not None
    return found


async def join(connection: AsyncConnection, generation: Generation) -> None:
    """Have every tracklet that gets its change number after COMMIT described by the generation's model too.

    Locks the gallery's row, so that it is ordered with change numbers.
    """
    await connection.execute(
        update(GalleryRow).where(GalleryRow.id == generation.gallery_id).values(joining=generation.number)
    )


async def leave(connection: AsyncConnection, generation: Generation) -> None:
    """Undo `join`, if it is this generation that is joining."""
    await connection.execute(
        update(GalleryRow)
        .where(GalleryRow.id == generation.gallery_id, GalleryRow.joining == generation.number)
        .values(joining=None)
    )


async def activate(connection: AsyncConnection, generation: Generation) -> None:
    """Make the generation the serving one; none is joining then.

    Locks the gallery's row: from here to COMMIT nobody else can change the gallery.
    """
    await connection.execute(
        update(GalleryRow)
        .where(GalleryRow.id == generation.gallery_id)
        .values(generation=generation.number, joining=None)
    )
    await connection.execute(update(GenerationRow).where(GenerationRow.id == generation.id).values(status="ready"))
    await connection.execute(
        text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": str(generation.gallery_id)}
    )


async def remove(connection: AsyncConnection, generation: Generation) -> bool:
    """Forget the generation; False if it serves. Locks the gallery's row, so that nobody activates it meanwhile."""
    serving = await connection.scalar(
        select(GalleryRow.generation).where(GalleryRow.id == generation.gallery_id).with_for_update(key_share=True)
    )
    if serving == generation.number:
        return False
    await leave(connection, generation)
    await connection.execute(delete(GenerationRow).where(GenerationRow.id == generation.id))
    return True
