"""How many cores describing takes: all of them, or half while searches are asked."""

import asyncio
import threading
import uuid

import pytest
import torch

from model.default_weights import open_model
from service.embedding.backend import ClipDescriptors
from service.embedding.models import Models
from service.jobs.describing import Describer
from service.store import galleries
from service.store.database import Database
from service.store.frames import FrameStore
from service.store.model_files import ModelFiles
from tests.support import RunningService, upload

CORES = 4


class Watched:
    """Stands before a backend's `embed_frames`: lets no call through before `meet` are in it, and counts them."""

    def __init__(self, models: Models, meet: int) -> None:
        self._embed = models.default.backend.embed_frames
        self._barrier = threading.Barrier(meet)
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0
        models.default.backend.embed_frames = self  # type: ignore[method-assign]

    def __call__(self, clips: torch.Tensor, at_once: int = 1) -> ClipDescriptors:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._barrier.wait(30)
        features = self._embed(clips, at_once)
        with self._lock:
            self._inside -= 1
        return features


@pytest.mark.parametrize(("searched", "cores"), [(False, CORES), (True, CORES // 2)])
def test_describing_takes_every_core_or_half_of_them_while_searches_are_asked(
    running_service: RunningService, monkeypatch: pytest.MonkeyPatch, searched: bool, cores: int
) -> None:
    stored = [upload(running_service, 10 * CORES * searched + number) for number in range(2 * CORES)]
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(CORES)))

    async def describe() -> Watched:
        database = Database(running_service.database_url)
        network, _ = open_model(None)
        models = Models(ModelFiles(running_service.data_directory / "models"), network, "cpu", 4, 64)
        describer = Describer(
            database, FrameStore(running_service.data_directory / "frames"), models, 16, lambda: searched
        )
        watched = Watched(models, cores)
        try:
            async with database.reading() as connection:
                gallery = await galleries.find(connection, "default")
            assert gallery is not None
            ids = [uuid.UUID(one["id"]) for one in stored]
            found = await asyncio.gather(*(describer.describe_many(gallery, [one], models.default_id) for one in ids))
            assert all(one.vectors and not one.failed for one in found)
        finally:
            describer.close()
            await models.close()
            await database.close()
        return watched

    assert asyncio.run(describe()).most == cores
