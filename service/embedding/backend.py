"""What turns clips into descriptors. One small protocol; the batcher knows nothing else of a backend."""

import os
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from model import TFCLIP, ImageSpecification, ModelConfig, load_model, new_model
from model.checkpoint import describe_weights, model_id


class EmbeddingBackend(Protocol):
    """A model that is loaded and ready.

    Attributes:
        model_id: SHA-256 that names the model.
        image: how frames are prepared for it.
        clip_length: frames T of a clip.
        dimension: length D of a descriptor.
        parallel: batches that are worth computing at the same time: one for each core, one for a GPU.
    """

    model_id: str
    image: ImageSpecification
    clip_length: int
    dimension: int
    parallel: int

    def embed(self, clips: Tensor, at_once: int = 1) -> Tensor:
        """Describe clips: (C, T, 3, H, W) float32 on the CPU -> (C, D) float32 on the CPU, not normalised.

        Args:
            at_once: batches that are being computed now, this one included; they share the cores.
        """
        ...


class TorchBackend:
    """The network in PyTorch, on the CPU or a GPU.

    Uploads carry the names of a user's own cameras, which no training set knew, so no camera embedding is applied.
    """

    def __init__(self, network: TFCLIP, device: str) -> None:
        self.network = network.to(device).eval()
        self.device = torch.device(device)
        self.model_id = model_id(network)
        self.image = network.image
        self.clip_length = network.config.clip_length
        self.dimension = network.config.descriptor_dim
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.parallel = self._cores if self.device.type == "cpu" else 1

    def embed(self, clips: Tensor, at_once: int = 1) -> Tensor:
        """As `EmbeddingBackend.embed`."""
        if self.device.type == "cpu":
            # Holds for this thread alone. Two batches on one core each are faster than one after the other on two
            # (benchmarks/): the cores need not wait for one another after every operation.
            torch.set_num_threads(max(1, self._cores // at_once))
        return self.network.describe(clips.to(self.device)).float().cpu()


def resolve_device(wanted: str) -> str:
    """The device to compute on: `auto` is the first GPU when there is one.

    Raises:
        ValueError: a GPU is asked for and there is none, or torch does not know the device.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(f"device {wanted!r} is not known; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {wanted!r} is asked for, but torch sees no GPU; use auto or cpu")
    return wanted


def open_model(weights: Path | None) -> tuple[TFCLIP, dict[str, Any]]:
    """The network of a weights file with its provenance, or an untrained `tiny` one when there is no file.

    Raises:
        model.WeightsError: the file cannot be used.
    """
    if weights is None:
        return new_model(ModelConfig.preset("tiny"), seed=0), {"trained": False, "source": "tiny, untrained, seed 0"}
    return load_model(weights, device="cpu"), describe_weights(weights).provenance
