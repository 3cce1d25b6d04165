"""The models this process can embed with. Each gallery stays on the model that it is indexed under."""

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from model import TFCLIP, WeightsError, load_model
from model.checkpoint import describe_weights
from service.embedding.backend import Precision, TorchBackend
from service.embedding.batcher import EmbeddingBatcher
from service.errors import ModelConflict
from service.store.frames import fsync_folder
from service.store.models import ModelRecord

log = structlog.get_logger(__name__)

INCOMING = ".incoming-"
"""How the names of half-written weights files begin."""


class Models:
    """Embedding batchers by model id: the default model at once, others when a gallery needs them.

    Every model that was ever the default is kept as `models/ID.safetensors`, so that a service started with other
    weights can still embed for the galleries that are indexed under the earlier ones.

    Args:
        folder: `models/` of the data directory.
        network: the default model.
        device: where to compute.
        precision: `float32`, or `bfloat16` for what a GPU does faster in it.
    """

    def __init__(
        self,
        folder: Path,
        network: TFCLIP,
        device: str,
        batch_clips: int,
        queue_clips: int,
        on_batch: Callable[[int], None] = lambda size: None,
        precision: Precision = "float32",
    ) -> None:
        self._precision: Precision = precision
        self._folder = folder
        self._device = device
        self._batch_clips = batch_clips
        self._queue_clips = queue_clips
        self._on_batch = on_batch
        self._loading = asyncio.Lock()
        self.default = self._batcher(network)
        self._batchers = {self.default.backend.model_id: self.default}

    @property
    def default_id(self) -> str:
        """Id of the default model."""
        return self.default.backend.model_id

    @property
    def load(self) -> int:
        """Clips waiting or being computed, over all models."""
        return sum(batcher.load for batcher in self._batchers.values())

    async def get(self, wanted: str) -> EmbeddingBatcher:
        """The batcher of the model, loaded from `models/` when it is not at hand yet.

        Raises:
            ModelConflict: the model's weights are not there, or cannot be used.
        """
        async with self._loading:
            if wanted not in self._batchers:
                try:
                    network = await asyncio.to_thread(load_model, kept_path(self._folder, wanted))
                except (OSError, WeightsError) as error:
                    raise ModelConflict(
                        f"The gallery is indexed under model {wanted}, whose weights cannot be loaded ({error}). Put "
                        f"them at models/{wanted}.safetensors in the data directory."
                    ) from error
                log.info("model loaded", model_id=wanted)
                self._batchers[wanted] = self._batcher(network)
        return self._batchers[wanted]

    async def close(self) -> None:
        """Stop every batcher."""
        for batcher in self._batchers.values():
            await batcher.close()

    def _batcher(self, network: TFCLIP) -> EmbeddingBatcher:
        backend = TorchBackend(network, self._device, self._precision)
        return EmbeddingBatcher(backend, self._batch_clips, self._queue_clips, self._on_batch)


def kept_path(folder: Path, identifier: str) -> Path:
    """Where a model's weights are kept."""
    return folder / f"{identifier}.safetensors"


def keep(folder: Path, weights: Path, name: str | None = None) -> ModelRecord:
    """Check a weights file, keep a copy of it in `folder` under its model's id, once, and return what it describes.

    Args:
        name: what the model is called unless the file says; None: as the file is called.

    Raises:
        WeightsError: it is no whole weights file of this format.
        OSError: the copy cannot be written.
    """
    info = describe_weights(weights)
    path = kept_path(folder, info.model_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        incoming = folder / f"{INCOMING}{secrets.token_hex(8)}"
        try:
            with incoming.open("xb") as copy, weights.open("rb") as original:
                shutil.copyfileobj(original, copy)
                copy.flush()
                os.fsync(copy.fileno())
            incoming.replace(path)
        finally:
            incoming.unlink(missing_ok=True)
        fsync_folder(folder)
    return ModelRecord(
        id=info.model_id,
        dimension=info.config.descriptor_dim,
        architecture=info.config.to_dict(),
        image=info.image.to_dict(),
        provenance={"name": name or weights.stem} | info.provenance,
    )


def discard_incoming(folder: Path, older_than_seconds: float = 3600.0) -> None:
    """Remove half-written files of processes that died, and leave those that may be in the making."""
    oldest = time.time() - older_than_seconds
    for path in folder.glob(f"{INCOMING}*"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
