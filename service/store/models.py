"""The models that descriptors in the database were made with."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.tables import ModelRow


@dataclass(frozen=True)
class ModelRecord:
    """A model, as the database describes it."""

    id: str
    dimension: int
    architecture: dict[str, Any]
    image: dict[str, Any]
    provenance: dict[str, Any]


async def register(connection: AsyncConnection, model: ModelRecord) -> None:
    """Make the model known, once."""
    await connection.execute(
        insert_or(ModelRow)
        .values(
            id=model.id,
            dimension=model.dimension,
            architecture=model.architecture,
            image=model.image,
            provenance=model.provenance,
        )
        .on_conflict_do_nothing()
    )
