"""Models, galleries and their generations."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.store.tables.base import Moment, Table


class ModelRow(Table):
    """A model that descriptors in this database were made with."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    dimension: Mapped[int]
    architecture: Mapped[dict[str, Any]] = mapped_column(JSONB)
    image: Mapped[dict[str, Any]] = mapped_column(JSONB)
    provenance: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class GalleryRow(Table):
    """A named set of tracklets searched together. `change` counts its changes without gaps, in commit order.

    `generation` is the number of the generation that serves, `joining` of one that a job is about to make serve: every
    tracklet that is stored from then on is described for both. It is here and not with the generation because whoever
    waited for this row sees it as it is now, and all others as they were before the wait. `rebuild` counts how often
    every process was asked to build its index anew. `generations` counts those that the gallery ever had, and is the
    newest one's number: none is given again after a purge, since processes tell indexes apart by it.

    `version` counts the changes of what is said of it; `rules` the changes of what every process keeps beside its
    index: cameras' time offsets, transit times, frame cap. A gallery that is `deleting` is there for the job that
    removes it and for nobody else.
    """

    __tablename__ = "galleries"
    __table_args__ = (CheckConstraint("frame_cap >= 1", name="frame_cap"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    change: Mapped[int] = mapped_column(BigInteger, server_default="0")
    generation: Mapped[int] = mapped_column(BigInteger, server_default="1")
    generations: Mapped[int] = mapped_column(BigInteger, server_default="1")
    joining: Mapped[int | None] = mapped_column(BigInteger)
    rebuild: Mapped[int] = mapped_column(BigInteger, server_default="0")
    description: Mapped[str | None] = mapped_column(Text)
    purpose: Mapped[str | None] = mapped_column(Text)
    legal_basis: Mapped[str | None] = mapped_column(Text)
    frame_cap: Mapped[int | None]
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")
    rules: Mapped[int] = mapped_column(BigInteger, server_default="0")
    deleting: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class GenerationRow(Table):
    """One index of one gallery under one model. The gallery's column `generation` names the serving one's number.

    `building`: a job is making it, or was stopped while it did; `ready`: it was complete once, and may serve.
    """

    __tablename__ = "generations"
    __table_args__ = (CheckConstraint("status IN ('building', 'ready')", name="status"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"))
    status: Mapped[str] = mapped_column(Text, server_default="building")
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())
