"""The TF-CLIP network and its numbers.

The names below are loaded on first use, so that commands that need no tensors start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.checkpoint import load_model, new_model, save_model
    from model.config import ModelConfig
    from model.errors import WeightsError
    from model.preprocess import ImageSpecification
    from model.tfclip import TFCLIP, TrackletFeatures

_HOMES = {
    "ImageSpecification": "model.preprocess",
    "ModelConfig": "model.config",
    "TFCLIP": "model.tfclip",
    "TrackletFeatures": "model.tfclip",
    "WeightsError": "model.errors",
    "load_model": "model.checkpoint",
    "new_model": "model.checkpoint",
    "save_model": "model.checkpoint",
}

__all__ = [
    "TFCLIP",
    "ImageSpecification",
    "ModelConfig",
    "TrackletFeatures",
    "WeightsError",
    "load_model",
    "new_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'model' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
