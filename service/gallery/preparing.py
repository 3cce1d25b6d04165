"""Questions made ready: their vectors, which rows may answer, and the index that they are for."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from service.errors import NotFound
from service.gallery.filters import Sighting
from service.gallery.galleries import Galleries
from service.gallery.options import SearchOptions
from service.gallery.queries import Combine, Queries, combined
from service.gallery.questions import Question
from service.gallery.served import Loaded


@dataclass(frozen=True, eq=False)
class Prepared:
    """A question that is ready to be asked, as often as it has pages.

    Attributes:
        loaded: the index that answers.
        question: what it is asked.
        options: that the question was made with, and says how it is to be answered.
        camera: that saw the query; None where nobody says.
        judged: whether a calibration may say what the answer means.
    """

    loaded: Loaded
    question: Question
    options: SearchOptions
    camera: str | None
    judged: bool = True


class Preparing:
    """Makes questions ready."""

    def __init__(self, galleries: Galleries, queries: Queries) -> None:
        self._galleries = galleries
        self._queries = queries

    async def tracklet(self, query_id: uuid.UUID, options: SearchOptions) -> Prepared:
        """Ask by a stored tracklet, which is never in its own answer.

        Raises:
            NotFound: no such gallery, or it has no such tracklet.
            InvalidRequest, IndexNotReady, DatabaseUnavailable.
        """
        loaded = await self._galleries.current_with(options.gallery, query_id)
        vector, sighting = loaded.index.vector(query_id), loaded.index.sighting(query_id)
        if vector is None or sighting is None:
            raise NotFound(f"Gallery {options.gallery} has no tracklet {query_id}.")
        filters = options.filters([sighting], self._galleries.rules(options.gallery))
        return Prepared(loaded, Question(vector, options.k, filters, query_id), options, sighting.camera)

    async def frames(self, contents: Sequence[bytes], options: SearchOptions) -> Prepared:
        """Ask by a tracklet that is not stored.

        Raises:
            NotFound: no such gallery.
            InvalidFrame, QueueFull, ModelConflict.
            InvalidRequest, IndexNotReady, DatabaseUnavailable.
        """
        await self._galleries.current(options.gallery)
        sighting = options.query_sighting or Sighting(None)
        # Before the frames are embedded: that is the dear part.
        options.filters([sighting], self._galleries.rules(options.gallery))
        loaded, vector, made_of = await self._queries.of_frames(options.gallery, contents, options.cursor is not None)
        filters = options.filters([sighting], self._galleries.rules(options.gallery))
        question = Question(vector, options.k, filters, made_of=made_of)
        return Prepared(loaded, question, options, sighting.camera)

    async def examples(
        self, positive: Sequence[uuid.UUID], negative: Sequence[uuid.UUID], combine: Combine, options: SearchOptions
    ) -> Prepared:
        """Ask by several of the gallery's tracklets, none of which is in the answer; see `combined`.

        Raises:
            NotFound: no such gallery, or it lacks one of them.
            InvalidRequest, IndexNotReady, DatabaseUnavailable.
        """
        examples = [*positive, *negative]
        loaded, vectors = await self._queries.stored(options.gallery, examples)
        query = combined(vectors[: len(positive)], vectors[len(positive) :], combine)
        seen = [one for example in positive if (one := loaded.index.sighting(example)) is not None]
        filters = options.filters(seen, self._galleries.rules(options.gallery))
        question = Question(query, options.k, filters, without=frozenset(examples))
        # What a score means was learned of single tracklets.
        return Prepared(loaded, question, options, loaded.index.camera(examples[0]), judged=len(examples) == 1)
