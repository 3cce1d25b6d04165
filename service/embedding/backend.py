"""What turns clips into descriptors. One small protocol; the batcher knows nothing else of a backend."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Protocol

import torch
from torch import Tensor

from model import TFCLIP, ImageSpecification
from model.checkpoint import model_id
from model.tfclip import ClipDescriptors
from service.cores import allowed_cores

Precision = Literal["float32", "bfloat16"]

_BATCH_ON_A_CORE = 1
"""It fits a core's cache then: `python -m benchmarks.clip_batches`."""

_BATCH_ON_A_GPU = 16


class EmbeddingBackend(Protocol):
    """A model that is loaded and ready.

    Attributes:
        model_id: SHA-256 that names the model.
        image: how frames are prepared for it.
        clip_length: frames T of a clip.
        dimension: length D of a descriptor.
        parallel: batches that are worth computing at the same time: one for each core, one for a GPU.
        batch: clips in a batch that are worth computing together.
    """

    model_id: str
    image: ImageSpecification
    clip_length: int
    dimension: int
    parallel: int
    batch: int

    def embed(self, clips: Tensor, at_once: int = 1) -> Tensor:
        """Describe clips: (C, T, 3, H, W) float32 on the CPU -> (C, D) float32 on the CPU, not normalised.

        Args:
            at_once: batches that are being computed now, this one included; they share the cores.
        """
        ...

    def embed_frames(self, clips: Tensor, at_once: int = 1) -> ClipDescriptors:
        """As `embed`, and in the same pass each frame of the clips: (C, D) and (C, T, D)."""
        ...

    def attention(self, frames: Tensor, at_once: int = 1) -> Tensor:
        """Where the network looks: (N, 3, H, W) float32 -> (N, rows, columns) float32, each frame's summing to 1."""
        ...


class TorchBackend:
    """The network in PyTorch, on the CPU or a GPU.

    With precision `bfloat16` matrix products are computed in it (autocast) and descriptors come within cosine 0.999 of
    those in float32; they are the same model's.

    Uploads carry the names of a user's own cameras, which no training set knew, so no camera embedding is applied.
    """

    def __init__(self, network: TFCLIP, device: str, precision: Precision = "float32") -> None:
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self._half = precision == "bfloat16"
        self.model_id = model_id(network)
        self.image = network.image
        self.clip_length = network.config.clip_length
        self.dimension = network.config.descriptor_dim
        self._cores = allowed_cores()
        on_cpu = self.device.type == "cpu"
        self.parallel = self._cores if on_cpu else 1
        self.batch = _BATCH_ON_A_CORE if on_cpu else _BATCH_ON_A_GPU

    def embed(self, clips: Tensor, at_once: int = 1) -> Tensor:
        """As `EmbeddingBackend.embed`."""
        return self.embed_frames(clips, at_once).clips

    def embed_frames(self, clips: Tensor, at_once: int = 1) -> ClipDescriptors:
        """As `EmbeddingBackend.embed_frames`."""
        with self._computing(at_once):
            found = self.network.describe_frames(clips.to(self.device))
            return ClipDescriptors(found.clips.float().cpu(), found.frames.float().cpu())

    def attention(self, frames: Tensor, at_once: int = 1) -> Tensor:
        """As `EmbeddingBackend.attention`; of the frames as they are, also where mirror images are described too."""
        with self._computing(at_once):
            return self.network.encoder.attention(frames.to(self.device)).cpu()

    @contextmanager
    def _computing(self, at_once: int) -> Iterator[None]:
        if self.device.type == "cpu":
            # Holds for this thread alone. Two batches on one core each are faster than one after the other on two
            # (benchmarks/): the cores need not wait for one another after every operation.
            torch.set_num_threads(max(1, self._cores // at_once))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._half):
            yield
