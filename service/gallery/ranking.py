"""A question to its answer: descriptor, exact ranking, and the rows that belong to it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import FieldError, InvalidRequest, NotFound
from service.gallery.filters import Filters, Sighting
from service.gallery.galleries import Galleries
from service.gallery.index import Question
from service.gallery.served import Loaded
from service.gallery.times import NO_TIME
from service.ingest.uploads import Uploads
from service.metrics import Metrics
from service.store import galleries as gallery_store
from service.store import models as model_store
from service.store import tracklets as store
from service.store.cameras import Rules
from service.store.database import Database
from service.store.models import ModelRecord
from service.store.tracklets import StoredTracklet


@dataclass(frozen=True)
class SearchOptions:
    """How to answer a question."""

    gallery: str
    k: int
    cameras: frozenset[str] = frozenset()
    excluded_cameras: frozenset[str] = frozenset()
    exclude_query_camera: bool = False
    started_after: datetime | None = None
    ended_before: datetime | None = None
    identities: frozenset[str] = frozenset()
    identity_known: bool | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    min_frames: int | None = None
    min_score: float | None = None
    min_time_gap_seconds: float | None = None
    feasible_transit: bool = False
    query_sighting: Sighting | None = None

    def filters(self, seen: Sequence[Sighting], rules: Rules) -> Filters:
        """The part that is a mask over rows.

        Args:
            seen: where and when each query was seen.
            rules: of the gallery.

        Raises:
            InvalidRequest: a rule asks for what is not known of a query.
        """
        excluded = self.excluded_cameras
        if self.exclude_query_camera:
            excluded |= {one.camera for one in seen if one.camera is not None}
        by_time = self.min_time_gap_seconds is not None or self.feasible_transit
        if by_time:
            self._refuse_unknown(seen)
        return Filters(
            self.cameras,
            excluded,
            self.started_after,
            self.ended_before,
            self.identities,
            self.identity_known,
            self.labels,
            self.min_frames,
            frozenset(seen) if by_time else frozenset(),
            self.min_time_gap_seconds,
            self.feasible_transit,
            rules,
        )

    def _refuse_unknown(self, seen: Sequence[Sighting]) -> None:
        asked = "min_time_gap_seconds" if self.min_time_gap_seconds is not None else "feasible_transit"
        if any(one.started == NO_TIME for one in seen):
            raise InvalidRequest(
                f"{asked} needs the time of the query, which is not known. Store the tracklet with started_at, send "
                "its frames to POST /search with query_started_at, or leave the option out.",
                [FieldError(asked, "the query has no time")],
            )
        if self.feasible_transit and any(one.camera is None for one in seen):
            raise InvalidRequest(
                "feasible_transit needs the camera of the query: name it in query_camera_id, or leave the option out.",
                [FieldError("feasible_transit", "the query has no camera")],
            )


@dataclass(frozen=True)
class RankedTracklet:
    """One place of an answer."""

    rank: int
    score: float
    tracklet: StoredTracklet


@dataclass(frozen=True)
class Answer:
    """A ranking with its rows, and what ranked them: the generation, and the model that it is of."""

    results: list[RankedTracklet]
    model: ModelRecord
    generation: int


class Search:
    """Answers questions against galleries."""

    def __init__(self, database: Database, galleries: Galleries, uploads: Uploads, metrics: Metrics) -> None:
        self._database = database
        self._galleries = galleries
        self._uploads = uploads
        self._metrics = metrics
        self._models: dict[str, ModelRecord] = {}

    async def by_tracklet(self, query_id: uuid.UUID, options: SearchOptions) -> Answer:
        """Rank the gallery against one of its tracklets, which is never in its own answer.

        Raises:
            NotFound: no such gallery, or it has no such tracklet.
            InvalidRequest: a rule asks for what is not known of it.
            IndexNotReady, DatabaseUnavailable.
        """
        loaded = await self._galleries.current_with(options.gallery, query_id)
        vector, sighting = loaded.index.vector(query_id), loaded.index.sighting(query_id)
        if vector is None or sighting is None:
            raise NotFound(f"Gallery {options.gallery} has no tracklet {query_id}.")
        filters = options.filters([sighting], self._galleries.rules(options.gallery))
        return await self._rank(loaded, Question(vector, options.k, filters, query_id), options)

    async def by_frames(self, contents: Sequence[bytes], options: SearchOptions) -> Answer:
        """Rank the gallery against a tracklet that is not stored.

        Raises:
            NotFound: no such gallery.
            InvalidRequest: a rule asks for what the options do not say of the query.
            InvalidFrame, QueueFull, ModelConflict, IndexNotReady, DatabaseUnavailable.
        """
        described_by, vector = None, None
        loaded = await self._galleries.current(options.gallery)
        seen = [options.query_sighting or Sighting(None)]
        # Before the frames are embedded: that is the dear part.
        options.filters(seen, self._galleries.rules(options.gallery))
        while vector is None or loaded.model_id != described_by:
            # Again only when the gallery was switched to another model while the frames were embedded.
            described_by = loaded.model_id
            frame_cap = self._galleries.rules(options.gallery).frame_cap
            _, vector = await self._uploads.describe(contents, described_by, frame_cap)
            loaded = await self._galleries.current(options.gallery)
        filters = options.filters(seen, self._galleries.rules(options.gallery))
        return await self._rank(loaded, Question(vector, options.k, filters), options)

    async def _rank(self, loaded: Loaded, question: Question, options: SearchOptions) -> Answer:
        wanted = question.k
        while True:
            with self._metrics.stage("rank"):
                found = await loaded.search(replace(question, k=wanted))
            hits = [hit for hit in found if options.min_score is None or hit.score >= options.min_score]
            with self._metrics.stage("rows"):
                async with self._database.reading() as connection:
                    rows = await store.find_many(connection, [hit.tracklet_id for hit in hits])
                    model = await self._model(connection, loaded.model_id)
                    if not rows:
                        # Rows of a gallery that another process began to delete are not found; is that why?
                        await gallery_store.get(connection, options.gallery)
            present = [(hit, rows[hit.tracklet_id]) for hit in hits if hit.tracklet_id in rows]
            if len(present) >= question.k or len(hits) < wanted:
                break
            # Another process deleted some a moment ago: the next ones belong in their places.
            wanted = question.k + len(hits) - len(present)
        places = enumerate(present[: question.k], start=1)
        results = [RankedTracklet(rank, hit.score, row) for rank, (hit, row) in places]
        return Answer(results, model, loaded.generation)

    async def _model(self, connection: AsyncConnection, model_id: str) -> ModelRecord:
        """What the database says of a model, asked once in the life of a service."""
        if model_id not in self._models:
            self._models[model_id] = await model_store.get(connection, model_id)
        return self._models[model_id]
