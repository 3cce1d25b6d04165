"""Questions and rankings as they go over the wire."""

import json
import uuid
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from service.api.examples.common import OTHER_ID, STRANGER_ID, TRACKLET_ID
from service.api.schemas import thumbnail_url
from service.api.served_model import Model
from service.api.values import (
    LONGEST_SECONDS,
    Cursor,
    GalleryName,
    Moment,
    Schema,
    StoredName,
    json_labels,
    labels_as_text,
)
from service.calibration.answers import Decision, Undecided
from service.gallery.filters import Sighting
from service.gallery.options import SearchOptions
from service.gallery.queries import Combine
from service.gallery.ranking import PAGE_PLACES, Answer, RankedTracklet
from service.gallery.reranking import Reranked, RerankOptions
from service.gallery.times import microseconds

_MOST_EXAMPLES = 100


class SearchParameters(Schema):
    """Options of a search."""

    k: int = Field(default=20, ge=1, le=PAGE_PLACES, description="Places in the answer at most.")
    gallery: GalleryName = "default"
    camera_id: list[StoredName] = Field(default=[], max_length=100, description="Only these cameras; repeatable.")
    exclude_camera_id: list[StoredName] = Field(
        default=[], max_length=100, description="Not these cameras; repeatable."
    )
    exclude_query_camera: bool = Field(default=False, description="Not the camera that saw the query.")
    started_after: Moment | None = Field(
        default=None, description="Only tracklets that started then or later; those without a start do not pass."
    )
    ended_before: Moment | None = Field(
        default=None, description="Only tracklets that ended then or earlier; those without an end do not pass."
    )
    identity: list[StoredName] = Field(default=[], max_length=100, description="Only these people; repeatable.")
    identity_known: bool | None = Field(
        default=None, description="`true`: only tracklets with an identity; `false`: only those without."
    )
    labels: (
        Annotated[str, BeforeValidator(labels_as_text), Field(max_length=16 * 1024), AfterValidator(json_labels)] | None
    ) = Field(
        default=None,
        description="Only tracklets that have all of these labels, as a JSON object.",
        examples=['{"direction": "in"}'],
    )
    min_frames: int | None = Field(default=None, ge=1, le=1_000_000, description="Only tracklets of so many frames.")
    min_score: float | None = Field(
        default=None, ge=-1, le=1, allow_inf_nan=False, description="Least cosine similarity."
    )
    rerank: Literal["k_reciprocal"] | None = Field(
        default=None, description="Order the first rows anew by the neighbours that they share with the query."
    )
    expand: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Order the first rows by the mean of the query and its `expand` nearest.",
    )
    rerank_top: int | None = Field(
        default=None, ge=1, le=10_000, description="Rows that take part in `rerank` and `expand`; 200 unless given."
    )
    rerank_k1: int = Field(default=20, ge=1, le=100, description="Neighbours that may be mutual.")
    rerank_k2: int = Field(default=6, ge=1, le=100, description="Nearest whose neighbourhoods are averaged.")
    rerank_lambda: float = Field(
        default=0.3, ge=0, le=1, allow_inf_nan=False, description="Share of the plain distance in the re-ranked one."
    )
    group_by: Literal["identity"] | None = Field(
        default=None, description="Only the best tracklet of each identity, and all without one."
    )
    cursor: Cursor | None = None

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> Self:
        idle = self.model_fields_set & {"rerank_k1", "rerank_k2", "rerank_lambda"} if self.rerank is None else set()
        if self.rerank is None and self.expand is None:
            idle |= self.model_fields_set & {"rerank_top"}
        if idle:
            raise ValueError(f"{', '.join(sorted(idle))} without rerank=k_reciprocal does nothing")
        return self

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
            rerank=self._rerank_options(),
            best_of_identity=self.group_by == "identity",
            cursor=self.cursor,
            min_time_gap_seconds=self.min_time_gap_seconds,
            feasible_transit=self.feasible_transit,
            query_sighting=query_sighting,
        )

    def _rerank_options(self) -> RerankOptions | None:
        if self.rerank is None and self.expand is None:
            return None
        return RerankOptions(
            self.rerank, self.expand or 0, self.rerank_top, self.rerank_k1, self.rerank_k2, self.rerank_lambda
        )


