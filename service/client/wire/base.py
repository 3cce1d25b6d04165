"""What all that the client reads has in common."""

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Something that the service answers. Fields that a newer service adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())
