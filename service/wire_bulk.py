"""What the service answers about changes, as the client sees it. Fields that a newer service adds are ignored."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Change(_Answer):
    """One change of a gallery: a tracklet was `added`, `deleted` or `updated`."""

    number: int
    kind: str
    tracklet_id: str
    at: datetime


class ChangePage(_Answer):
    """Changes in order; `next` goes on after them, `change` is the gallery's last."""

    items: list[Change]
    next: int
    change: int
