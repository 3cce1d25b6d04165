"""What tests of moving galleries share: generations, and models that describe only when a test lets them."""

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from torch import Tensor

from service.embedding.backend import ClipDescriptors, TorchBackend
from service.store import generations as generations_store
from tests.jobs import start
from tests.support import RunningService, upload


def add_model(running: RunningService, file: Path) -> None:
    """Register a weights file."""
    with running.client() as client:
        kind = {"Content-Type": "application/octet-stream"}
        answer = client.post("/admin/models", content=file.read_bytes(), headers=kind)
    assert answer.status_code == 201, answer.text


def generations(running: RunningService, **parameters: str) -> list[dict[str, Any]]:
    """All generations, or those of a gallery, newest first."""
    with running.client() as client:
        return client.get("/admin/generations", params=parameters).json()["items"]


def descriptors(running: RunningService, model_id: str) -> dict[str, str]:
    """Which transaction wrote the descriptor of each tracklet."""
    with running.database() as connection:
        rows = connection.execute("SELECT tracklet_id, xmin FROM descriptors WHERE model_id = %s", (model_id,))
        return {str(tracklet): str(transaction) for tracklet, transaction in rows.fetchall()}


def joining(running: RunningService, gallery: str) -> int | None:
    """Number of the generation that is joining."""
    with running.database() as connection:
        return connection.execute("SELECT joining FROM galleries WHERE name = %s", (gallery,)).fetchone()[0]


class Gate:
    """Holds a model up wherever services of this process describe by it, until it is opened.

    Args:
        threads: hold up only threads whose name begins so: `describe` are those of jobs, `embed` those of requests.
    """

    def __init__(self, patch: pytest.MonkeyPatch, model_id: str, threads: str = "") -> None:
        self.arrived = threading.Event()
        self.opened = threading.Event()
        self.calls = 0
        # What everybody describes by, in the end.
        describe = TorchBackend.embed_frames

        def held_up(backend: TorchBackend, clips: Tensor, at_once: int = 1) -> ClipDescriptors:
            if backend.model_id == model_id:
                self.calls += 1
                if threading.current_thread().name.startswith(threads):
                    self.arrived.set()
                    assert self.opened.wait(60)
            return describe(backend, clips, at_once)

        patch.setattr(TorchBackend, "embed_frames", held_up)

    def open(self) -> None:
        """Let all through."""
        self.opened.set()

    def close(self) -> None:
        """Hold up whoever comes from now on."""
        self.arrived.clear()
        self.opened.clear()


@contextmanager
def gate(model_id: str, threads: str = "") -> Iterator[Gate]:
    """A closed gate, which is gone after the block."""
    with pytest.MonkeyPatch.context() as patch:
        made = Gate(patch, model_id, threads)
        try:
            yield made
        finally:
            made.open()


class Held(threading.Event):
    """Set once somebody arrived where he is held up, until `go_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()


@contextmanager
def held(owner: object, name: str) -> Iterator[Held]:
    """Hold up whoever of this process calls an asynchronous function, before it does anything."""
    somebody = Held()
    with pytest.MonkeyPatch.context() as patch:
        function = getattr(owner, name)

        async def held_up(*arguments: Any) -> Any:
            somebody.set()
            assert await asyncio.to_thread(somebody.go_on.wait, 60)
            return await function(*arguments)

        patch.setattr(owner, name, held_up)
        try:
            yield somebody
        finally:
            somebody.go_on.set()


@dataclass
class Move:
    """A move of a gallery to another model, on its way.

    Attributes:
        job: where it is.
        stored: ids of the tracklets so far.
        late: the last of them.
    """

    gallery: str
    job: str
    stored: list[str]
    late: str


def begin_move(
    running: RunningService, model_id: str, gate: Gate, meanwhile: Callable[[str], None] = lambda late: None
) -> Move:
    """Bring a move to where its generation joins, and all is described but one tracklet that came just before.

    The gate is closed then, and the job on its way to it with that tracklet.

    Args:
        meanwhile: called with the tracklet's id before the generation joins.
    """
    gallery = f"g-{uuid.uuid4().hex}"
    stored = [upload(running, seed, frames=2, gallery=gallery)["id"] for seed in range(3)]
    gate.open()
    with held(generations_store, "join") as joins:
        job = start(running, "POST", "/admin/reindex", gallery=gallery, model_id=model_id)
        assert joins.wait(60)
        stored.append(upload(running, 3, frames=2, gallery=gallery)["id"])
        meanwhile(stored[-1])
        gate.close()
    return Move(gallery, job, stored, stored[-1])


def try_upload(running: RunningService, seed: int, gallery: str) -> str:
    """The id of a tracklet that was stored, or what was answered instead."""
    try:
        return str(upload(running, seed, frames=2, gallery=gallery)["id"])
    except (AssertionError, httpx.HTTPError) as error:
        return f"refused: {error}"
