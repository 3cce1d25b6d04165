"""Galleries and cameras as they go over the wire."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from service.api.values import LONGEST_SECONDS, VISIBLE_PATTERN, GalleryName, Schema, StoredName, visible_text
from service.store.cameras import Camera, Transit
from service.store.gallery_records import GalleryRecord, GalleryStatistics


def _visible(longest: int) -> Any:
    """The rules of a free text that is not blank."""
    return Field(min_length=1, max_length=longest, json_schema_extra=VISIBLE_PATTERN)


Prose = Annotated[str, _visible(2000), AfterValidator(visible_text)]
Place = Annotated[str, _visible(200), AfterValidator(visible_text)]
FrameCap = Annotated[int, Field(ge=1, le=100_000)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_SECONDS, allow_inf_nan=False)]


class GalleryFields(Schema):
    """What is said of a gallery."""

    description: Prose | None = Field(default=None, description="What it holds.")
    purpose: Prose | None = Field(default=None, description="What it is for.")
    legal_basis: Prose | None = Field(default=None, description="What allows it to be kept.")
    frame_cap: FrameCap | None = Field(
        default=None, description="Frames of a tracklet that are embedded; null: TFCLIP_FRAME_CAP."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"purpose": "Finding lost children", "legal_basis": "Consent", "frame_cap": 32}]
        }
    )


class NewGallery(GalleryFields):
    """A gallery to make."""

    name: GalleryName

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "summer-fair", "purpose": "Finding lost children", "legal_basis": "Consent"}]
        }
    )


class GalleryAnswer(BaseModel):
    """A gallery, and what serves it."""

    name: str
    description: str | None
    purpose: str | None
    legal_basis: str | None
    frame_cap: int | None = Field(description="Frames of a tracklet that are embedded; null: TFCLIP_FRAME_CAP.")
    version: int = Field(description="Counts the changes of these fields; its ETag.")
    model_id: str
    model_name: str
    generation: int = Field(description="Number of the serving generation.")
    created_at: datetime

    @classmethod
    def of(cls, record: GalleryRecord) -> "GalleryAnswer":
        """As the database has it."""
        return cls.model_validate(record, from_attributes=True)


class IndexState(BaseModel):
    """This process's index of a gallery."""

    rows: int
    lag_changes: int = Field(description="Committed changes that it does not contain yet.")
    lag_seconds: float = Field(description="For how long it has not been known to be current.")


class Statistics(BaseModel):
    """How much a gallery holds."""

    tracklets: int
    frames: int
    files: int = Field(description="Different frame files: frames with the same bytes share one.")
    bytes: int = Field(description="Size of those files together.")
    identities: int = Field(description="Different people that tracklets are known to be.")
    cameras: int
    first_start: datetime | None = Field(description="Of the tracklets with a start, as they were uploaded.")
    last_start: datetime | None
    index: IndexState | None = Field(description="Null while it is being loaded.")


class GalleryDetails(GalleryAnswer):
    """A gallery, what serves it, and how much it holds."""

    statistics: Statistics

    @classmethod
    def counted(
        cls, record: GalleryRecord, statistics: GalleryStatistics, index: IndexState | None
    ) -> "GalleryDetails":
        """As the database and this process have it."""
        counted = Statistics.model_validate(statistics.__dict__ | {"index": index})
        return cls(**GalleryAnswer.of(record).model_dump(), statistics=counted)


class GalleryPage(BaseModel):
    """Galleries, oldest first."""

    items: list[GalleryAnswer]
    next_cursor: str | None


class CameraFields(Schema):
    """What is said of a camera; what is left out is put back to its default."""

    place: Place | None = Field(default=None, description="Where it is.")
    latitude: float | None = Field(default=None, ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(default=None, ge=-180, le=180, allow_inf_nan=False)
    time_offset_seconds: float = Field(
        default=0.0,
        ge=-LONGEST_SECONDS,
        le=LONGEST_SECONDS,
        allow_inf_nan=False,
        description="Added to the camera's times wherever times are compared; 30: its clock is 30 s slow.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"place": "North gate", "latitude": 47.376, "longitude": 8.548, "time_offset_seconds": -12.5}]
        }
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> "CameraFields":
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude are given together or not at all")
        return self


class CameraAnswer(BaseModel):
    """A camera of a gallery."""

    gallery: str
    name: str
    place: str | None
    latitude: float | None
    longitude: float | None
    time_offset_seconds: float
    tracklets: int = Field(description="How many it saw.")
    version: str = Field(description="Another one when something else is said of it; its ETag.")
    created_at: datetime

    @classmethod
    def of(cls, camera: Camera) -> "CameraAnswer":
        """As the database has it."""
        return cls.model_validate(camera, from_attributes=True)


class CameraPage(BaseModel):
    """Cameras, in the order in which they were made."""

    items: list[CameraAnswer]
    next_cursor: str | None


_MATRIX: JsonDict = {
    "cameras": ["north-gate", "hall"],
    "min_seconds": [[0, 45], [50, 0]],
    "max_seconds": [[None, 900], [900, None]],
}


class Transits(Schema):
    """Feasible transit times: row: the camera that is left; column: the one that is entered."""

    cameras: list[StoredName]
    min_seconds: list[list[Seconds]] = Field(description="At least so long; 0 where nothing is known.")
    max_seconds: list[list[Seconds | None]] = Field(description="At most so long; null: no bound.")

    model_config = ConfigDict(json_schema_extra={"examples": [_MATRIX]})

    @model_validator(mode="after")
    def _fits(self) -> "Transits":
        size = len(self.cameras)
        if len(set(self.cameras)) != size:
            raise ValueError("a camera is named twice")
        for name in ("min_seconds", "max_seconds"):
            rows = getattr(self, name)
            if len(rows) != size or any(len(row) != size for row in rows):
                raise ValueError(f"{name} must have {size} rows of {size} numbers, as there are {size} cameras")
        for one in self.transits():
            if one.longest is not None and one.longest < one.shortest:
                raise ValueError(f"from {one.origin!r} to {one.destination!r}: min_seconds is more than max_seconds")
        return self

    def transits(self) -> list[Transit]:
        """The same, pair by pair."""
        return [
            Transit(origin, destination, self.min_seconds[row][column], self.max_seconds[row][column])
            for row, origin in enumerate(self.cameras)
            for column, destination in enumerate(self.cameras)
        ]

    @classmethod
    def of(cls, transits: list[Transit]) -> "Transits":
        """As the database has them; pairs of which nothing is said have no bounds."""
        cameras = sorted({one.origin for one in transits} | {one.destination for one in transits})
        bounds = {(one.origin, one.destination): (one.shortest, one.longest) for one in transits}
        rows = [[bounds.get((origin, destination), (0.0, None)) for destination in cameras] for origin in cameras]
        return cls(
            cameras=cameras,
            min_seconds=[[shortest for shortest, _ in row] for row in rows],
            max_seconds=[[longest for _, longest in row] for row in rows],
        )
