"""How answers name a model: those of searches, and that of `/readyz`."""

import json
from typing import Literal

from pydantic import BaseModel, Field

from service.store.models import ModelRecord


class Model(BaseModel):
    """A model that answers."""

    id: str
    name: str = Field(examples=["tfclip-demo"])
    trained: bool = Field(description="False: never trained on tracklets, and its rankings mean little or nothing.")
    demo: bool = Field(description="True: demo weights, trained on drawn people only and not for use on people.")

    @classmethod
    def of(cls, model: ModelRecord) -> "Model":
        """As the database has it."""
        return cls(id=model.id, name=model.name, trained=model.trained, demo=model.demo)


class DefaultModel(Model):
    """The model that new galleries are indexed under."""

    source: str | None

    @classmethod
    def of(cls, model: ModelRecord) -> "DefaultModel":
        """As its weights file has it."""
        source = model.provenance.get("source")
        text = source if isinstance(source, str | None) else json.dumps(source)
        return cls(**Model.of(model).model_dump(), source=text)


class Readiness(BaseModel):
    """Whether searches and uploads are answered, and why not."""

    status: Literal["ready", "not ready"]
    reasons: list[str]
    model: DefaultModel
    galleries: dict[str, int] = Field(description="Tracklets in the index of each gallery.")
