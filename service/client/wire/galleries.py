"""What the service answers about galleries and cameras, as the client sees it."""

from datetime import datetime

from pydantic import Field

from service.client.wire.base import Answer


class IndexState(Answer):
    """The answering process's index of a gallery."""

    rows: int
    lag_changes: int
    lag_seconds: float


class GalleryStatistics(Answer):
    """How much a gallery holds; `bytes` of its different frame files. `index` is None while it is being loaded."""

    tracklets: int
    frames: int
    files: int
    bytes: int
    identities: int
    cameras: int
    first_start: datetime | None = None
    last_start: datetime | None = None
    index: IndexState | None = None


class Gallery(Answer):
    """A gallery, and what serves it; `statistics` where one gallery was asked for."""

    name: str
    description: str | None = None
    purpose: str | None = None
    legal_basis: str | None = None
    frame_cap: int | None = None
    version: int
    model_id: str
    model_name: str = "unnamed"
    generation: int
    created_at: datetime | None = None
    statistics: GalleryStatistics | None = None


class GalleryPage(Answer):
    """One page of a list of galleries, oldest first."""

    items: list[Gallery]
    next_cursor: str | None = None


class Camera(Answer):
    """A camera of a gallery; `time_offset_seconds` is added to its times wherever times are compared."""

    gallery: str
    name: str
    place: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    time_offset_seconds: float = 0.0
    tracklets: int = 0
    version: str | None = None
    created_at: datetime | None = None


class CameraPage(Answer):
    """One page of a list of cameras, oldest first."""

    items: list[Camera]
    next_cursor: str | None = None


class Transits(Answer):
    """Feasible transit times: row: the camera that is left; column: the one that is entered; None: no bound.

    `version` is of what the service answered, for `put_transits`; it is no part of the matrix.
    """

    cameras: list[str]
    min_seconds: list[list[float]]
    max_seconds: list[list[float | None]]
    version: str | None = Field(default=None, exclude=True)
