"""The models this process can embed with. Each gallery stays on the model that it is indexed under."""

import asyncio
from collections.abc import Callable

import structlog

from model import TFCLIP, WeightsError, load_model
from model.checkpoint import model_id
from service.embedding.backend import Precision, TorchBackend
from service.embedding.batcher import EmbeddingBatcher
from service.errors import ModelConflict
from service.store.model_files import ModelFiles

log = structlog.get_logger(__name__)


class Models:
    """Embedding batchers by model id: the default model at once, others when a gallery needs them.

    Every model that was ever the default, or that an administrator added, is kept as `models/ID.safetensors`, so that a
    service started with other weights can still embed for the galleries that are indexed under it.

    Args:
        files: `models/` of the data directory.
        network: the default model.
        device: where to compute.
        batch_clips: clips computed together at most; None: as many as are fastest on the device.
        precision: what to compute in, whatever the model.
    """

    def __init__(
        self,
        files: ModelFiles,
        network: TFCLIP,
        device: str,
        batch_clips: int | None,
        queue_clips: int,
        on_batch: Callable[[int], None] = lambda size: None,
        precision: Precision = "float32",
    ) -> None:
        self._files = files
        self._device = device
        self._batch_clips = batch_clips
        self._queue_clips = queue_clips
        self._on_batch = on_batch
        self._precision: Precision = precision
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
                    network = await asyncio.to_thread(load_model, self._files.path(wanted))
                except (OSError, WeightsError) as error:
                    raise ModelConflict(
                        f"The gallery is indexed under model {wanted}, whose weights cannot be loaded ({error}). Add "
                        "them with `tfclip models add`."
                    ) from error
                if model_id(network) != wanted:
                    raise ModelConflict(f"models/{wanted}.safetensors has the weights of another model.")
                log.info("model loaded", model_id=wanted)
                self._batchers[wanted] = self._batcher(network)
        return self._batchers[wanted]

    async def forget(self, unwanted: str) -> None:
        """Give up the memory of a model that was removed and is not the default."""
        async with self._loading:
            batcher = self._batchers.pop(unwanted, None)
        if batcher is not None:
            await batcher.close()

    async def close(self) -> None:
        """Stop every batcher."""
        for batcher in self._batchers.values():
            await batcher.close()

    def _batcher(self, network: TFCLIP) -> EmbeddingBatcher:
        backend = TorchBackend(network, self._device, self._precision)
        return EmbeddingBatcher(backend, self._batch_clips or backend.batch, self._queue_clips, self._on_batch)
