"""Galleries as they stand: the last change, and the generation that serves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from service.errors import GalleryDeleting, NotFound
from service.store import gallery_locks
from service.store.changes import CHANNEL
from service.store.tables import GalleryRow, GenerationRow, ModelRow


@dataclass(frozen=True)
class Gallery:
    """A gallery as it stood when it was read.

    Attributes:
        change: number of the last committed change.
        generation: number of the serving generation, and `model_id` the model it is built under.
        dimension: length of that model's descriptors.
        joining_model_id: the model of the generation that is joining, if one is.
        rebuild: how often every process was asked to build its index anew.
        frame_cap: frames of a tracklet that are embedded; None: as the setting says.
        rules: counts the changes of its `Rules`.
    """

    id: int
    name: str
    change: int
    generation: int
    model_id: str
    dimension: int
    joining_model_id: str | None
    rebuild: int = 0
    frame_cap: int | None = None
    rules: int = 0

    @property
    def models(self) -> frozenset[str]:
        """Models that a tracklet which is stored now must be described by."""
        return frozenset({self.model_id, self.joining_model_id or self.model_id})


_Joining = aliased(GenerationRow)
# One that is being deleted is not there any more, for whoever asks.
_GALLERY = (
    select(
        GalleryRow.id,
        GalleryRow.name,
        GalleryRow.change,
        GalleryRow.generation,
        GenerationRow.model_id,
        ModelRow.dimension,
        _Joining.model_id.label("joining_model_id"),
        GalleryRow.rebuild,
        GalleryRow.frame_cap,
        GalleryRow.rules,
    )
    .join(GenerationRow, and_(GenerationRow.gallery_id == GalleryRow.id, GenerationRow.number == GalleryRow.generation))
    .join(ModelRow, ModelRow.id == GenerationRow.model_id)
    .outerjoin(_Joining, and_(_Joining.gallery_id == GalleryRow.id, _Joining.number == GalleryRow.joining))
    .where(~GalleryRow.deleting)
)


async def find(connection: AsyncConnection, name: str) -> Gallery | None:
    """The gallery called `name`, if there is one."""
    row = (await connection.execute(_GALLERY.where(GalleryRow.name == name))).one_or_none()
    return Gallery(**row._mapping) if row else None


async def get(connection: AsyncConnection, name: str) -> Gallery:
    """The gallery called `name`.

    Raises:
        NotFound: there is none.
    """
    found = await find(connection, name)
    if found is None:
        raise NotFound(f"There is no gallery {name!r}.")
    return found


async def get_state(connection: AsyncConnection, gallery_id: int) -> Gallery:
    """The gallery with this id.

    Raises:
        NotFound: it was deleted, or is being.
    """
    row = (await connection.execute(_GALLERY.where(GalleryRow.id == gallery_id))).one_or_none()
    if row is None:
        raise NotFound("The gallery was deleted.")
    return Gallery(**row._mapping)


async def keep(connection: AsyncConnection, gallery_id: int) -> Gallery:
    """As `get_state`, and nobody begins to delete the gallery before this transaction ends. Taken before all else."""
    await gallery_locks.lock_shared(connection, gallery_id)
    return await get_state(connection, gallery_id)


async def dimension(connection: AsyncConnection, model_id: str) -> int:
    """Length of a descriptor of the model, which is registered."""
    return (await connection.execute(select(ModelRow.dimension).where(ModelRow.id == model_id))).scalar_one()


async def list_all(connection: AsyncConnection) -> list[Gallery]:
    """Every gallery, oldest first."""
    return [Gallery(**row._mapping) for row in await connection.execute(_GALLERY.order_by(GalleryRow.id))]


async def find_or_create(connection: AsyncConnection, name: str, model_id: str) -> Gallery:
    """The gallery called `name`; a new one starts with generation 1 under `model_id`.

    Raises:
        GalleryDeleting: the one of this name is being deleted.
    """
    found = await find(connection, name)
    if found is None:
        await create(connection, name, model_id)
        found = await find(connection, name)
        if found is None:
            raise GalleryDeleting(f"Gallery {name} is being deleted; try again when that job is done.")
    return found


async def create(
    connection: AsyncConnection, name: str, model_id: str, said: Mapping[str, Any] | None = None
) -> int | None:
    """Make the gallery, with generation 1 under `model_id`; its id, None when the name is taken.

    Args:
        said: of the gallery, by column.
    """
    created = await connection.scalar(
        insert_or(GalleryRow).values(name=name, **(said or {})).on_conflict_do_nothing().returning(GalleryRow.id)
    )
    if created is not None:
        await connection.execute(
            insert(GenerationRow).values(gallery_id=created, number=1, model_id=model_id, status="ready")
        )
    return created


async def ask_for_rebuild(connection: AsyncConnection, gallery_id: int) -> int:
    """Ask every process to build its index of the gallery anew; it hears of it at COMMIT.

    Returns:
        How often that was asked for: an index with this number, or a higher one, is what was asked for.
    """
    number: int | None = await connection.scalar(
        update(GalleryRow)
        .where(GalleryRow.id == gallery_id)
        .values(rebuild=GalleryRow.rebuild + 1)
        .returning(GalleryRow.rebuild)
    )
    assert number is not None
    await connection.execute(select(func.pg_notify(CHANNEL, str(gallery_id))))
    return number
