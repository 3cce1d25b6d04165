"""A question to its answer: descriptor, exact ranking, and the rows that belong to it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from service.calibration.answers import Decision, Judge, judged
from service.errors import NotFound
from service.gallery.filters import Filters
from service.gallery.galleries import Galleries
from service.gallery.index import Question
from service.gallery.served import Loaded
from service.ingest.uploads import Uploads
from service.metrics import Metrics
from service.store import models as model_store
from service.store import tracklets as store
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

    def filters(self, query_camera: str | None = None) -> Filters:
        """The part that is a mask over rows; `query_camera` is left out where that is asked for."""
        excluded = self.excluded_cameras
        if self.exclude_query_camera and query_camera is not None:
            excluded |= {query_camera}
        return Filters(
            self.cameras,
            excluded,
            self.started_after,
            self.ended_before,
            self.identities,
            self.identity_known,
            self.labels,
            self.min_frames,
        )


@dataclass(frozen=True)
class RankedTracklet:
    """One place of an answer."""

    rank: int
    score: float
    tracklet: StoredTracklet
    probability: float | None = None


@dataclass(frozen=True)
class Answer:
    """A ranking with its rows, what ranked them (the generation, and the model that it is of), and what it means."""

    results: list[RankedTracklet]
    model: ModelRecord
    generation: int
    decision: Decision | None = None
    calibration: Judge | None = None


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
            IndexNotReady, DatabaseUnavailable.
        """
        loaded = await self._galleries.current_with(options.gallery, query_id)
        vector, camera = loaded.index.vector(query_id), loaded.index.camera(query_id)
        if vector is None:
            raise NotFound(f"Gallery {options.gallery} has no tracklet {query_id}.")
        return await self._rank(loaded, Question(vector, options.k, options.filters(camera), query_id), options)

    async def by_frames(self, contents: Sequence[bytes], options: SearchOptions) -> Answer:
        """Rank the gallery against a tracklet that is not stored.

        Raises:
            NotFound: no such gallery.
            InvalidFrame, QueueFull, ModelConflict, IndexNotReady, DatabaseUnavailable.
        """
        described_by, vector = None, None
        loaded = await self._galleries.current(options.gallery)
        while vector is None or loaded.model_id != described_by:
            # Again only when the gallery was switched to another model while the frames were embedded.
            described_by = loaded.model_id
            _, vector = await self._uploads.describe(contents, described_by)
            loaded = await self._galleries.current(options.gallery)
        return await self._rank(loaded, Question(vector, options.k, options.filters()), options)

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
            present = [(hit, rows[hit.tracklet_id]) for hit in hits if hit.tracklet_id in rows]
            if len(present) >= question.k or len(hits) < wanted:
                break
            # Another process deleted some a moment ago: the next ones belong in their places.
            wanted = question.k + len(hits) - len(present)
        places = enumerate(present[: question.k], start=1)
        results = [RankedTracklet(rank, hit.score, row) for rank, (hit, row) in places]
        answer = Answer(results, model, loaded.generation)
        return judged(answer, self._galleries.calibrations, loaded, question, options)

    async def _model(self, connection: AsyncConnection, model_id: str) -> ModelRecord:
        """What the database says of a model, asked once in the life of a service."""
        if model_id not in self._models:
            self._models[model_id] = await model_store.get(connection, model_id)
        return self._models[model_id]
