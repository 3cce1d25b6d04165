"""Cameras, and how long the way from one to another takes."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Text, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from service.store.tables.base import Moment, Table


class CameraRow(Table):
    """A camera of a gallery, made when a tracklet first names it, or by hand.

    `time_offset_seconds` is added to the camera's times wherever times are compared.
    """

    __tablename__ = "cameras"
    __table_args__ = (UniqueConstraint("gallery_id", "name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    place: Mapped[str | None] = mapped_column(Text)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    time_offset_seconds: Mapped[float] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=func.now())


class TransitRow(Table):
    """How long somebody takes from leaving one camera's view to entering another's; no longest time: no bound."""

    __tablename__ = "transits"
    __table_args__ = (CheckConstraint("min_seconds >= 0 AND max_seconds >= min_seconds", name="bounds"),)

    gallery_id: Mapped[int] = mapped_column(ForeignKey("galleries.id", ondelete="CASCADE"), index=True)
    from_camera_id: Mapped[int] = mapped_column(ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True)
    to_camera_id: Mapped[int] = mapped_column(
        ForeignKey("cameras.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    min_seconds: Mapped[float]
    max_seconds: Mapped[float | None]
