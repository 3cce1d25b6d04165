"""The tables. Alembic migrations are the only way they change; `make lint` compares the two."""

from service.store.tables.base import Table
from service.store.tables.calibrations import CalibrationRow
from service.store.tables.cameras import CameraRow, TransitRow
from service.store.tables.galleries import GalleryRow, GenerationRow, ModelRow
from service.store.tables.identities import IdentityEventRow, IdentityRow, MatchDecisionRow
from service.store.tables.service import JobRow, KeyRow
from service.store.tables.tracklets import ChangeRow, DescriptorRow, FrameRow, TrackletRow
from service.store.tables.wire import IdempotencyRow

__all__ = [
    "CalibrationRow",
    "CameraRow",
    "ChangeRow",
    "DescriptorRow",
    "FrameRow",
    "GalleryRow",
    "GenerationRow",
    "IdempotencyRow",
    "IdentityEventRow",
    "IdentityRow",
    "JobRow",
    "KeyRow",
    "MatchDecisionRow",
    "ModelRow",
    "Table",
    "TrackletRow",
    "TransitRow",
]
