"""Calibrations of galleries: newest first, the newest of the model that serves in force."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.ext.asyncio import AsyncConnection

from service.store.changes import CHANNEL
from service.store.tables import CalibrationRow, GalleryRow


@dataclass(frozen=True)
class Calibration:
    """What a search needs of a calibration.

    Attributes:
        tracklets: in the gallery when it was made: its rates are of a gallery of this size.
        slope, intercept: of `service.calibration.curve.Curve`.
        prior: share of pairs that are the same person.
        match_threshold, possible_threshold: least best scores of the two decisions.
    """

    id: uuid.UUID
    gallery: str
    model_id: str
    tracklets: int
    slope: float
    intercept: float
    prior: float
    match_threshold: float
    possible_threshold: float


@dataclass(frozen=True)
class StoredCalibration(Calibration):
    """A calibration with all that it reports."""

    report: dict[str, Any] = field(repr=False)
    made_by: str
    created_at: datetime


_NARROW = (
    CalibrationRow.id,
    GalleryRow.name.label("gallery"),
    CalibrationRow.model_id,
    CalibrationRow.tracklets,
    CalibrationRow.slope,
    CalibrationRow.intercept,
    CalibrationRow.prior,
    CalibrationRow.match_threshold,
    CalibrationRow.possible_threshold,
)
_NAMES = [field.name for field in fields(Calibration)]
_OWNER = and_(GalleryRow.id == CalibrationRow.gallery_id, ~GalleryRow.deleting)
_WHOLE = select(*_NARROW, CalibrationRow.report, CalibrationRow.made_by, CalibrationRow.created_at).join(
    GalleryRow, _OWNER
)


async def add(
    connection: AsyncConnection, gallery_id: int, calibration: Calibration, report: Mapping[str, Any], made_by: str
) -> None:
    """Keep a calibration, which is in force from COMMIT on; one that is there already stays as it is."""
    values = {
        "id": calibration.id,
        "gallery_id": gallery_id,
        "model_id": calibration.model_id,
        "tracklets": calibration.tracklets,
        "slope": calibration.slope,
        "intercept": calibration.intercept,
        "prior": calibration.prior,
        "match_threshold": calibration.match_threshold,
        "possible_threshold": calibration.possible_threshold,
        "report": dict(report),
        "made_by": made_by,
    }
    await connection.execute(insert_or(CalibrationRow).values(values).on_conflict_do_nothing())
    await _announce(connection, gallery_id)


async def remove(connection: AsyncConnection, calibration_id: uuid.UUID) -> bool:
    """Forget a calibration; False when there is none. The one before it is in force again."""
    those = delete(CalibrationRow).where(CalibrationRow.id == calibration_id, _OWNER)
    gallery_id = await connection.scalar(those.returning(CalibrationRow.gallery_id))
    if gallery_id is None:
        return False
    await _announce(connection, gallery_id)
    return True


async def in_force(connection: AsyncConnection) -> list[Calibration]:
    """The newest calibration of every gallery under each of its models, newest first."""
    newest = (
        select(*_NARROW, CalibrationRow.created_at)
        .join(GalleryRow, _OWNER)
        .ext(distinct_on(CalibrationRow.gallery_id, CalibrationRow.model_id))
        .order_by(
            CalibrationRow.gallery_id,
            CalibrationRow.model_id,
            CalibrationRow.created_at.desc(),
            CalibrationRow.id.desc(),
        )
    )
    rows = sorted(await connection.execute(newest), key=lambda row: (row.created_at, row.id), reverse=True)
    return [Calibration(**{name: row._mapping[name] for name in _NAMES}) for row in rows]


async def find(connection: AsyncConnection, calibration_id: uuid.UUID) -> StoredCalibration | None:
    """The calibration, if there is one."""
    row = (await connection.execute(_WHOLE.where(CalibrationRow.id == calibration_id))).one_or_none()
    return StoredCalibration(*row) if row else None


async def list_page(
    connection: AsyncConnection, gallery: str, limit: int, before: tuple[datetime, uuid.UUID] | None = None
) -> list[StoredCalibration]:
    """Up to `limit` calibrations of the gallery, newest first, older than `before` (creation time, id)."""
    newest = CalibrationRow.created_at.desc(), CalibrationRow.id.desc()
    statement = _WHOLE.where(GalleryRow.name == gallery).order_by(*newest).limit(limit)
    if before is not None:
        statement = statement.where(tuple_(CalibrationRow.created_at, CalibrationRow.id) < tuple_(*before))
    return [StoredCalibration(*row) for row in await connection.execute(statement)]


async def _announce(connection: AsyncConnection, gallery_id: int) -> None:
    """Tell the other processes at COMMIT, as a switch does."""
    await connection.execute(
        text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": str(gallery_id)}
    )
