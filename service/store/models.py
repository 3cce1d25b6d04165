"""The models that descriptors in the database were made with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import DescriptorRow, GalleryRow, GenerationRow, ModelRow


@dataclass(frozen=True)
class ModelRecord:
    """A model, as the database describes it."""

    id: str
    dimension: int
    architecture: dict[str, Any]
    image: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def name(self) -> str:
        """What people call it; models that were registered before models had names have none."""
        return str(self.provenance.get("name") or "unnamed")

    @property
    def trained(self) -> bool:
        """Whether it was ever trained on tracklets."""
        return bool(self.provenance.get("trained"))

    @property
    def demo(self) -> bool:
        """Whether it is made of demo weights."""
        return bool(self.provenance.get("demo"))


@dataclass(frozen=True)
class RegisteredModel:
    """A model, when it was registered, and what uses it.

    Attributes:
        generations: how many generations are of it.
        galleries: names of the galleries that it serves.
    """

    record: ModelRecord
    created_at: datetime
    generations: int
    galleries: list[str]


_LOCK = 0x7466636C69704D44
"""Of `lock`; any number that nobody else takes."""

_MODEL = (ModelRow.id, ModelRow.dimension, ModelRow.architecture, ModelRow.image, ModelRow.provenance)


async def lock(connection: AsyncConnection) -> None:
    """Let nobody else register or remove a model until this transaction ends: its row and its file change together."""
    await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


async def register(connection: AsyncConnection, model: ModelRecord) -> None:
    """Make the model known; one that is known already keeps its tensors' id and takes on what its file says now."""
    await connection.execute(
        insert_or(ModelRow)
        .values(
            id=model.id,
            dimension=model.dimension,
            architecture=model.architecture,
            image=model.image,
            provenance=model.provenance,
        )
        .on_conflict_do_update(index_elements=[ModelRow.id], set_={"provenance": model.provenance})
    )


async def list_all(connection: AsyncConnection, model_id: str | None = None) -> list[RegisteredModel]:
    """Every model, or the one with this id, newest first."""
    serving = and_(
        GalleryRow.id == GenerationRow.gallery_id,
        GalleryRow.generation == GenerationRow.number,
        ~GalleryRow.deleting,
    )
    names = func.array_agg(aggregate_order_by(GalleryRow.name, GalleryRow.name)).filter(GalleryRow.name.is_not(None))
    statement = (
        select(*_MODEL, ModelRow.created_at, func.count(GenerationRow.id), names)
        .outerjoin(GenerationRow, GenerationRow.model_id == ModelRow.id)
        .outerjoin(GalleryRow, serving)
        .group_by(ModelRow.id)
        .order_by(ModelRow.created_at.desc(), ModelRow.id)
    )
    if model_id is not None:
        statement = statement.where(ModelRow.id == model_id)
    return [
        RegisteredModel(ModelRecord(*columns), created_at, generations, galleries or [])
        for *columns, created_at, generations, galleries in await connection.execute(statement)
    ]


async def remove(connection: AsyncConnection, model_id: str) -> bool:
    """Forget the model; False while a generation or a descriptor is of it."""
    used = select(GenerationRow.id).where(GenerationRow.model_id == model_id).exists()
    described = select(DescriptorRow.tracklet_id).where(DescriptorRow.model_id == model_id).exists()
    return (await connection.execute(delete(ModelRow).where(ModelRow.id == model_id, ~used, ~described))).rowcount > 0


async def find(connection: AsyncConnection, model_id: str) -> ModelRecord | None:
    """The model with this id, if it is registered."""
    row = (await connection.execute(select(*_MODEL).where(ModelRow.id == model_id))).one_or_none()
    return ModelRecord(*row) if row else None


async def get(connection: AsyncConnection, model_id: str) -> ModelRecord:
    """The model with this id, which is registered."""
    return ModelRecord(*(await connection.execute(select(*_MODEL).where(ModelRow.id == model_id))).one())
