"""Reading tensors from files that others made: PyTorch checkpoints, TorchScript archives, safetensors."""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from model.errors import WeightsError
from model.tensors import summarise

_WRAPPERS = ("state_dict", "model")
"""Keys under which training scripts keep the state dict beside optimiser and epoch."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors; nothing in it is executed.

    Args:
        path: `.safetensors`, a TorchScript archive, or a pickle of a state dict (bare, or under `state_dict` or
            `model`), which is read with `weights_only=True`.

    Returns:
        Tensors by name, on the CPU, without the prefix `module.` that data parallel training adds.

    Raises:
        WeightsError: there is no such file, it is not whole, or it holds something other than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"there is no file {path}.")
    try:
        document = _load(path)
    except Exception as error:
        # Readers fail on damaged files with many types; torch's own advice (to unpickle anyway) must not reach a user.
        kind = type(error).__name__
        raise WeightsError(
            f"{path} cannot be read as tensors ({kind}): expected a whole .safetensors file, TorchScript archive or "
            "PyTorch state dict without other pickled objects. Fetch it again, or save its state dict alone."
        ) from error
    return _without_module_prefix(_state_dict(path, document))


def to_float32(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert floating point tensors to float32; others stay what they are, to be refused by name."""
    return {
        name: tensor.detach().to(torch.float32) if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }


def _load(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path)
    if _is_torchscript(path):
        with warnings.catch_warnings():
            # torch.jit is deprecated; OpenAI's files are what they are.
            warnings.simplefilter("ignore", FutureWarning)
            return torch.jit.load(path, map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
    return torch.load(path, map_location="cpu", weights_only=True)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _state_dict(path: Path, document: Any) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(document, Mapping) and isinstance(document.get(wrapper), Mapping):
            document = document[wrapper]
            break
    if not isinstance(document, Mapping):
        raise WeightsError(f"{path} holds a {type(document).__name__}, expected a state dict: tensors by name.")
    others = [str(name) for name, value in document.items() if not isinstance(value, Tensor)]
    if others or not document:
        raise WeightsError(f"{path} is no state dict: expected tensors, found {summarise(others) or 'nothing'}.")
    return {str(name): tensor for name, tensor in document.items()}


def _without_module_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = "module."
    if not all(name.startswith(prefix) for name in tensors):
        return tensors
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
