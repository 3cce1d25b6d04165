"""Putting named tensors into a network, strictly: every name, shape, dtype and value is accounted for."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from model.errors import WeightsError

_NAMED_AT_MOST = 5


def summarise(names: Iterable[str]) -> str:
    """Join sorted names with commas; beyond the fifth they are counted."""
    ordered = sorted(names)
    rest = len(ordered) - _NAMED_AT_MOST
    return ", ".join(ordered[:_NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], source: str, remedy: str) -> None:
    """Make `tensors` the parameters and buffers of `module`, without a copy.

    Args:
        module: may live on the meta device.
        tensors: full state of the module, float32.
        source: where the tensors are from, for the error.
        remedy: what the user should do about it, for the error.

    Raises:
        WeightsError: a tensor is missing, unexpected, of wrong shape or dtype, or not finite.
    """
    expected = module.state_dict()
    problems = [
        f"{kind}: {summarise(names)}"
        for kind, names in (
            ("missing tensors", expected.keys() - tensors.keys()),
            ("unexpected tensors", tensors.keys() - expected.keys()),
            ("wrong tensors", _misfits(expected, tensors)),
            ("tensors that are not finite", _not_finite(tensors)),
        )
        if names
    ]
    if problems:
        raise WeightsError(f"{source} does not fit: {'; '.join(problems)}. {remedy}")
    module.load_state_dict(tensors, assign=True)


def _misfits(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{name} is {_describe(tensors[name])}, expected {_describe(tensor)}"
        for name, tensor in expected.items()
        if name in tensors and (tensors[name].shape, tensors[name].dtype) != (tensor.shape, tensor.dtype)
    ]


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    # Of another dtype than float32 a tensor is refused for that, and some dtypes know no such question.
    return [
        name
        for name, tensor in tensors.items()
        if tensor.dtype == torch.float32 and not bool(torch.isfinite(tensor).all())
    ]


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
