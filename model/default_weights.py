"""The network that is used when nobody names weights, the same in every command and in the service."""

from pathlib import Path
from typing import Any

from model.checkpoint import describe_weights, load_model, new_model
from model.config import ModelConfig
from model.tfclip import TFCLIP


def open_model(weights: Path | None) -> tuple[TFCLIP, dict[str, Any]]:
    """The network of a weights file with its provenance, or an untrained `tiny` one when there is no file.

    Raises:
        WeightsError: the file cannot be used.
    """
    if weights is None:
        return new_model(ModelConfig.preset("tiny"), seed=0), {"trained": False, "source": "tiny, untrained, seed 0"}
    return load_model(weights, device="cpu"), describe_weights(weights).provenance
