"""A drawn camera: its place, its light, its faults; chosen by a seed and the same for everyone who passes."""

import math
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from model.data.scenery import draw_background, draw_foreground

PANORAMA_ASPECT = 4
"""Width of the places along which people walk, over their height."""
_THINGS_BEFORE = 2.0
_GREY = (0.299, 0.587, 0.114)
_LEVELS = np.linspace(0, 1, 256, dtype=np.float32)


@dataclass(frozen=True)
class Viewpoint:
    """One camera.

    Attributes:
        background: RGB panorama of the place.
        foreground: RGBA panorama of what stands between walkers and the camera.
        facing: radians, the direction in which most people pass (see `skeleton.Pose`).
        elevation: radians by which it looks down.
        light: the side from which light comes, -1 left to 1 right.
        matrix: 12 values, from scene colour to sensor colour: saturation and colour cast.
        contrast: exponent of the brightness curve.
        haze: brightness of what is black, 0-255.
        blur: radius in output heights of what the lens loses.
        lines: how many pixels high it sees a person.
        grain: noise in levels of 0-255, of which each frame takes another part.
        quality: of its JPEG coder, 1-95.
    """

    background: Image.Image
    foreground: Image.Image
    facing: float
    elevation: float
    light: float
    matrix: tuple[float, ...]
    contrast: float
    haze: float
    blur: float
    lines: float
    grain: NDArray[np.int16]
    quality: int

    def brightness(self, exposure: float) -> NDArray[np.int16]:
        """Return what the camera makes of the 256 levels at a factor of exposure."""
        levels = np.minimum(_LEVELS * np.float32(exposure), 1) ** np.float32(self.contrast)
        curve: NDArray[np.int16] = np.rint(self.haze + (255 - self.haze) * levels).astype(np.int16)
        return curve

    def expose(
        self,
        seen: Image.Image,
        box: tuple[float, float, float, float],
        size: tuple[int, int],
        curve: NDArray[np.int16],
        lines: float,
        rng: np.random.Generator,
    ) -> Image.Image:
        """Return what the camera makes of a part of the scene.

        Args:
            seen: RGB picture of the scene.
            box: the part of it that a detector cuts out: left, top, right, bottom in pixels.
            size: width and height of the answer in pixels.
            curve: from `brightness`.
            lines: pixels that the camera has for the height of the box; no more than the answer has.
            rng: chooses this frame's noise.
        """
        width, height = size
        share = min(1.0, lines / height)
        native = (max(8, round(width * share)), max(16, round(height * share)))
        image = seen.resize(native, Image.Resampling.BILINEAR, box=box).convert("RGB", self.matrix)
        radius = self.blur * native[1]
        if radius > 0.2:
            image = image.filter(ImageFilter.BoxBlur(radius))
        pixels = curve.take(np.asarray(image))
        start = int(rng.integers(len(self.grain) - pixels.size))
        pixels += self.grain[start : start + pixels.size].reshape(pixels.shape)
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        if self.quality < 95:
            coded = BytesIO()
            image.save(coded, "JPEG", quality=self.quality)
            image = Image.open(coded, formats=("JPEG",))
        return image.resize(size, Image.Resampling.BILINEAR) if native != size else image.copy()


def draw_viewpoint(camera_seed: int, height: int, difficulty: float = 1.0) -> Viewpoint:
    """Choose the camera `camera_seed` (>= 0).

    Args:
        height: of its panoramas, pixels.
        difficulty: 1 is a street, 0 a camera without faults and without anything in the way.
    """
    rng = np.random.default_rng([0xCA, camera_seed])
    width = PANORAMA_ASPECT * height
    warmth, tint, saturation = rng.uniform(-0.1, 0.1), rng.uniform(-0.04, 0.04), rng.uniform(0.65, 1.15)
    exposure, contrast = rng.uniform(0.85, 1.5), math.exp(rng.uniform(-0.25, 0.2))
    haze, blur, noise = rng.uniform(0, 10), rng.uniform(0, 0.006), rng.uniform(1, 6)
    lines, quality = math.exp(rng.uniform(math.log(72), math.log(260))), rng.uniform(28, 92)
    view = rng.uniform(0, 2 * math.pi), rng.uniform(0.03, 0.32), rng.uniform(-0.9, 0.9)
    return Viewpoint(
        background=draw_background(rng, width, height),
        foreground=draw_foreground(rng, width, height, _THINGS_BEFORE * difficulty),
        facing=float(view[0]),
        elevation=float(view[1]),
        light=float(view[2]),
        matrix=_colour_matrix(warmth * difficulty, tint * difficulty, saturation**difficulty, exposure**difficulty),
        contrast=contrast**difficulty,
        haze=haze * difficulty,
        blur=blur * difficulty,
        lines=lines**difficulty * 260 ** (1 - difficulty),
        # Enough for frames as high as the panorama; drawing it anew for each would take half the time of a frame.
        grain=(noise * difficulty * rng.standard_normal(3 * height**2, dtype=np.float32)).astype(np.int16),
        quality=round(95 - (95 - quality) * difficulty),
    )


def _colour_matrix(warmth: float, tint: float, saturation: float, exposure: float) -> tuple[float, ...]:
    cells: list[float] = []
    for row, cast in enumerate((1 + warmth, 1 + tint, 1 - warmth)):
        for column, grey in enumerate(_GREY):
            cells.append(exposure * cast * (saturation * (row == column) + (1 - saturation) * grey))
        cells.append(0.0)
    return tuple(cells)
