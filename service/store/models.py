"""The models that descriptors in the database were made with."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
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


async def get(connection: AsyncConnection, model_id: str) -> ModelRecord:
    """The model with this id, which is registered."""
    columns = (ModelRow.id, ModelRow.dimension, ModelRow.architecture, ModelRow.image, ModelRow.provenance)
    return ModelRecord(*(await connection.execute(select(*columns).where(ModelRow.id == model_id))).one())
