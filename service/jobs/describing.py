"""Describing stored tracklets by another model than at their upload: from their frames on disk, beside the service."""

import asyncio
import os
import threading
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.clips import spread_evenly
from model.preprocess import to_tensor
from model.tfclip import mean_of_clips
from service.cores import allowed_cores
from service.embedding.backend import EmbeddingBackend
from service.embedding.models import Models
from service.errors import NotFound
from service.evidence.purity import purity_of
from service.ingest.frames import cut_clips
from service.jobs.running import RunningJob
from service.jobs.stored_frames import FramesLost, read_frames
from service.store import changes as change_store
from service.store import descriptors as store
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.galleries import Gallery
from service.threads import on_one_core

TRACKLETS_AT_ONCE = 8
"""Tracklets that are read, decoded, embedded and written down together."""

_NICE = 15
"""A thirtieth of a request's claim on a core. Not 19: a thread that starves may hold the interpreter's lock."""


@dataclass(frozen=True)
class Filled:
    """What `Describer.fill` did: how many tracklets it described, and those it could not."""

    described: int
    failed: tuple[FramesLost, ...]


@dataclass(frozen=True)
class Described:
    """Descriptors by tracklet, (D,) float32, not normalised; tracklets that are not stored any more are in neither.

    `purities` are those of the described tracklets; None where their frames are too few to say.
    """

    vectors: dict[uuid.UUID, NDArray[np.float32]]
    purities: dict[uuid.UUID, float | None]
    failed: tuple[FramesLost, ...]


