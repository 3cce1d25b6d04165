"""A drawn camera: its place, its light, its faults; chosen by a seed and the same for everyone who passes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

PANORAMA_WIDTH = 1024
"""Pixels of background along which people walk, at the doubled scale at which scenes are drawn."""


@dataclass(frozen=True)
class Viewpoint:
    """One camera.

    Attributes:
        background: (height, PANORAMA_WIDTH) RGB picture of the place, at the doubled drawing scale.
        facing: radians, the direction in which most people pass (see `figure.Pose`).
        elevation: radians by which it looks down.
        curve: 768 values, for each channel what the camera makes of a brightness: exposure, contrast, colour cast.
        light: (height, width, 1) factor of brightness over the picture.
        grain: (2 height, 2 width, 3) noise, from which each frame takes its own part.
        sharpness: share of the picture's resolution that the lens keeps.
    """

    background: Image.Image
    facing: float
    elevation: float
    curve: list[int]
    light: NDArray[np.float32]
    grain: NDArray[np.float32]
    sharpness: float

    def expose(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return what the camera makes of the RGB picture `image`; `rng` chooses this frame's noise."""
        width, height = image.size
        small = (max(1, round(width * self.sharpness)), max(1, round(height * self.sharpness)))
        soft = image.resize(small, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)
        pixels = np.asarray(soft.point(self.curve), dtype=np.float32) * self.light
        top, left = rng.integers(height), rng.integers(width)
        pixels += self.grain[top : top + height, left : left + width]
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_viewpoint(camera_seed: int, width: int, height: int) -> Viewpoint:
    """Choose the camera `camera_seed` (>= 0) for pictures of `width` x `height` pixels."""
    rng = np.random.default_rng([0xCA, camera_seed])
    sigma = np.float32(rng.uniform(2, 8))
    slope = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    fall = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    return Viewpoint(
        background=_place(rng, height * 2),
        facing=float(rng.uniform(0, 2 * math.pi)),
        elevation=float(rng.uniform(0.05, 0.3)),
        curve=_curve(rng),
        light=1 + np.float32(rng.uniform(-0.22, 0.22)) * slope + np.float32(rng.uniform(-0.12, 0.12)) * fall,
        grain=sigma * rng.standard_normal((2 * height, 2 * width, 3), dtype=np.float32),
        sharpness=float(rng.uniform(0.45, 1.0)),
    )


def _curve(rng: np.random.Generator) -> list[int]:
    exposure, gamma = rng.uniform(0.75, 1.15), rng.uniform(0.8, 1.3)
    lift = rng.uniform(0, 25)
    warmth, tint = rng.uniform(-0.14, 0.14), rng.uniform(-0.05, 0.05)
    levels = np.linspace(0, 1, 256) ** gamma
    casts = (1 + warmth, 1 + tint, 1 - warmth)
    channels = [lift + (255 - lift) * exposure * cast * levels for cast in casts]
    return [int(value) for value in np.clip(np.concatenate(channels), 0, 255)]


def _place(rng: np.random.Generator, height: int) -> Image.Image:
    """Draw a wall with doors, windows or poles over a floor with joints."""
    wall = rng.uniform(70, 210) + rng.uniform(-25, 25, 3)
    floor = rng.uniform(60, 190) + rng.uniform(-20, 20, 3)
    horizon = int(height * rng.uniform(0.45, 0.72))
    place = Image.new("RGB", (PANORAMA_WIDTH, height), _rgb(wall))
    pen = ImageDraw.Draw(place)
    pen.rectangle((0, horizon, PANORAMA_WIDTH, height), fill=_rgb(floor))
    x = 0
    while x < PANORAMA_WIDTH:
        wide = int(rng.integers(20, 140))
        top = int(rng.uniform(0, 0.5) * horizon)
        if rng.random() < 0.65:
            pen.rectangle(
                (x, top, x + wide, horizon), fill=_rgb(wall * rng.uniform(0.55, 1.3) + rng.uniform(-30, 30, 3))
            )
        x += wide + int(rng.integers(10, 120))
    spacing = int(rng.integers(24, 90))
    for y in range(horizon, height, spacing):
        pen.line((0, y, PANORAMA_WIDTH, y), fill=_rgb(floor * 0.85), width=3)
    lean = int(rng.integers(-120, 120))
    for x in range(-200, PANORAMA_WIDTH + 200, spacing * 2):
        pen.line((x, horizon, x + lean, height), fill=_rgb(floor * 0.88), width=3)
    return place


def _rgb(values: NDArray[np.float64]) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in np.clip(values, 0, 255))
    return red, green, blue
