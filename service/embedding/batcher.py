"""Dynamic batching: what arrives together is computed together, and computed the same as alone."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.tfclip import mean_of_clips
from service.embedding.backend import EmbeddingBackend
from service.errors import QueueFull


@dataclass
class _Request:
    clips: Tensor
    answer: asyncio.Future[NDArray[np.float32]]
    taken: int = 0
    features: dict[int, Tensor] = field(default_factory=dict)


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
        size = len(clips)
        if self._load and self._load + size > self._queue_clips:
            raise QueueFull(
                f"{self._load} clips are waiting to be embedded and the queue holds {self._queue_clips}; try again."
            )
        request = _Request(clips, asyncio.get_running_loop().create_future())
        self._load += size
        self._pending.append(request)
        self._arrived.set()
        try:
            return await request.answer
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
                features = await loop.run_in_executor(self._threads, self.backend.embed, clips, self._at_once)
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

    def _deliver(self, batch: list[_Part], features: Tensor) -> None:
        for part, found in zip(batch, torch.split(features, [len(part.clips) for part in batch]), strict=True):
            request = part.request
            request.features[part.first] = found
            done = sum(len(some) for some in request.features.values())
            if done == len(request.clips) and not request.answer.done():
                together = torch.cat([request.features[first] for first in sorted(request.features)])
                request.answer.set_result(mean_of_clips(together, torch.tensor([done]))[0].numpy())

    def _fail(self, request: _Request, error: Exception) -> None:
        if self._pending and self._pending[0] is request:
            self._pending.popleft()
        if not request.answer.done():
            request.answer.set_exception(error)
