"""Questions and rankings as they go over the wire."""

import json
import uuid
from datetime import datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    model_validator,
)

from service.api.schemas import thumbnail_url
from service.api.served_model import Model
from service.api.values import LONGEST_SECONDS, GalleryName, Moment, Schema, Text, json_labels
from service.gallery.filters import Sighting
from service.gallery.ranking import Answer, SearchOptions
from service.gallery.times import microseconds


class SearchParameters(Schema):
    """Options of a search."""

    k: int = Field(default=20, ge=1, le=1000, description="Places in the answer at most.")
    gallery: GalleryName = "default"
    camera_id: list[Text] = Field(default=[], max_length=100, description="Only these cameras; repeatable.")
    exclude_camera_id: list[Text] = Field(default=[], max_length=100, description="Not these cameras; repeatable.")
    exclude_query_camera: bool = Field(default=False, description="Not the camera that saw the query.")
    started_after: Moment | None = Field(
        default=None, description="Only tracklets that started then or later; those without a start do not pass."
    )
    ended_before: Moment | None = Field(
        default=None, description="Only tracklets that ended then or earlier; those without an end do not pass."
    )
    identity: list[Text] = Field(default=[], max_length=100, description="Only these people; repeatable.")
    identity_known: bool | None = Field(
        default=None, description="`true`: only tracklets with an identity; `false`: only those without."
    )
    labels: Annotated[str, Field(max_length=16 * 1024), AfterValidator(json_labels)] | None = Field(
        default=None,
        description="Only tracklets that have all of these labels, as a JSON object.",
        examples=['{"direction": "in"}'],
    )
    min_frames: int | None = Field(default=None, ge=1, le=1_000_000, description="Only tracklets of so many frames.")
    min_score: float | None = Field(
        default=None, ge=-1, le=1, allow_inf_nan=False, description="Least cosine similarity."
    )

    min_time_gap_seconds: float | None = Field(
        default=None,
        ge=0,
        le=LONGEST_SECONDS,
        allow_inf_nan=False,
        description="Only tracklets that ended so long before the query, or began so long after it, at any camera.",
    )
    feasible_transit: bool = Field(
        default=False,
        description="Only tracklets that a person who walks as fast as the gallery's transit times say could be, too.",
    )

    def options(self, query_sighting: Sighting | None = None) -> SearchOptions:
        """The same, as the gallery room takes it."""
        return SearchOptions(
            gallery=self.gallery,
            k=self.k,
            cameras=frozenset(self.camera_id),
            excluded_cameras=frozenset(self.exclude_camera_id),
            exclude_query_camera=self.exclude_query_camera,
            started_after=self.started_after,
            ended_before=self.ended_before,
            identities=frozenset(self.identity),
            identity_known=self.identity_known,
            labels={} if self.labels is None else json.loads(self.labels),
            min_frames=self.min_frames,
            min_score=self.min_score,
            min_time_gap_seconds=self.min_time_gap_seconds,
            feasible_transit=self.feasible_transit,
            query_sighting=query_sighting,
        )


class FramesSearchParameters(SearchParameters):
    """Options of a search by frames, and where and when they were seen."""

    query_camera_id: Text | None = Field(default=None, description="The camera that saw the frames.")
    query_started_at: Moment | None = Field(default=None, description="When the first frame was seen.")
    query_ended_at: Moment | None = Field(default=None, description="When the last one was; not without a start.")

    @model_validator(mode="after")
    def _times_fit(self) -> "FramesSearchParameters":
        if self.query_ended_at is not None:
            if self.query_started_at is None:
                raise ValueError("query_ended_at is given without query_started_at")
            if self.query_ended_at < self.query_started_at:
                raise ValueError("query_ended_at is before query_started_at")
        return self

    def sighting(self) -> Sighting:
        """Where and when the query was seen."""
        started, ended = microseconds(self.query_started_at), microseconds(self.query_ended_at)
        return Sighting.at(self.query_camera_id, started, ended)


class TrackletSearchParameters(SearchParameters):
    """Options of a search by a stored tracklet."""

    query_id: uuid.UUID = Field(description="Id of a tracklet in the gallery.")


class Result(BaseModel):
    """One place of a ranking."""

    rank: int
    tracklet_id: uuid.UUID
    score: float = Field(description="Cosine similarity, -1 to 1.")
    camera_id: str
    identity: str | None
    external_id: str | None
    started_at: datetime | None
    ended_at: datetime | None
    thumbnail_url: str


class Ranking(BaseModel):
    """An answer: who ranked, and the places, best first."""

    query_id: uuid.UUID | None
    gallery: str
    model_id: str
    model: Model
    generation: int
    took_ms: float
    results: list[Result]

    @classmethod
    def of(cls, answer: Answer, gallery: str, query_id: uuid.UUID | None, took_ms: float) -> "Ranking":
        """As the gallery room answered."""
        return cls(
            query_id=query_id,
            gallery=gallery,
            model_id=answer.model.id,
            model=Model.of(answer.model),
            generation=answer.generation,
            took_ms=round(took_ms, 3),
            results=[
                Result(
                    rank=place.rank,
                    tracklet_id=place.tracklet.id,
                    score=place.score,
                    camera_id=place.tracklet.camera,
                    identity=place.tracklet.identity,
                    external_id=place.tracklet.external_id,
                    started_at=place.tracklet.started_at,
                    ended_at=place.tracklet.ended_at,
                    thumbnail_url=thumbnail_url(place.tracklet),
                )
                for place in answer.results
            ],
        )
