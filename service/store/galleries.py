"""Galleries as they stand: the last change, and the generation that serves."""

from dataclasses import dataclass

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

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
    """

    id: int
    name: str
    change: int
    generation: int
    model_id: str
    dimension: int
    joining_model_id: str | None
    rebuild: int = 0

    @property
    def models(self) -> frozenset[str]:
        """Models that a tracklet which is stored now must be described by."""
        return frozenset({self.model_id, self.joining_model_id or self.model_id})


_Joining = aliased(GenerationRow)
_GALLERY = (
    select(
        GalleryRow.id,
        GalleryRow.name,
        GalleryRow.change,
        GalleryRow.generation,
        GenerationRow.model_id,
        ModelRow.dimension,
        _Joining.model_id,
        GalleryRow.rebuild,
    )
    .join(GenerationRow, and_(GenerationRow.gallery_id == GalleryRow.id, GenerationRow.number == GalleryRow.generation))
    .join(ModelRow, ModelRow.id == GenerationRow.model_id)
    .outerjoin(_Joining, and_(_Joining.gallery_id == GalleryRow.id, _Joining.number == GalleryRow.joining))
)


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
            await connection.execute(
                insert(GenerationRow).values(gallery_id=created, number=1, model_id=model_id, status="ready")
            )
        found = await find(connection, name)
        assert found is not None
    return found


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