class Describer:
    """Describes stored tracklets from their frames, exactly as an upload does.

    Works on threads of its own that give way to requests. While searches are asked it leaves half of the cores to
    them: low priority alone would still share the caches and the way to memory with them.

    Args:
        frame_cap: frames of a tracklet that are embedded, as for uploads, where its gallery says nothing else.
        searched: whether searches are being asked at the moment.
    """

    def __init__(
        self,
        database: Database,
        frame_store: FrameStore,
        models: Models,
        frame_cap: int,
        searched: Callable[[], bool] = lambda: False,
    ) -> None:
        self._database = database
        self._frame_store = frame_store
        self._models = models
        self.usual_frame_cap = frame_cap
        self._cores = allowed_cores()
        self._threads = ThreadPoolExecutor(self._cores, thread_name_prefix="describe", initializer=_give_way)
        self._searched = searched
        self._half = asyncio.Semaphore(max(1, self._cores // 2))
        # A GPU computes one batch at a time; the other threads decode meanwhile.
        self._computing = asyncio.Semaphore(models.default.backend.parallel)

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=True)

    def frame_cap(self, gallery: Gallery) -> int:
        """How many frames of a tracklet of this gallery are embedded."""
        return gallery.frame_cap or self.usual_frame_cap

    async def describe(self, gallery: Gallery, tracklet_id: uuid.UUID, model_id: str) -> NDArray[np.float32]:
        """Describe one stored tracklet: (D,) float32, not normalised. Nothing is stored.

        Raises:
            FramesLost: frames it is made of are missing or damaged.
            NotFound: it is not stored.
            ModelConflict: the model's weights cannot be loaded.
        """
        described = await self.describe_many(gallery, [tracklet_id], model_id)
        if described.failed:
            raise described.failed[0]
        if tracklet_id not in described.vectors:
            raise NotFound(f"There is no tracklet {tracklet_id}.")
        return described.vectors[tracklet_id]

    async def describe_many(
        self,
        gallery: Gallery,
        tracklet_ids: Sequence[uuid.UUID],
        model_id: str,
        frames_of: Mapping[uuid.UUID, int] | None = None,
    ) -> Described:
        """Describe stored tracklets together; nothing is stored.

        Args:
            frames_of: of how many frames, for those that are to be described otherwise than the gallery says now.

        Raises:
            ModelConflict: the model's weights cannot be loaded.
        """
        backend = (await self._models.get(model_id)).backend
        async with self._database.reading() as connection:
            digests = await store.frame_digests(connection, tracklet_ids)
        loop = asyncio.get_running_loop()
        caps = dict.fromkeys(digests, self.frame_cap(gallery)) | dict(frames_of or {})
        async with self._turn():
            prepared = loop.run_in_executor(self._threads, self._prepare, gallery.name, digests, backend, caps)
            clips, failed = await prepared
        if failed:
            # Whoever deletes a tracklet removes its files afterwards: those are not lost.
            async with self._database.reading() as connection:
                stored = await store.frame_digests(connection, [loss.tracklet_id for loss in failed])
            failed = [loss for loss in failed if loss.tracklet_id in stored]
        vectors: dict[uuid.UUID, NDArray[np.float32]] = {}
        purities: dict[uuid.UUID, float | None] = {}
        if clips:
            counts = {one: min(len(digests[one]), caps[one]) for one in clips}
            async with self._turn(), self._computing:
                embedding = loop.run_in_executor(self._threads, _embed, backend, clips, counts, self._cores)
                vectors, purities = await embedding
        return Described(vectors, purities, tuple(failed))

    async def fill(self, running: RunningJob, gallery: Gallery, model_id: str) -> Filled:
        """Describe and store every tracklet that lacks a descriptor of the model now; `running.done` counts them.

        Each is committed as it is done, so whoever is interrupted goes on with the others.

        Raises:
            JobCancelled: somebody asked the job to stop.
            ModelConflict, DatabaseUnavailable.
        """
        async with self._database.reading() as connection:
            waiting = deque(await change_store.undescribed(connection, gallery.id, model_id))
        described = 0
        failed: list[FramesLost] = []

        async def work() -> None:
            nonlocal described
            while waiting:
                running.check()
                ids = [waiting.popleft() for _ in range(min(TRACKLETS_AT_ONCE, len(waiting)))]
                found = await self.describe_many(gallery, ids, model_id)
                async with self._database.transaction() as connection:
                    cap = self.frame_cap(gallery)
                    await store.add(connection, model_id, as_stored(found), cap, found.purities)
                described += len(found.vectors)
                failed.extend(found.failed)
                running.done += len(ids)

        # One more than there are threads: while it waits for the database, they all compute.
        workers = [asyncio.create_task(work(), name="describing") for _ in range(self._cores + 1)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return Filled(described, tuple(failed))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait until a core may be used."""
        if self._searched():
            async with self._half:
                yield
        else:
            yield

    def _prepare(
        self,
        gallery: str,
        digests: dict[uuid.UUID, list[bytes]],
        backend: EmbeddingBackend,
        caps: Mapping[uuid.UUID, int],
    ) -> tuple[dict[uuid.UUID, Tensor], list[FramesLost]]:
        """Clips of each tracklet (C, T, 3, H, W), and the tracklets that cannot be had."""
        clips: dict[uuid.UUID, Tensor] = {}
        failed: list[FramesLost] = []
        for tracklet_id, frames in digests.items():
            try:
                clips[tracklet_id] = self._clips(gallery, tracklet_id, frames, backend, caps[tracklet_id])
            except FramesLost as loss:
                failed.append(loss)
        return clips, failed

    def _clips(
        self, gallery: str, tracklet_id: uuid.UUID, frames: list[bytes], backend: EmbeddingBackend, frame_cap: int
    ) -> Tensor:
        positions = spread_evenly(len(frames), frame_cap)
        image = backend.image
        tensors = read_frames(
            self._frame_store, gallery, tracklet_id, frames, positions, lambda picture: to_tensor([picture], image)
        )
        return cut_clips(torch.cat(tensors), backend.clip_length)


def as_stored(described: Described) -> dict[uuid.UUID, bytes]:
    """Descriptors as the database has them: float32 little endian."""
    return {tracklet_id: vector.astype("<f4").tobytes() for tracklet_id, vector in described.vectors.items()}


def _embed(
    backend: EmbeddingBackend, clips: dict[uuid.UUID, Tensor], frames: Mapping[uuid.UUID, int], at_once: int
) -> tuple[dict[uuid.UUID, NDArray[np.float32]], dict[uuid.UUID, float | None]]:
    """Descriptor and purity of each tracklet; `frames` of its clips are its own, what follows fills the last clip."""
    together = torch.cat(list(clips.values()))
    found = [backend.embed_frames(batch, at_once) for batch in torch.split(together, backend.batch)]
    counts = [len(some) for some in clips.values()]
    vectors = mean_of_clips(torch.cat([some.clips for some in found]), torch.tensor(counts)).numpy()
    of_frames = torch.split(torch.cat([some.frames for some in found]), counts)
    purities = {
        one: purity_of(some.flatten(0, 1)[: frames[one]].numpy()) for one, some in zip(clips, of_frames, strict=True)
    }
    return dict(zip(clips, vectors, strict=True)), purities


def _give_way() -> None:
    """Lower the priority of the thread that calls this, where the system knows priorities of threads."""
    on_one_core()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
