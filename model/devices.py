"""Where to compute, by the name a user gives it."""

import torch


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
