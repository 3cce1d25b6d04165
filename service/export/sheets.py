"""Contact sheets of rankings, drawn from stored frames."""

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from service.errors import InvalidFrame, NotFound
from service.export.contact_sheet import Strip, draw, fitted, span, spread
from service.gallery.ranking import Answer, RankedTracklet
from service.ingest.images import ImageLimits, decode_frame
from service.store import descriptors
from service.store import tracklets as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.tracklets import StoredTracklet

_THREADS = 2
"""Sheets drawn at a time: each holds its picture in memory."""


class Sheets:
    """Draws contact sheets."""

    def __init__(self, database: Database, frames: FrameStore, limits: ImageLimits) -> None:
        self._database = database
        self._frames = frames
        self._limits = limits
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sheet")

    def close(self) -> None:
        """Stop the drawing threads."""
        self._threads.shutdown(wait=True)

    async def of_answer(self, query_id: uuid.UUID, answer: Answer) -> bytes:
        """The query's strip, and one for each place of the answer: a PNG file.

        Raises:
            NotFound: the query was deleted a moment ago.
        """
        shown = [query_id, *(place.tracklet.id for place in answer.results)]
        async with self._database.reading() as connection:
            query = await store.find(connection, query_id)
            digests = await descriptors.frame_digests(connection, shown)
        if query is None:
            raise NotFound(f"There is no tracklet {query_id}.")
        texts = [_query_text(query), *(_place_text(place) for place in answer.results)]
        paths = [[self._frames.path(query.gallery, digest) for digest in digests.get(one, [])] for one in shown]
        title = f"gallery {query.gallery}, model {answer.model.name}, generation {answer.generation}"
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._draw, title, texts, paths)

    def _draw(self, title: str, texts: Sequence[Sequence[str]], paths: Sequence[Sequence[Path]]) -> bytes:
        return draw(title, (self._strip(text, files) for text, files in zip(texts, paths, strict=True)))

    def _strip(self, text: Sequence[str], paths: Sequence[Path]) -> Strip:
        return Strip(text, [self._frame(paths[position]) for position in spread(len(paths))])

    def _frame(self, path: Path) -> Image.Image | None:
        """The frame, or None where its file is gone or damaged: the sheet shows the rest."""
        try:
            return fitted(decode_frame(path.read_bytes(), self._limits, path.name)[0])
        except (OSError, InvalidFrame):
            return None


def _query_text(query: StoredTracklet) -> list[str]:
    return ["query", *_about(query)]


def _place_text(place: RankedTracklet) -> list[str]:
    distance = "" if place.distance is None else f", re-ranked {place.distance:.4f}"
    return [f"{place.rank}   score {place.score:.4f}{distance}", *_about(place.tracklet)]


def _about(tracklet: StoredTracklet) -> list[str]:
    lines = [tracklet.camera, *span(tracklet.started_at, tracklet.ended_at)]
    return [*lines, tracklet.identity or "no identity", str(tracklet.id)]
