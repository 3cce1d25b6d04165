"""What scores mean: calibrations."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Text, func
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from service.store.tables.base import Moment, Table


class CalibrationRow(Table):
    """What scores of one model mean in one gallery of one size; the newest of the model that serves is in force."""

    __tablename__ = "calibrations"
    __table_args__ = (Index(None, "gallery_id", "created_at", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), index=True)
    tracklets: Mapped[int] = mapped_column(BigInteger)
    slope: Mapped[float] = mapped_column(Double)
    intercept: Mapped[float] = mapped_column(Double)
    prior: Mapped[float] = mapped_column(Double)
    match_threshold: Mapped[float] = mapped_column(Double)
    possible_threshold: Mapped[float] = mapped_column(Double)
    report: Mapped[dict[str, Any]] = mapped_column(JSONB)
    made_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
