"""The batcher: batched equals alone, the queue is bounded, and nobody waits for ever."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from model import ImageSpecification, ModelConfig, new_model
from model.purity import find_purity
from model.tfclip import ClipDescriptors
from service.embedding.backend import TorchBackend
from service.embedding.batcher import EmbeddingBatcher
from service.errors import QueueFull

pytestmark = pytest.mark.anyio


class GatedBackend:
    """Describes a clip by its mean, but only once the gate is open; keeps the sizes of the batches it saw."""

    model_id = "gated"
    image = ImageSpecification(height=4, width=2)
    clip_length = 2
    dimension = 1
    parallel = 1

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.sizes: list[int] = []
        self.failure: Exception | None = None

    def embed_frames(self, clips: Tensor, at_once: int = 1) -> ClipDescriptors:
        self.gate.wait(30)
        self.sizes.append(len(clips))
        if self.failure:
            raise self.failure
        return ClipDescriptors(clips.flatten(1).mean(1, keepdim=True), clips.flatten(2).mean(2, keepdim=True))


def clips_of(value: float, count: int) -> Tensor:
    """Clips whose frames all have this value."""
    return torch.full((count, 2, 3, 4, 2), value)


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., EmbeddingBatcher]]:
    """A batcher over the given backend, closed at the end."""
    made: list[EmbeddingBatcher] = []

    def build(backend: object, batch_clips: int = 4, queue_clips: int = 8) -> EmbeddingBatcher:
        made.append(EmbeddingBatcher(backend, batch_clips, queue_clips))
        return made[-1]

    yield build
    for batcher in made:
        await batcher.close()


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until the condition holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is another task's progress
            await asyncio.sleep(0)


async def test_requests_that_arrive_together_are_computed_together(make: Callable[..., EmbeddingBatcher]) -> None:
    backend = GatedBackend()
    batcher = make(backend)
    first = asyncio.create_task(batcher.embed(clips_of(1.0, 1)))
    await until(lambda: batcher.load == 1)
    rest = [asyncio.create_task(batcher.embed(clips_of(float(n), 1))) for n in range(2, 6)]
    await until(lambda: batcher.load == 5)
    backend.gate.set()
    answers = [await task for task in [first, *rest]]
    assert [float(answer[0]) for answer in answers] == [1, 2, 3, 4, 5]
    assert backend.sizes in ([1, 4], [4, 1], [5])
    assert max(backend.sizes) <= 4


async def test_a_tracklet_larger_than_a_batch_is_averaged_over_all_its_clips(
    make: Callable[..., EmbeddingBatcher],
) -> None:
    backend = GatedBackend()
    backend.gate.set()
    clips = torch.cat([clips_of(float(n), 1) for n in range(11)])
    assert await make(backend).embed(clips) == pytest.approx([5.0])
    assert sum(backend.sizes) == 11
    assert max(backend.sizes) <= 4


async def test_frames_come_back_in_order_however_clips_were_spread(make: Callable[..., EmbeddingBatcher]) -> None:
    backend = GatedBackend()
    backend.gate.set()
    batcher = make(backend, queue_clips=16)
    clips = torch.arange(22.0).view(11, 2, 1, 1, 1).expand(11, 2, 3, 4, 2)
    found, other = await asyncio.gather(batcher.embed_frames(clips), batcher.embed_frames(clips_of(7.0, 3)))
    assert found.frames[:, 0].tolist() == list(range(22))
    assert found.descriptor == pytest.approx([10.5])
    assert other.frames[:, 0].tolist() == [7.0] * 6


async def test_attention_waits_in_the_same_queue(make: Callable[..., EmbeddingBatcher]) -> None:
    backend = TorchBackend(new_model(ModelConfig.preset("tiny"), seed=1), "cpu")
    batcher = make(backend, queue_clips=4)
    frames = torch.randn(3, 3, backend.image.height, backend.image.width, generator=torch.Generator().manual_seed(1))
    found, *_ = await asyncio.gather(batcher.attention(frames), batcher.embed(frames[None, :1]))
    torch.testing.assert_close(torch.from_numpy(found), backend.network.encoder.attention(frames))
    waiting = asyncio.create_task(batcher.attention(frames))
    await until(lambda: batcher.load == 3)
    with pytest.raises(QueueFull):
        await batcher.attention(frames[:2])
    await waiting
    assert batcher.load == 0


async def test_a_full_queue_refuses_with_a_time_to_come_back(make: Callable[..., EmbeddingBatcher]) -> None:
    backend = GatedBackend()
    batcher = make(backend)
    waiting = [asyncio.create_task(batcher.embed(clips_of(1.0, 2))) for _ in range(4)]
    await until(lambda: batcher.load == 8)
    with pytest.raises(QueueFull) as refused:
        await batcher.embed(clips_of(1.0, 1))
    assert refused.value.retry_after >= 1
    backend.gate.set()
    await asyncio.gather(*waiting)
    assert batcher.load == 0
    assert await batcher.embed(clips_of(3.0, 1)) == pytest.approx([3.0])


async def test_a_tracklet_larger_than_the_queue_is_let_in_when_nothing_waits(
    make: Callable[..., EmbeddingBatcher],
) -> None:
    backend = GatedBackend()
    backend.gate.set()
    assert await make(backend).embed(clips_of(2.0, 30)) == pytest.approx([2.0])


async def test_a_failing_backend_fails_its_batch_and_serves_the_next(make: Callable[..., EmbeddingBatcher]) -> None:
    backend = GatedBackend()
    backend.gate.set()
    batcher = make(backend)
    backend.failure = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        await batcher.embed(clips_of(1.0, 9))
    backend.failure = None
    assert await batcher.embed(clips_of(1.0, 2)) == pytest.approx([1.0])


async def test_a_caller_that_goes_away_does_not_hold_up_the_others(make: Callable[..., EmbeddingBatcher]) -> None:
    backend = GatedBackend()
    batcher = make(backend)
    busy = asyncio.create_task(batcher.embed(clips_of(1.0, 4)))
    await until(lambda: batcher.load == 4)
    gone = asyncio.create_task(batcher.embed(clips_of(2.0, 2)))
    stays = asyncio.create_task(batcher.embed(clips_of(3.0, 2)))
    await until(lambda: batcher.load == 8)
    gone.cancel()
    backend.gate.set()
    assert await stays == pytest.approx([3.0])
    await busy
    assert batcher.load == 0


async def test_closing_wakes_those_who_wait() -> None:
    backend = GatedBackend()
    batcher = EmbeddingBatcher(backend, 4, 8)
    waiting = [asyncio.create_task(batcher.embed(clips_of(1.0, 4))) for _ in range(2)]
    await until(lambda: batcher.load == 8)
    backend.gate.set()
    await batcher.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError | np.ndarray) for result in results)


async def test_a_descriptor_is_the_same_alone_and_in_a_batch(make: Callable[..., EmbeddingBatcher]) -> None:
    backend = TorchBackend(new_model(ModelConfig.preset("tiny"), seed=1), "cpu")
    batcher = make(backend, batch_clips=8, queue_clips=64)
    shape = (8, 3, backend.image.height, backend.image.width)
    tracklets = [
        torch.randn((count, *shape), generator=torch.Generator().manual_seed(count)) for count in (1, 2, 5, 1, 3)
    ]
    alone = [await batcher.embed_frames(clips) for clips in tracklets]
    together = await asyncio.gather(*(batcher.embed_frames(clips) for clips in tracklets))
    for one, other in zip(alone, together, strict=True):
        assert np.abs(one.descriptor - other.descriptor).max() / np.abs(one.descriptor).max() < 1e-5
        judged, judged_together = find_purity(one.frames), find_purity(other.frames)
        assert judged is not None
        assert judged_together is not None
        assert np.abs(judged.separations - judged_together.separations).max() < 1e-5