class FramesSearchParameters(SearchParameters):
    """Options of a search by frames, and where and when they were seen."""

    query_camera_id: StoredName | None = Field(default=None, description="The camera that saw the frames.")
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


class ExamplesParameters(SearchParameters):
    """A search by examples: the JSON body."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "positive": [TRACKLET_ID, OTHER_ID],
                    "negative": [STRANGER_ID],
                    "combine": "mean",
                    "k": 10,
                }
            ]
        }
    )

    positive: list[uuid.UUID] = Field(
        min_length=1, max_length=_MOST_EXAMPLES, description="Tracklets of whom to look for."
    )
    negative: list[uuid.UUID] = Field(
        default=[], max_length=_MOST_EXAMPLES, description="Tracklets of others, taken for them by mistake."
    )
    combine: Combine = Field(
        default="mean",
        description="`mean`: similarity to the mean of the positive ones; `max`: to the most similar of them.",
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        named = [*self.positive, *self.negative]
        if len(set(named)) < len(named):
            raise ValueError("positive and negative name a tracklet twice")
        return self


class RerankReport(BaseModel):
    """What re-ranking did, and what it cost."""

    method: Literal["k_reciprocal"] | None
    expand: int | None
    top: int = Field(description="Rows that took part.")
    took_ms: float

    @classmethod
    def of(cls, done: Reranked) -> "RerankReport":
        """As the gallery room did it."""
        how = done.options
        return cls(method=how.method, expand=how.expand or None, top=done.top, took_ms=round(done.seconds * 1000, 3))


class CalibrationReference(BaseModel):
    """The calibration behind an answer."""

    id: uuid.UUID
    stale: bool = Field(
        description="Made for another model or a much smaller gallery: it says nothing until run again."
    )
    reason: str | None


class Result(BaseModel):
    """One place of a ranking."""

    rank: int
    tracklet_id: uuid.UUID
    score: float = Field(description="Cosine similarity, -1 to 1.")
    rerank_distance: float | None = Field(description="What a re-ranked answer is ordered by, least first.")
    probability: float | None = Field(
        description="That it is the same person; null where no calibration of the gallery says so (see the ranking's "
        "`undecided_because`), and for the query's own camera."
    )
    camera_id: str
    identity: str | None
    external_id: str | None
    started_at: datetime | None
    ended_at: datetime | None
    thumbnail_url: str | None

    @classmethod
    def of(cls, place: RankedTracklet) -> "Result":
        """As the gallery room answered."""
        return cls(
            rank=place.rank,
            tracklet_id=place.tracklet.id,
            score=place.score,
            probability=place.probability,
            rerank_distance=place.distance,
            camera_id=place.tracklet.camera,
            identity=place.tracklet.identity,
            external_id=place.tracklet.external_id,
            started_at=place.tracklet.started_at,
            ended_at=place.tracklet.ended_at,
            thumbnail_url=thumbnail_url(place.tracklet.id, place.tracklet.frame_count),
        )


class Ranking(BaseModel):
    """An answer: who ranked, and the places, best first."""

    query_id: uuid.UUID | None
    gallery: str
    model_id: str
    model: Model
    generation: int
    took_ms: float
    rerank: RerankReport | None
    decision: Decision | None = Field(
        description="Of the whole search, by the gallery's calibration; the same on every page of a ranking."
    )
    undecided_because: Undecided | None = Field(
        description="Why `decision` is null. `no_calibration`: the gallery has none. `stale_calibration`: it no longer "
        "holds. `several_examples`: what scores mean was learned of single tracklets. `min_score`: rows that it hides "
        "would decide. All but the last leave every `probability` null, too."
    )
    calibration: CalibrationReference | None
    results: list[Result]
    next_cursor: str | None = Field(description="Goes on after the last place; null when nothing follows.")

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
            rerank=RerankReport.of(answer.reranked) if answer.reranked else None,
            results=[Result.of(place) for place in answer.results],
            next_cursor=answer.next_cursor,
            decision=answer.decision,
            undecided_because=answer.undecided,
            calibration=answer.calibration
            and CalibrationReference.model_validate(answer.calibration, from_attributes=True),
        )
