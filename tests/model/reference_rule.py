"""Weights and inputs of the reference values, which follow from a rule, so that no weights file is needed.

For a name, u(name, shape) = 2 r - 1, where r are the first numbers of PCG64 seeded by the first 8 bytes, little endian,
of sha256("tfclip-reference:" + name). The values in data/reference.npz were computed with the released code in float32
on a CPU.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DATA = Path(__file__).parent / "data"


def reference_values() -> dict[str, Tensor]:
    with np.load(DATA / "reference.npz") as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


def released_state() -> dict[str, Tensor]:
    """A released checkpoint, under the released names."""
    shapes = json.loads((DATA / "official_state_dict_shapes.json").read_text())
    return {name: reference_tensor(name, tuple(shape)) for name, shape in shapes.items()}


def reference_frames() -> Tensor:
    return torch.from_numpy((2 * uniform("input.frames", (4, 8, 3, 256, 128))).astype(np.float32))


def reference_memory() -> Tensor:
    return torch.from_numpy(uniform("input.memory", (10, 512)).astype(np.float32))


def uniform(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(f"tfclip-reference:{name}".encode()).digest()[:8], "little")
    return (2 * np.random.Generator(np.random.PCG64(seed)).random(math.prod(shape)) - 1).reshape(shape)


def reference_tensor(name: str, shape: tuple[int, ...]) -> Tensor:
    if not shape:
        return torch.tensor(0)
    u = uniform(name, shape)
    if name.endswith("running_var"):
        value = 1 + 0.5 * u
    elif name.endswith("running_mean"):
        value = 0.1 * u
    elif name.endswith("bias"):
        value = 0.02 * u
    elif len(shape) == 1 and name.endswith("weight"):
        value = 1 + 0.1 * u
    elif name == "SSP.alpha":
        value = 0.1 * u
    elif name.endswith(("class_embedding", "positional_embedding", "cv_embed")) or "classifier" in name:
        value = 0.05 * u
    elif name == "image_encoder.proj":
        value = u * math.sqrt(3 / 768)
    else:
        value = u * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(value.astype(np.float32))
