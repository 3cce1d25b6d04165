"""A question to its answer: descriptor, exact ranking, and the rows that belong to it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.ext.asyncio import AsyncConnection

from service.errors import NotFound
from service.gallery.filters import Filters
from service.gallery.galleries import Galleries
from service.ingest.uploads import Uploads
from service.metrics import Metrics
from service.store import galleries as gallery_store
from service.store import models as model_store
from service.store import tracklets as store
from service.store.database import Database
from service.store.galleries import Gallery
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
    min_score: float | None = None

    @property
    def filters(self) -> Filters:
        """The part that is a mask over rows."""
        return Filters(self.cameras, self.excluded_cameras, self.started_after, self.ended_before)


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
            IndexNotReady, DatabaseUnavailable.
        """
        async with self._database.reading() as connection:
            gallery = await self._gallery(connection, options.gallery)
            vector = await store.find_descriptor(connection, gallery.id, query_id, gallery.model_id)
            if vector is None:
                raise NotFound(f"Gallery {gallery.name} has no tracklet {query_id}.")
            if options.exclude_query_camera:
                camera = await store.find_camera(connection, query_id)
                assert camera is not None
                options = replace(options, excluded_cameras=options.excluded_cameras | {camera})
        return await self._rank(gallery, np.frombuffer(vector, "<f4"), options, exclude=query_id)

    async def by_frames(self, contents: Sequence[bytes], options: SearchOptions) -> Answer:
        """Rank the gallery against a tracklet that is not stored.

        Raises:
            NotFound: no such gallery.
            InvalidFrame, QueueFull, ModelConflict, IndexNotReady, DatabaseUnavailable.
        """
        async with self._database.reading() as connection:
            gallery = await self._gallery(connection, options.gallery)
        _, vector = await self._uploads.describe(contents, gallery.model_id)
        return await self._rank(gallery, vector, options, exclude=None)

    async def _gallery(self, connection: AsyncConnection, name: str) -> Gallery:
        gallery = await gallery_store.find(connection, name)
        if gallery is None:
            raise NotFound(f"There is no gallery {name!r}; the first upload that names it makes it.")
        return gallery

    async def _rank(
        self, gallery: Gallery, query: NDArray[np.float32], options: SearchOptions, exclude: uuid.UUID | None
    ) -> Answer:
        with self._metrics.stage("rank"):
            ranking = await self._galleries.search(
                gallery.name, query, options.k, options.filters, gallery.model_id, exclude
            )
        hits = [hit for hit in ranking.hits if options.min_score is None or hit.score >= options.min_score]
        with self._metrics.stage("rows"):
            async with self._database.reading() as connection:
                rows = await store.find_many(connection, [hit.tracklet_id for hit in hits])
                model = await self._model(connection, ranking.model_id)
        # A tracklet deleted a moment ago has no row any more; ranks stay without gaps.
        present = [(hit, rows[hit.tracklet_id]) for hit in hits if hit.tracklet_id in rows]
        results = [RankedTracklet(rank, hit.score, row) for rank, (hit, row) in enumerate(present, start=1)]
        return Answer(results, model, ranking.generation)

    async def _model(self, connection: AsyncConnection, model_id: str) -> ModelRecord:
        """What the database says of a model, asked once in the life of a service."""
        if model_id not in self._models:
            self._models[model_id] = await model_store.get(connection, model_id)
        return self._models[model_id]
