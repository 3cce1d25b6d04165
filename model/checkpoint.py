"""Weights files: safetensors with metadata, so that a file alone says what it is.

Metadata, all of them strings: `tfclip.format` ("1"), `tfclip.config`, `tfclip.image` and `tfclip.provenance` (JSON
objects), `tfclip.model_id`. Tensors are float32 and nothing else, so that one model has one id. The id is checked on
loading: a file whose tensors, config or image specification were damaged is refused.
"""

import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.config import ModelConfig
from model.errors import WeightsError
from model.identity import canonical_json, digest, model_id
from model.preprocess import ImageSpecification
from model.tensors import load_strictly
from model.tfclip import TFCLIP

__all__ = [
    "WeightsError",
    "WeightsInfo",
    "describe_weights",
    "empty_model",
    "load_model",
    "model_id",
    "new_model",
    "save_model",
]

FORMAT = "1"
_KEYS = ("tfclip.format", "tfclip.config", "tfclip.image", "tfclip.provenance", "tfclip.model_id")
_MOST_LAYERS = 1000
_REMEDY = "Make the file again, or fetch it again."
_OTHER_FILES = (
    "Released TF-CLIP checkpoints are imported with `tfclip weights import-official`, CLIP weights with "
    "`tfclip weights init --clip`."
)


@dataclass(frozen=True)
class WeightsInfo:
    """What a weights file says about itself, after the file was checked as `load_model` checks it.

    Attributes:
        model_id: the SHA-256 that names the model.
        config, image: architecture and image specification.
        provenance: `trained` (bool), `created_by`, and what the maker recorded: data set, metrics, source, commit.
        parameters: how many numbers each part has: `encoder` (the visual tower), `cameras`, `temporal`, `total`.
    """

    model_id: str
    config: ModelConfig
    image: ImageSpecification
    provenance: dict[str, Any]
    parameters: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        return {
            "model_id": self.model_id,
            "descriptor_dim": self.config.descriptor_dim,
            "config": self.config.to_dict(),
            "image": self.image.to_dict(),
            "provenance": self.provenance,
            "parameters": self.parameters,
        }


def new_model(config: ModelConfig, seed: int = 0) -> TFCLIP:
    """Make an untrained network in evaluation mode; one seed gives one network, and the global generator is left alone.

    Args:
        config: architecture.
        seed: of PyTorch's default initialisation.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return TFCLIP(config).eval()


def empty_model(config: ModelConfig, image: ImageSpecification | None = None) -> TFCLIP:
    """Make a network in evaluation mode whose tensors have shapes and no memory yet, to load tensors into."""
    with torch.device("meta"):
        return TFCLIP(config, image).eval()


def load_model(path: str | Path, device: str | torch.device = "cpu") -> TFCLIP:
    """Read a weights file into a network in evaluation mode.

    Args:
        path: a file that `save_model` wrote.
        device: where the network goes.

    Raises:
        WeightsError: there is no such file; it is not a whole weights file of this format; a tensor is missing,
            unexpected, of wrong shape or dtype, or not finite; or the model id in it does not match.
    """
    model, _, _ = _read(Path(path))
    return model.to(device)


def describe_weights(path: str | Path) -> WeightsInfo:
    """Check a weights file as `load_model` does and return what it says about itself.

    Raises:
        WeightsError: as `load_model`.
    """
    model, identifier, provenance = _read(Path(path))
    visual = _count(model.encoder.visual.state_dict())
    encoder = _count(model.encoder.state_dict())
    total = _count(model.state_dict())
    whitening = 0 if model.whitening is None else _count(model.whitening.state_dict())
    parameters = {
        "encoder": visual,
        "cameras": encoder - visual,
        "temporal": total - encoder - whitening,
        **({"whitening": whitening} if whitening else {}),
        "total": total,
    }
    return WeightsInfo(identifier, model.config, model.image, provenance, parameters)


def save_model(model: TFCLIP, path: str | Path, provenance: dict[str, Any]) -> str:
    """Write a weights file; it appears whole or not at all, and replaces a file of that name.

    Args:
        model: its tensors must be finite and float32.
        path: `.safetensors` by convention; its folder must exist.
        provenance: JSON values: data set, metrics, source, training commit and the like. `trained` (bool) is false
            unless it is given; `created_by` is added.

    Returns:
        The model id.

    Raises:
        WeightsError: a tensor cannot be stored, or the file cannot be written.
        ValueError: the provenance is not JSON.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    load_strictly(empty_model(model.config, model.image), tensors, "the model", "Save finite float32 tensors.")
    identifier = digest(tensors, model.config, model.image)
    provenance = {"trained": False, **provenance, "created_by": f"tfclip {version('tfclip')}"}
    documents = (model.config.to_dict(), model.image.to_dict(), provenance)
    metadata = dict(zip(_KEYS, (FORMAT, *map(canonical_json, documents), identifier), strict=True))
    try:
        _write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot write {path}: {error}") from error
    return identifier


def _read(path: Path) -> tuple[TFCLIP, str, dict[str, Any]]:
    """Model, model id and provenance of a weights file, everything checked."""
    tensors, metadata = _open(path)
    if missing := [key for key in _KEYS if key not in metadata]:
        raise WeightsError(
            f"{path} is no weights file of this project: its metadata lacks {', '.join(missing)}. {_OTHER_FILES}"
        )
    if metadata["tfclip.format"] != FORMAT:
        raise WeightsError(
            f"{path} has weights format {metadata['tfclip.format']!r}, this version reads {FORMAT!r}: upgrade tfclip."
        )
    try:
        config = ModelConfig.from_dict(_json_object(metadata["tfclip.config"]))
        if config.layers > _MOST_LAYERS:
            # Before they are made, one by one: a number in a file must not cost hours.
            raise ValueError(f"layers is {config.layers}, expected at most {_MOST_LAYERS}")
        image = ImageSpecification.from_dict(_json_object(metadata["tfclip.image"]))
        provenance = _json_object(metadata["tfclip.provenance"])
        model = empty_model(config, image)
    except (ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{path} has metadata that this version cannot use: {error}. Upgrade tfclip if a newer version wrote it."
        ) from error
    load_strictly(model, tensors, str(path), _REMEDY)
    identifier = digest(tensors, config, image)
    if identifier != metadata["tfclip.model_id"]:
        raise WeightsError(
            f"{path} is damaged: its model id is {identifier}, expected {metadata['tfclip.model_id']}. {_REMEDY}"
        )
    return model, identifier, provenance


def _open(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}: make one with `tfclip weights init`.")
    try:
        with safe_open(path, framework="pt", device="cpu") as handle:
            # Copied out of the mapped file: a model must not change, or crash, when somebody overwrites the file.
            tensors = {name: handle.get_tensor(name).clone() for name in handle.keys()}  # noqa: SIM118
            return tensors, handle.metadata() or {}
    except (OSError, SafetensorError, UnicodeDecodeError, RuntimeError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}. {_REMEDY} {_OTHER_FILES}") from error


def _json_object(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"found {text[:40]!r}, expected a JSON object")
    return document


def _count(tensors: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def _write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        # safetensors makes files that only their owner can read; weights get the mode of any other file.
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(mode)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
