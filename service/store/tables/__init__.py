"""The tables. Alembic migrations are the only way they change; `make lint` compares the two."""

from service.store.tables.base import Table
from service.store.tables.cameras import CameraRow, TransitRow
from service.store.tables.galleries import GalleryRow, GenerationRow, ModelRow
from service.store.tables.service import JobRow, KeyRow
from service.store.tables.tracklets import ChangeRow, DescriptorRow, FrameRow, TrackletRow

__all__ = [
    "CameraRow",
    "ChangeRow",
    "DescriptorRow",
    "FrameRow",
    "GalleryRow",
    "GenerationRow",
    "JobRow",
    "KeyRow",
    "ModelRow",
    "Table",
    "TrackletRow",
    "TransitRow",
]
