"""Augmentation of training clips, some of it once for the clip, some for each frame (method.md 1.5, 8.7)."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]

_SHADES = ((3, 2), (8, 4), (20, 10))
"""Rows and columns of the grids that `shade` is drawn on."""

_TRIES = 20
"""How often a rectangle is drawn before a frame is left whole: those that do not fit are drawn again."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to a clip, in this order.

    Attributes:
        crop_padding: pixels of edge added on each side before a window of the frame's size is cut, the same for every
            frame of the clip. 0, as in the paper's recipe: no crop.
        flip: probability that the clip is mirrored.
        colour: brightness, contrast and saturation are multiplied by a factor in 1 - colour .. 1 + colour, the same for
            every frame of the clip. 0, as in the paper's recipe: none.
        cast: red, green and blue are each multiplied by a factor of their own in 1 - cast .. 1 + cast, the same for
            every frame of the clip: the white balance of another camera. 0, as in the paper's recipe: none.
        warp: each corner of the frame is moved by up to this share of its sides, the same for every frame of the clip:
            other proportions, another perspective. 0, as in the paper's recipe: none.
        shade: depth of the patches of light and shadow that are laid over each frame: standard deviation of the
            logarithm of brightness, at each of three scales. 0, as in the paper's recipe: none.
        erase: probability that a frame loses a rectangle to one random colour.
        erase_area: least and largest share of the frame that is erased.
        erase_aspect: least and largest height over width of the rectangle.
        erase_at: `sampled` erases where the corner was drawn. `released` pastes at (width, height) of the rectangle,
            as the released code does by a fault: the upper left is never covered, the place follows from the size.
    """

    crop_padding: int = 0
    flip: float = 0.5
    colour: float = 0.0
    cast: float = 0.0
    warp: float = 0.0
    shade: float = 0.0
    erase: float = 0.5
    erase_area: tuple[float, float] = (0.02, 0.2)
    erase_aspect: tuple[float, float] = (0.3, 3.33)
    erase_at: Literal["sampled", "released"] = "sampled"

    def __post_init__(self) -> None:
        if self.crop_padding < 0:
            raise ValueError(f"crop_padding is {self.crop_padding}, expected 0 or more")
        for name in ("flip", "colour", "cast", "warp", "shade", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        for name in ("erase_area", "erase_aspect"):
            least, largest = getattr(self, name)
            if not 0 < least <= largest:
                raise ValueError(f"{name} is {least} to {largest}, expected 0 < least <= largest")


def augment(clip: Frames, how: Augmentation, rng: np.random.Generator) -> Frames:
    """Augment a clip.

    Args:
        clip: (T, H, W, 3) uint8; not changed.
        how: what to do.
        rng: where every number is drawn from.

    Returns:
        (T, H, W, 3) uint8, contiguous.
    """
    frames = clip
    if how.crop_padding:
        frames = _crop(frames, how.crop_padding, rng)
    if how.warp:
        frames = _warp(frames, how.warp, rng)
    if rng.random() < how.flip:
        frames = frames[:, :, ::-1]
    if how.colour or how.cast:
        frames = _recolour(frames, how, rng)
    frames = np.array(frames, order="C")
    for frame in frames:
        if how.shade:
            frame[:] = _shade(frame, how.shade, rng)
        if rng.random() < how.erase:
            _erase(frame, how, rng)
    return frames


def _crop(frames: Frames, padding: int, rng: np.random.Generator) -> Frames:
    height, width = frames.shape[1:3]
    padded = np.pad(frames, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode="edge")
    top, left = rng.integers(0, 2 * padding + 1, 2)
    return padded[:, top : top + height, left : left + width]


def _warp(frames: Frames, strength: float, rng: np.random.Generator) -> Frames:
    height, width = frames.shape[1:3]
    edge = math.ceil(strength * max(height, width))
    padded = np.pad(frames, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="edge")
    # Upper left, lower left, lower right, upper right: Pillow's order.
    corners = np.array([(0, 0), (0, height), (width, height), (width, 0)]) + edge
    moved = corners + rng.uniform(-strength, strength, (4, 2)) * (width, height)
    quad, size = tuple(moved.ravel()), (width, height)
    return np.stack(
        [
            np.asarray(Image.fromarray(one).transform(size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR))
            for one in padded
        ]
    )


def _shade(frame: Frames, depth: float, rng: np.random.Generator) -> Frames:
    height, width = frame.shape[:2]
    light = np.zeros((height, width), np.float32)
    for rows, columns in _SHADES:
        grid = Image.fromarray(rng.normal(0, depth, (rows, columns)).astype(np.float32))
        light += np.asarray(grid.resize((width, height), Image.Resampling.BILINEAR))
    shaded: Frames = (frame * np.exp(light)[..., None]).clip(0, 255).astype(np.uint8)
    return shaded


def _recolour(frames: Frames, how: Augmentation, rng: np.random.Generator) -> Frames:
    brightness, contrast, saturation = rng.uniform(1 - how.colour, 1 + how.colour, 3).astype(np.float32)
    values = frames.astype(np.float32) * brightness
    if how.cast:
        values *= rng.uniform(1 - how.cast, 1 + how.cast, 3).astype(np.float32)
    values = (values - values.mean()) * contrast + values.mean()
    grey = values.mean(axis=3, keepdims=True)
    recoloured: Frames = ((values - grey) * saturation + grey).clip(0, 255).astype(np.uint8)
    return recoloured


def _erase(frame: Frames, how: Augmentation, rng: np.random.Generator) -> None:
    """Fill a rectangle of the frame, (H, W, 3), in place."""
    rows, columns = frame.shape[:2]
    for _ in range(_TRIES):
        area = rng.uniform(*how.erase_area) * rows * columns
        aspect = rng.uniform(*how.erase_aspect)
        height, width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if not (0 < height < rows and 0 < width < columns):
            continue
        top, left = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
        if how.erase_at == "released":
            top, left = height, width
        frame[top : top + height, left : left + width] = rng.integers(0, 256, 3, dtype=np.uint8)
        return
