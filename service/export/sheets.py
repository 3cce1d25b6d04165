"""Contact sheets of rankings, drawn from stored frames, and from those that were asked with."""

import asyncio
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from PIL import Image

from service.errors import InvalidFrame, NotFound
from service.export.contact_sheet import STRIP_FRAMES, Strip, draw, fitted, span, spread
from service.gallery.queries import Combine
from service.gallery.ranking import Answer, RankedTracklet
from service.ingest.images import ImageLimits, decode_frame
from service.store import descriptors
from service.store import tracklets as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.tracklets import StoredTracklet

_THREADS = 2
"""Sheets drawn at a time: each holds its picture in memory."""

_IDS = 5
"""Lines that are left beside a strip for ids of examples."""

Source = Path | bytes | None
"""A frame as a file of the store, or as it came; None where there is none."""


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

    async def by_tracklet(self, query_id: uuid.UUID, gallery: str, answer: Answer) -> bytes:
        """The query's strip, and one for each place of the answer: a PNG file.

        Raises:
            NotFound: the query was deleted a moment ago.
        """
        async with self._database.reading() as connection:
            query = await store.find(connection, query_id)
            digests = (await descriptors.frame_digests(connection, [query_id])).get(query_id, [])
        if query is None:
            raise NotFound(f"There is no tracklet {query_id}.")
        return await self._sheet(["query", *_about(query)], self._files(gallery, digests), gallery, answer)

    async def by_frames(
        self,
        contents: Sequence[bytes],
        camera: str | None,
        started_at: datetime | None,
        ended_at: datetime | None,
        gallery: str,
        answer: Answer,
    ) -> bytes:
        """As `by_tracklet`, for frames that are not stored; the rest is what is known of them."""
        known = [*([] if camera is None else [camera]), *span(started_at, ended_at)]
        return await self._sheet(["query", *known, f"{len(contents)} frames, not stored"], contents, gallery, answer)

    async def by_examples(
        self,
        positive: Sequence[uuid.UUID],
        negative: Sequence[uuid.UUID],
        combine: Combine,
        gallery: str,
        answer: Answer,
    ) -> bytes:
        """As `by_tracklet`, with the first frame of each of the first positive examples in the query's strip."""
        shown = positive[:STRIP_FRAMES]
        async with self._database.reading() as connection:
            digests = await descriptors.frame_digests(connection, shown)
        # One that came without frames, or was deleted a moment ago, leaves its place in the strip empty.
        first = [self._files(gallery, digests[one])[0] if digests.get(one) else None for one in shown]
        how = f"{len(positive)} positive, {len(negative)} negative, {combine}"
        return await self._sheet(["query", how, *(str(one) for one in shown[:_IDS])], first, gallery, answer)

    def _files(self, gallery: str, digests: Sequence[bytes]) -> list[Path]:
        return [self._frames.path(gallery, digest) for digest in digests]

    async def _sheet(self, query: Sequence[str], frames: Sequence[Source], gallery: str, answer: Answer) -> bytes:
        """The sheet of an answer.

        Args:
            query: lines of text beside the query's strip.
            frames: of which that strip shows some, in order.
        """
        places = [place.tracklet.id for place in answer.results]
        async with self._database.reading() as connection:
            digests = await descriptors.frame_digests(connection, places)
        texts = [query, *(_place_text(place) for place in answer.results)]
        sources = [frames, *(self._files(gallery, digests.get(one, [])) for one in places)]
        title = f"gallery {gallery}, model {answer.model.name}, generation {answer.generation}"
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._draw, title, texts, sources)

    def _draw(self, title: str, texts: Sequence[Sequence[str]], sources: Sequence[Sequence[Source]]) -> bytes:
        return draw(title, (self._strip(text, some) for text, some in zip(texts, sources, strict=True)))

    def _strip(self, text: Sequence[str], sources: Sequence[Source]) -> Strip:
        return Strip(text, [self._frame(sources[position]) for position in spread(len(sources))])

    def _frame(self, source: Source) -> Image.Image | None:
        """The frame, or None where there is none, or its file is gone or damaged: the sheet shows the rest."""
        if source is None:
            return None
        try:
            content, name = (source, "frame") if isinstance(source, bytes) else (source.read_bytes(), source.name)
            return fitted(decode_frame(content, self._limits, name)[0])
        except (OSError, InvalidFrame):
            return None


def _place_text(place: RankedTracklet) -> list[str]:
    distance = "" if place.distance is None else f", re-ranked {place.distance:.4f}"
    return [f"{place.rank}   score {place.score:.4f}{distance}", *_about(place.tracklet)]


def _about(tracklet: StoredTracklet) -> list[str]:
    lines = [tracklet.camera, *span(tracklet.started_at, tracklet.ended_at)]
    return [*lines, tracklet.identity or "no identity", str(tracklet.id)]
