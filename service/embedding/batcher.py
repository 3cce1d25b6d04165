"""Dynamic batching: what arrives together is computed together, and computed the same as alone."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.tfclip import ClipDescriptors, mean_of_clips
from service.embedding.backend import EmbeddingBackend
from service.errors import QueueFull


@dataclass(frozen=True)
class TrackletDescriptors:
    """What a model made of one tracklet, float32 and not normalised.

    Attributes:
        descriptor: (D,), the mean over clips.
        frames: (C * T, D), every frame of every clip, clip after clip.
    """

    descriptor: NDArray[np.float32]
    frames: NDArray[np.float32]


@dataclass
class _Request:
    clips: Tensor
    answer: asyncio.Future[TrackletDescriptors]
    taken: int = 0
    features: dict[int, ClipDescriptors] = field(default_factory=dict)


@dataclass
class _Part:
    """Some consecutive clips of a request, computed in one batch; `first` is the number of the first."""

    request: _Request
    first: int
    clips: Tensor


class EmbeddingBatcher:
    """A bounded queue of clips before one backend, worked off in batches by as many threads as serve the backend.

    While batches are computed, further requests gather; the next batch takes its thread's share of their clips, in
    order of arrival. A tracklet with more clips than a batch holds is spread over several.

    Args:
        backend: does the computing.
        batch_clips: clips in a batch at most.
        queue_clips: clips waiting or being computed at most. A single larger tracklet is let in when nothing waits.
        on_batch: called with the number of clips of every batch, for metrics.
    """

    def __init__(
        self,
        backend: EmbeddingBackend,
        batch_clips: int,
        queue_clips: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.backend = backend
        self._batch_clips = batch_clips
        self._queue_clips = queue_clips
        self._on_batch = on_batch
        self._pending: deque[_Request] = deque()
        self._load = 0
        self._arrived = asyncio.Event()
        self._at_once = 0
        self._threads = ThreadPoolExecutor(backend.parallel, thread_name_prefix="embed")
        self._workers = [asyncio.create_task(self._work(), name="embedding batcher") for _ in range(backend.parallel)]

    @property
    def load(self) -> int:
        """Clips waiting or being computed."""
        return self._load

    async def embed(self, clips: Tensor) -> NDArray[np.float32]:
        """Describe one tracklet by its dense clips.

        Args:
            clips: (C, T, 3, H, W) float32, C >= 1.

        Returns:
            (D,) float32, the mean over clips, not normalised.

        Raises:
            QueueFull: too much is waiting already.
            Exception: whatever the backend raised for the batch.
        """
        return (await self.embed_frames(clips)).descriptor

    async def embed_frames(self, clips: Tensor) -> TrackletDescriptors:
        """Describe one tracklet as `embed` does, and each frame of its clips."""
        with self._room_for(len(clips)):
            request = _Request(clips, asyncio.get_running_loop().create_future())
            self._pending.append(request)
            self._arrived.set()
            return await request.answer

    async def attention(self, frames: Tensor) -> NDArray[np.float32]:
        """Where the network looks in frames, (N, 3, H, W) -> (N, rows, columns); they count as N clips of the queue.

        Raises:
            QueueFull: too much is waiting already.
        """
        with self._room_for(len(frames)):
            self._at_once += 1
            try:
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(self._threads, self.backend.attention, frames, self._at_once)
            finally:
                self._at_once -= 1
            return found.numpy()

    @contextmanager
    def _room_for(self, size: int) -> Iterator[None]:
        """Hold `size` places of the queue."""
        if self._load and self._load + size > self._queue_clips:
            raise QueueFull(
                f"{self._load} clips are waiting to be embedded and the queue holds {self._queue_clips}; try again."
            )
        self._load += size
        try:
            yield
        finally:
            self._load -= size

    async def close(self) -> None:
        """Stop; whoever still waits gets `asyncio.CancelledError`."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for request in self._pending:
            request.answer.cancel()
        self._threads.shutdown(wait=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            batch = self._take_batch()
            if not batch:
                self._arrived.clear()
                continue
            clips = torch.cat([part.clips for part in batch])
            self._on_batch(len(clips))
            self._at_once += 1
            try:
                features = await loop.run_in_executor(self._threads, self.backend.embed_frames, clips, self._at_once)
            except asyncio.CancelledError:
                for part in batch:
                    part.request.answer.cancel()
                raise
            except Exception as error:
                for part in batch:
                    self._fail(part.request, error)
            else:
                self._deliver(batch, features)
            finally:
                self._at_once -= 1

    def _take_batch(self) -> list[_Part]:
        batch: list[_Part] = []
        waiting = sum(len(request.clips) - request.taken for request in self._pending)
        room = min(self._batch_clips, -(-waiting // self.backend.parallel))
        while room and self._pending:
            request = self._pending[0]
            if request.answer.done():
                # Its caller went away.
                self._pending.popleft()
                continue
            part = request.clips[request.taken : request.taken + room]
            # Batches may end in another order than they began in.
            batch.append(_Part(request, request.taken, part))
            request.taken += len(part)
            room -= len(part)
            if request.taken == len(request.clips):
                self._pending.popleft()
        return batch

    def _deliver(self, batch: list[_Part], features: ClipDescriptors) -> None:
        sizes = [len(part.clips) for part in batch]
        parts = zip(batch, torch.split(features.clips, sizes), torch.split(features.frames, sizes), strict=True)
        for part, clips, frames in parts:
            request = part.request
            request.features[part.first] = ClipDescriptors(clips, frames)
            done = sum(len(some.clips) for some in request.features.values())
            if done == len(request.clips) and not request.answer.done():
                found = [request.features[first] for first in sorted(request.features)]
                together = torch.cat([some.clips for some in found])
                of_frames = torch.cat([some.frames for some in found]).flatten(0, 1)
                descriptor = mean_of_clips(together, torch.tensor([done]))[0]
                request.answer.set_result(TrackletDescriptors(descriptor.numpy(), of_frames.numpy()))

    def _fail(self, request: _Request, error: Exception) -> None:
        if self._pending and self._pending[0] is request:
            self._pending.popleft()
        if not request.answer.done():
            request.answer.set_exception(error)
