"""A question to its answer: query vectors, candidates from the index, re-ranking, and the rows that belong to them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from service.calibration.answers import Decision, Judge, Undecided, judged
from service.errors import FieldError, InvalidRequest
from service.gallery import continuing
from service.gallery.filters import Filters
from service.gallery.galleries import Galleries
from service.gallery.options import SearchOptions
from service.gallery.preparing import Prepared, Preparing
from service.gallery.queries import Queries
from service.gallery.questions import Hit, Question
from service.gallery.reranking import DEFAULT_TOP, Reranked, RerankedHit, RerankOptions, rerank
from service.gallery.served import Loaded
from service.ingest.describing import UploadDescriber
from service.metrics import Metrics
from service.store import models as model_store
from service.store.database import Database
from service.store.lookups import TrackletLookup
from service.store.models import ModelRecord
from service.store.tracklets import StoredTracklet
from service.threads import one_core_threads

PAGE_PLACES = 1000
"""Places of an answer at most."""

_RERANK_THREADS = 2

H = TypeVar("H", Hit, RerankedHit)


@dataclass(frozen=True)
class RankedTracklet:
    """One place of an answer; `distance` is what a re-ranked one is ordered by."""

    rank: int
    score: float
    tracklet: StoredTracklet
    distance: float | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Answer:
    """A ranking with its rows, what ranked them (the generation, and the model that it is of), and what it means.

    Attributes:
        best: highest cosine similarity of all rows that passed, shown or not, or on an earlier page; None: none did.
        next_cursor: goes on after the last place; None when nothing follows, and after a re-ranked answer.
        reranked: what re-ranking did, where it was asked for.
        undecided: why there is no decision.
    """

    results: list[RankedTracklet]
    model: ModelRecord
    generation: int
    best: float | None = None
    next_cursor: str | None = None
    reranked: Reranked | None = None
    decision: Decision | None = None
    undecided: Undecided | None = None
    calibration: Judge | None = None


class Search:
    """Answers questions against galleries: `prepare` makes one ready, `answer` or `pages` asks it.

    Args:
        rerank_limit: rows that may be re-ranked.
    """

    def __init__(
        self, database: Database, galleries: Galleries, describer: UploadDescriber, metrics: Metrics, rerank_limit: int
    ) -> None:
        self.queries = Queries(galleries, describer)
        self.prepare = Preparing(galleries, self.queries)
        self._database = database
        self._galleries = galleries
        self._metrics = metrics
        self._tracklets = TrackletLookup(database)
        self._rerank_limit = rerank_limit
        self._models: dict[str, ModelRecord] = {}
        # One core each: the numbers are then the same whatever else runs, and searches keep the other cores.
        self._threads = one_core_threads(_RERANK_THREADS, "rerank")

    def close(self) -> None:
        """Stop the threads that re-rank."""
        self._threads.shutdown(wait=True)

    async def answer(self, asked: Prepared) -> Answer:
        """Rank the gallery by a question that `prepare` made ready.

        Raises:
            InvalidRequest, CursorExpired, DatabaseUnavailable.
        """
        answer = await self._unjudged(asked.loaded, asked.question, asked.options)
        if not asked.judged:
            return replace(answer, undecided="several_examples")
        return judged(answer, self._galleries.calibrations, asked.loaded, asked.camera, asked.options)

    async def pages(self, asked: Prepared, places: int) -> AsyncIterator[Answer]:
        """Up to `places` of the ranking, page by page, all of the index that gave the first.

        Raises:
            As `answer`, before the first page.
        """
        options = asked.options
        # A re-ranked answer is one page.
        page = PAGE_PLACES if options.rerank is None else places
        while True:
            options = replace(options, k=min(page, places))
            answer = await self.answer(replace(asked, options=options))
            yield answer
            places -= len(answer.results)
            if answer.next_cursor is None or places <= 0:
                return
            options = replace(options, cursor=answer.next_cursor)

    async def _unjudged(self, loaded: Loaded, question: Question, options: SearchOptions) -> Answer:
        if options.rerank is not None:
            return await self._reranked(loaded, question, options, options.rerank)
        return await self._ranked(loaded, question, options)

    async def _ranked(self, loaded: Loaded, question: Question, options: SearchOptions) -> Answer:
        after, rank, best = None, 0, None
        if options.cursor is not None:
            mark = continuing.mark_of(question, options)
            after, rank, best = continuing.decode(options.cursor, loaded.generation, mark)
        # One more than is shown tells whether there is a next page.
        asked = replace(question, k=options.k + 1, after=after, best_of_identity=options.best_of_identity)
        while True:
            with self._metrics.stage("rank"):
                found = await loaded.search(asked)
            hits = [hit for hit in found if options.min_score is None or hit.score >= options.min_score]
            looked_at = hits[: asked.k - 1]
            rows, model = await self._rows(looked_at, loaded, options.gallery)
            places = _fitting(looked_at, rows, question.filters)
            if options.best_of_identity:
                places = _first_of_identity(places)
            fit = {hit.tracklet_id for hit, _ in places}
            gone = frozenset(hit.tracklet_id for hit in looked_at if hit.tracklet_id not in fit)
            if not gone:
                break
            # Another process deleted or changed some a moment ago: the next ones belong in their places. Perhaps many.
            asked = replace(asked, k=2 * asked.k, without=asked.without | gone)
        shown = looked_at[: options.k]
        results = [RankedTracklet(n, hit.score, rows[hit.tracklet_id]) for n, hit in enumerate(shown, start=rank + 1)]
        if after is None and hits:
            best = hits[0].score
        cursor = None
        if best is not None and len(hits) > options.k:
            mark = continuing.mark_of(question, options)
            cursor = continuing.encode(shown[-1], rank + len(shown), best, loaded.generation, mark)
        return Answer(results, model, loaded.generation, best, cursor)

    async def _reranked(self, loaded: Loaded, question: Question, options: SearchOptions, how: RerankOptions) -> Answer:
        if options.cursor is not None:
            message = "a re-ranked answer has no further pages; ask for more of it with k, up to rerank_top"
            raise InvalidRequest(f"cursor: {message}.", [FieldError("cursor", message)])
        top = self._rerank_top(options.k, how.top)
        with self._metrics.stage("rank"):
            candidates = await loaded.search(replace(question, k=top))
        with self._metrics.stage("rerank"):
            found, done = await asyncio.get_running_loop().run_in_executor(
                self._threads, rerank, loaded.index, question.query, candidates, how
            )
        hits = [hit for hit in found if options.min_score is None or hit.score >= options.min_score]
        rows, model = await self._rows(hits, loaded, options.gallery)
        present = _fitting(hits, rows, question.filters)
        if options.best_of_identity:
            present = _first_of_identity(present)
        results = [
            RankedTracklet(rank, hit.score, row, hit.distance)
            for rank, (hit, row) in enumerate(present[: options.k], start=1)
        ]
        best = max((hit.score for hit in hits), default=None)
        return Answer(results, model, loaded.generation, best, reranked=done)

    def _rerank_top(self, k: int, top: int | None) -> int:
        """Rows to re-rank.

        Raises:
            InvalidRequest: more than are allowed, or fewer than places are asked for.
        """
        if top is None:
            top = min(DEFAULT_TOP, self._rerank_limit)
        if top > self._rerank_limit:
            message = f"must not be larger than {self._rerank_limit} (TFCLIP_MAX_RERANK_TOP)"
            raise InvalidRequest(f"rerank_top {message}.", [FieldError("rerank_top", message)])
        if k > top:
            message = f"must not be larger than rerank_top, which is {top}: places beyond it are not re-ranked"
            raise InvalidRequest(f"k {message}.", [FieldError("k", message)])
        return top

    async def _rows(
        self, hits: Sequence[Hit], loaded: Loaded, gallery: str
    ) -> tuple[Mapping[uuid.UUID, StoredTracklet], ModelRecord]:
        with self._metrics.stage("rows"):
            rows = await self._tracklets.find([hit.tracklet_id for hit in hits])
            if not any(hit.tracklet_id in rows for hit in hits):
                # Rows of a gallery that another process began to delete are not found; is that why?
                await self._galleries.confirm(gallery)
            return rows, await self._model(loaded.model_id)

    async def _model(self, model_id: str) -> ModelRecord:
        """What the database says of a model, asked once in the life of a service."""
        if model_id not in self._models:
            async with self._database.reading() as connection:
                self._models[model_id] = await model_store.get(connection, model_id)
        return self._models[model_id]


def _fitting(
    hits: Sequence[H], rows: Mapping[uuid.UUID, StoredTracklet], filters: Filters
) -> list[tuple[H, StoredTracklet]]:
    """The hits that are stored still and pass as they are stored, with their rows."""
    present = [(hit, rows[hit.tracklet_id]) for hit in hits if hit.tracklet_id in rows]
    return [(hit, row) for hit, row in present if filters.allows(row.identity, row.labels)]


def _first_of_identity(places: Sequence[tuple[H, StoredTracklet]]) -> list[tuple[H, StoredTracklet]]:
    """The first place of each identity, and all without one."""
    seen: set[str] = set()
    kept = []
    for hit, row in places:
        if row.identity is None or row.identity not in seen:
            kept.append((hit, row))
        if row.identity is not None:
            seen.add(row.identity)
    return kept
