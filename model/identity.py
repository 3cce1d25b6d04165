"""The model id: what a model is, not which file it came from."""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from model.config import ModelConfig
from model.preprocess import ImageSpecification

if TYPE_CHECKING:
    from model.tfclip import TFCLIP


def canonical_json(document: Any) -> str:
    """One text per value: keys sorted, no spaces, ASCII.

    Raises:
        ValueError: a number is not finite.
        TypeError: a value is not a JSON type.
    """
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def model_id(model: "TFCLIP") -> str:
    """Return the SHA-256 (64 hexadecimal digits) that names a model.

    It covers the names, dtypes, shapes and little-endian bytes of all tensors in the order of their names, then config
    and image specification as canonical JSON. Two savings of one model have one id; the file and its provenance do not
    count.
    """
    return digest(model.state_dict(), model.config, model.image)


def digest(tensors: Mapping[str, Tensor], config: ModelConfig, image: ImageSpecification) -> str:
    """Return the model id of the network that these parts make."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        dtype = str(tensor.dtype).removeprefix("torch.")
        sha.update(canonical_json([name, dtype, list(tensor.shape)]).encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    sha.update(canonical_json(config.to_dict()).encode())
    sha.update(canonical_json(image.to_dict()).encode())
    return sha.hexdigest()
