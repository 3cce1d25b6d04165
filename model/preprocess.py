"""The one image specification: how a crop becomes the pixels that the network sees, in training and serving alike."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class ImageSpecification:
    """Size and normalisation of a frame (method.md 1.5: ImageNet statistics, not CLIP's own).

    Attributes:
        height, width: pixels.
        mean, std: per channel R, G, B, for values in 0..1.
        interpolation: the resize filter; `bilinear`, antialiased as Pillow does it, is the only one.

    Raises:
        ValueError: a value does not fit.
    """

    height: int
    width: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if not isinstance(side, int) or isinstance(side, bool) or side < 1:
                raise ValueError(f"{name} is {side!r}, expected an integer >= 1")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3 or not all(isinstance(value, float) and isfinite(value) for value in values):
                raise ValueError(f"{name} is {values!r}, expected three finite numbers")
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std!r}, expected numbers > 0")
        if self.interpolation != "bilinear":
            raise ValueError(f"interpolation is {self.interpolation!r}, expected 'bilinear'")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a specification from what `to_dict` returned.

        Raises:
            ValueError: a key is missing or unknown, or a value does not fit.
        """
        known = {field.name for field in fields(cls)}
        if values.keys() != known:
            raise ValueError(f"keys are {', '.join(sorted(values))}; expected {', '.join(sorted(known))}")
        for name in ("mean", "std"):
            if not isinstance(values[name], list):
                raise ValueError(f"{name} is {values[name]!r}, expected a list of three numbers")
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})

    def to_dict(self) -> dict[str, Any]:
        """Return every field as JSON types; `from_dict` reads it back."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}


def to_tensor(images: Sequence[Image.Image], specification: ImageSpecification) -> Tensor:
    """Turn crops into normalised frames.

    Args:
        images: N crops of any size and mode.
        specification: size and normalisation of the model that will see them.

    Returns:
        (N, 3, H, W) float32, contiguous.
    """
    size = (specification.width, specification.height)
    pixels = np.empty((len(images), specification.height, specification.width, 3), dtype=np.uint8)
    for row, image in zip(pixels, images, strict=True):
        row[...] = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    frames = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    mean = torch.tensor(specification.mean).view(3, 1, 1)
    std = torch.tensor(specification.std).view(3, 1, 1)
    return frames.sub_(255 * mean).div_(255 * std)
