"""What an answer rests on, computed when somebody asks, from stored frames and by the model that serves."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.clips import spread_evenly
from model.preprocess import to_tensor
from model.purity import Purity, find_purity
from service.embedding.batcher import EmbeddingBatcher
from service.embedding.models import Models
from service.errors import FramesUnreadable, NoFrames, NotFound
from service.evidence.picture import as_shown, paint_attention
from service.gallery.galleries import Galleries
from service.gallery.scoring import cosine_scores, unit_rows
from service.ingest.frames import cut_clips
from service.jobs.stored_frames import FramesLost, read_frames
from service.store import descriptors as descriptor_store
from service.store import galleries as gallery_store
from service.store import tracklets as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.tracklets import StoredTracklet
from service.threads import one_core_threads

T = TypeVar("T")


@dataclass(frozen=True)
class Comparison:
    """Two tracklets, frame by frame.

    Attributes:
        score: cosine of the two descriptors, as a search answers it.
        frames, other_frames: positions of the frames that are compared: those that descriptors are made of.
        similarities: (frames, other_frames) cosines of frame descriptors.
    """

    model_id: str
    score: float
    frames: list[int]
    other_frames: list[int]
    similarities: NDArray[np.float64]

    def best_pair(self) -> tuple[int, int]:
        """Row and column of the largest similarity; of equals the first."""
        row, column = divmod(int(self.similarities.argmax()), len(self.other_frames))
        return row, column


@dataclass(frozen=True)
class Judged:
    """Whether the frames at these positions are of one person; `found` is None where they are too few to say."""

    model_id: str
    frames: list[int]
    found: Purity | None


@dataclass(frozen=True)
class Attention:
    """Where the network looks in one frame: weights (rows, columns) that sum to 1, and the frame as it is shown."""

    model_id: str
    weights: NDArray[np.float32]
    frame: Image.Image


class Evidence:
    """Compares and judges stored tracklets by their frames; what it computes waits in the queue of the uploads.

    Args:
        frame_cap: frames of a tracklet that are looked at where it was not written down of how many its descriptor is.
        threads: that read and decode frames.
    """

    def __init__(
        self,
        database: Database,
        frame_store: FrameStore,
        models: Models,
        galleries: Galleries,
        frame_cap: int,
        threads: int,
    ) -> None:
        self._database = database
        self._frame_store = frame_store
        self._models = models
        self._galleries = galleries
        self._frame_cap = frame_cap
        self._threads = one_core_threads(threads, "evidence")

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=True)

    async def compare(self, tracklet_id: uuid.UUID, other_id: uuid.UUID) -> Comparison:
        """Compare two tracklets of one gallery, frame by frame, under its serving model.

        Raises:
            NotFound: the first is not stored, or its gallery does not have the other.
            NoFrames: one came as a descriptor, without frames.
            FramesUnreadable: frames they are described by are missing or damaged.
            QueueFull, ModelConflict, IndexNotReady, DatabaseUnavailable.
        """
        gallery = (await self._find(tracklet_id)).gallery
        await self._galleries.current_with(gallery, tracklet_id)
        loaded = await self._galleries.current_with(gallery, other_id)
        vectors = [loaded.index.vector(one) for one in (tracklet_id, other_id)]
        if vectors[0] is None or vectors[1] is None:
            raise NotFound(f"Gallery {gallery} does not have both tracklets any more.")
        score = float(cosine_scores(vectors[1][None], vectors[0])[0])
        batcher = await self._models.get(loaded.model_id)
        frames, described = await self._describe(gallery, tracklet_id, batcher)
        other_frames, other_described = await self._describe(gallery, other_id, batcher)
        similarities = await asyncio.to_thread(_cosines, described, other_described)
        return Comparison(loaded.model_id, score, frames, other_frames, similarities)

    async def judge(self, tracklet_id: uuid.UUID) -> Judged:
        """Look for an identity switch in a stored tracklet, under its gallery's serving model; nothing is stored.

        Raises:
            NotFound, NoFrames, FramesUnreadable, QueueFull, ModelConflict, DatabaseUnavailable: as `compare`.
        """
        gallery, batcher = await self._served_by(await self._find(tracklet_id))
        frames, described = await self._describe(gallery, tracklet_id, batcher)
        found = await asyncio.to_thread(find_purity, described)
        return Judged(batcher.backend.model_id, frames, found)

    async def attention(self, tracklet_id: uuid.UUID, position: int) -> Attention:
        """Where the gallery's serving model looks in one frame.

        Raises:
            NotFound: there is no such tracklet or frame.
            NoFrames, FramesUnreadable, QueueFull, ModelConflict, DatabaseUnavailable: as `compare`.
        """
        gallery, batcher = await self._served_by(await self._find(tracklet_id))
        digests = await self._digests(tracklet_id)
        if position >= len(digests):
            raise NotFound(f"There is no frame {position} of tracklet {tracklet_id}.")
        backend = batcher.backend

        def prepare(picture: Image.Image) -> tuple[Tensor, Image.Image]:
            return to_tensor([picture], backend.image), as_shown(picture)

        def read() -> tuple[Tensor, Image.Image]:
            return read_frames(self._frame_store, gallery, tracklet_id, digests, [position], prepare)[0]

        tensor, frame = await self._in_thread(tracklet_id, read)
        weights = await batcher.attention(tensor)
        return Attention(backend.model_id, weights[0], frame)

    async def paint(self, found: Attention) -> bytes:
        """The frame with its attention over it, as a PNG file."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, paint_attention, found.frame, found.weights)

    async def _find(self, tracklet_id: uuid.UUID) -> StoredTracklet:
        async with self._database.reading() as connection:
            stored = await store.find(connection, tracklet_id)
        if stored is None:
            raise NotFound(f"There is no tracklet {tracklet_id}.")
        return stored

    async def _served_by(self, stored: StoredTracklet) -> tuple[str, EmbeddingBatcher]:
        """The tracklet's gallery, and what embeds by the model that serves it."""
        async with self._database.reading() as connection:
            gallery = await gallery_store.find(connection, stored.gallery)
        if gallery is None:
            raise NotFound(f"There is no gallery {stored.gallery}.")
        return gallery.name, await self._models.get(gallery.model_id)

    async def _describe(
        self, gallery: str, tracklet_id: uuid.UUID, batcher: EmbeddingBatcher
    ) -> tuple[list[int], NDArray[np.float32]]:
        """Positions and descriptors (N, D) of the frames that the tracklet is described by."""
        digests = await self._digests(tracklet_id)
        backend = batcher.backend
        async with self._database.reading() as connection:
            # As many as when it was described, whatever the gallery's frame cap is now.
            frames_of = await descriptor_store.frames_of(connection, backend.model_id, [tracklet_id])
        positions = spread_evenly(len(digests), frames_of.get(tracklet_id, self._frame_cap))

        def prepare(picture: Image.Image) -> Tensor:
            return to_tensor([picture], backend.image)

        def read() -> Tensor:
            frames = read_frames(self._frame_store, gallery, tracklet_id, digests, positions, prepare)
            return cut_clips(torch.cat(frames), backend.clip_length)

        clips = await self._in_thread(tracklet_id, read)
        return positions, (await batcher.embed_frames(clips)).frames[: len(positions)]

    async def _digests(self, tracklet_id: uuid.UUID) -> list[bytes]:
        """SHA-256 of every frame of the tracklet.

        Raises:
            NotFound: it is not stored.
            NoFrames: it has none.
        """
        async with self._database.reading() as connection:
            digests = (await descriptor_store.frame_digests(connection, [tracklet_id])).get(tracklet_id)
        if digests is None:
            await self._find(tracklet_id)
            raise NoFrames(f"Tracklet {tracklet_id} came as a descriptor: it has no frames to look at.")
        return digests

    async def _in_thread(self, tracklet_id: uuid.UUID, read: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, read)
        except FramesLost as lost:
            # Whoever deletes a tracklet removes its files afterwards: those are not lost.
            await self._find(tracklet_id)
            raise FramesUnreadable(
                f"Frames of tracklet {tracklet_id} are not on disk as they were stored: missing {list(lost.missing)}, "
                f"damaged {list(lost.damaged)}. Put the files back, or delete the tracklet and send it again."
            ) from lost


def _cosines(rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row with each of the columns: (N, D) and (M, D) -> (N, M)."""
    cosines: NDArray[np.float64] = unit_rows(rows).astype(np.float64) @ unit_rows(columns).astype(np.float64).T
    return cosines.clip(-1, 1)
