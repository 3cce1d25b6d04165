"""The models this process can embed with. Each gallery stays on the model that it is indexed under."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from model import TFCLIP, WeightsError, load_model
from model.checkpoint import model_id
from service.embedding.backend import TorchBackend
from service.embedding.batcher import EmbeddingBatcher
from service.errors import ModelConflict
from service.store.models import ModelRecord

log = structlog.get_logger(__name__)


class Models:
    """Embedding batchers by model id: the default model at once, others when a gallery needs them.

    Every model that was ever the default is kept as `models/ID.safetensors`, so that a service started with other
    weights can still embed for the galleries that are indexed under the earlier ones.

    Args:
        folder: `models/` of the data directory.
        network: the default model.
        device: where to compute.
    """

    def __init__(
        self,
        folder: Path,
        network: TFCLIP,
        device: str,
        batch_clips: int,
        queue_clips: int,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
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
        backend = TorchBackend(network, self._device)
        return EmbeddingBatcher(backend, self._batch_clips, self._queue_clips, self._on_batch)


def kept_path(folder: Path, identifier: str) -> Path:
    """Where a model's weights are kept."""
    return folder / f"{identifier}.safetensors"


def keep(folder: Path, network: TFCLIP, provenance: dict[str, Any], weights: Path) -> ModelRecord:
    """Keep a copy of the default model's weights file in `folder`, once, and return the model's description.

    Raises:
        OSError: the copy cannot be written.
    """
    identifier = model_id(network)
    path = kept_path(folder, identifier)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        incoming = path.with_suffix(".incoming")
        shutil.copyfile(weights, incoming)
        incoming.replace(path)
    return ModelRecord(
        id=identifier,
        dimension=network.config.descriptor_dim,
        architecture=network.config.to_dict(),
        image=network.image.to_dict(),
        provenance=provenance,
    )
