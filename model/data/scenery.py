"""Places before which drawn people walk: what stands behind them, and what stands between them and the camera.

Lengths are fractions of the height of the panorama, so that a place looks the same at every size.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
_THINGS_BEFORE = ("pole", "bollard", "rail", "bench", "planter", "car", "sign")


def draw_background(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Draw a wall or greenery over a floor with joints; RGB of `width` x `height` pixels."""
    wall, floor = _surface(rng, 40, 245), _surface(rng, 90, 245)
    horizon = rng.uniform(0.42, 0.62)
    place = Image.new("RGB", (width, height), _rgb(wall))
    pen = ImageDraw.Draw(place)
    line = int(horizon * height)
    (_greenery if rng.random() < 0.25 else _facade)(pen, rng, wall, width / height, horizon, height)
    for band in range(8):
        top = line + (height - line) * band // 8
        pen.rectangle((0, top, width, height), fill=_rgb(floor * (0.86 + 0.035 * band)))
    _joints(pen, rng, floor, (width, height), line)
    return ImageChops.multiply(place, _dirt(rng, width, height)).filter(ImageFilter.GaussianBlur(height / 300))


def draw_foreground(rng: np.random.Generator, width: int, height: int, things: float) -> Image.Image:
    """Draw what hides people; RGBA of `width` x `height` pixels, clear where nothing stands.

    Args:
        things: how many to expect; the most that any place has is twice as many.
    """
    layer = Image.new("RGBA", (width, height))
    pen = ImageDraw.Draw(layer)
    count = round(rng.uniform(0, 2 * things))
    for number in range(count):
        x = (number + rng.uniform(0.2, 0.8)) * width / height / count
        _thing_before(pen, rng, x, height)
    return layer


def _facade(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, wall: NDArray[np.float64], end: float, horizon: float, unit: int
) -> None:
    """Windows, doors, posters and pillars."""
    if rng.random() < 0.4:
        course = rng.uniform(0.02, 0.05)
        for row in np.arange(0, horizon, course):
            pen.line((0, row * unit, end * unit, row * unit), fill=_rgb(wall * 0.86), width=max(1, unit // 200))
    x = -0.1
    while x < end:
        wide, top = rng.uniform(0.05, 0.4), rng.uniform(-0.1, 0.3)
        bottom = horizon if rng.random() < 0.6 else rng.uniform(top + 0.1, horizon)
        fill = wall * rng.uniform(0.4, 1.25) + rng.uniform(-28, 28, 3)
        pen.rectangle((x * unit, top * unit, (x + wide) * unit, bottom * unit), fill=_rgb(fill))
        edge = rng.uniform(0.008, 0.03)
        inside = ((x + edge) * unit, (top + edge) * unit, (x + wide - edge) * unit, (bottom - edge) * unit)
        if wide > 3 * edge and bottom - top > 3 * edge:
            pen.rectangle(inside, fill=_rgb(fill * rng.uniform(0.45, 1.4)))
        x += wide + rng.uniform(0.02, 0.25)


def _greenery(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, wall: NDArray[np.float64], end: float, horizon: float, unit: int
) -> None:
    """Bushes and trunks before the sky."""
    leaf = np.array([rng.uniform(40, 90), rng.uniform(75, 130), rng.uniform(30, 70)])
    for _ in range(90):
        x, y, r = rng.uniform(0, end), rng.uniform(0, horizon), rng.uniform(0.03, 0.14)
        pen.ellipse(
            ((x - r) * unit, (y - r) * unit, (x + r) * unit, (y + r) * unit), fill=_rgb(leaf * rng.uniform(0.5, 1.4))
        )
    for _ in range(4):
        x, wide = rng.uniform(0, end), rng.uniform(0.02, 0.06)
        pen.rectangle((x * unit, 0, (x + wide) * unit, horizon * unit), fill=_rgb(wall * 0.3 + 25))


def _joints(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, floor: NDArray[np.float64], size: tuple[int, int], line: int
) -> None:
    width, height = size
    step, colour, thick = rng.uniform(0.05, 0.2) * height, _rgb(floor * 0.78), max(1, height // 180)
    depth = 0.12
    while depth < 1 and rng.random() < 0.97:
        y = line + (height - line) * depth
        pen.line((0, y, width, y), fill=colour, width=thick)
        depth *= 1.45
    lean = rng.uniform(-0.4, 0.4) * height
    for x in np.arange(-height, width + height, step * 2):
        pen.line((x, line, x + lean, height), fill=colour, width=thick)


def _dirt(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Sun and shade, stains and grain: what a plain surface looks like to a camera."""
    light = np.zeros((height, width), np.float32)
    depth = rng.uniform(0.04, 0.22)
    for rows in (5, 14, 40, 110):
        grid = rng.normal(0, depth, (rows, max(2, rows * width // height))).astype(np.float32)
        light += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BILINEAR))
    return Image.fromarray((255 * np.minimum(np.exp(light - depth), 1)).astype(np.uint8)).convert("RGB")


def _thing_before(pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, unit: int) -> None:
    """Draw one thing whose foot stands before the walkers' feet, near the lower edge of the panorama."""
    colour = _surface(rng, 25, 190) + rng.uniform(-25, 25, 3)

    def block(left: float, top: float, right: float, bottom: float, fill: NDArray[np.float64]) -> None:
        pen.rectangle((left * unit, top * unit, right * unit, bottom * unit), fill=(*_rgb(fill), 255))

    def shaded(wide: float, top: float, bottom: float = 1.0) -> None:
        block(x, top, x + wide, bottom, colour * 0.7)
        block(x + wide * 0.2, top, x + wide * 0.65, bottom, colour)

    draw: dict[str, Callable[[], None]] = {
        "pole": lambda: shaded(rng.uniform(0.03, 0.075), 0.0),
        "bollard": lambda: shaded(rng.uniform(0.06, 0.1), rng.uniform(0.66, 0.74)),
        "rail": lambda: _rail(block, x, rng.uniform(0.4, 0.9), colour),
        "bench": lambda: _rail(block, x, 0.45, colour),
        "planter": lambda: _planter(block, pen, rng, x, unit, colour),
        "car": lambda: _car(block, x, colour),
        "sign": lambda: _sign(block, x, colour),
    }
    draw[_THINGS_BEFORE[rng.integers(len(_THINGS_BEFORE))]]()


Block = Callable[[float, float, float, float, NDArray[np.float64]], None]


def _sign(block: Block, x: float, colour: NDArray[np.float64]) -> None:
    block(x, 0.3, x + 0.025, 1.0, colour * 0.7)
    block(x - 0.09, 0.28, x + 0.11, 0.46, colour)


def _rail(block: Block, x: float, wide: float, colour: NDArray[np.float64]) -> None:
    for y in (0.68, 0.75, 0.82):
        block(x, y, x + wide, y + 0.022, colour)
    for post in np.linspace(x, x + wide - 0.03, 3):
        block(post, 0.66, post + 0.03, 1.0, colour * 0.7)


def _planter(
    block: Block, pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, unit: int, colour: NDArray[np.float64]
) -> None:
    for _ in range(25):
        left, top, r = x + rng.uniform(0, 0.3), rng.uniform(0.62, 0.8), rng.uniform(0.02, 0.05)
        leaf = np.array([50.0, 95.0, 45.0]) * rng.uniform(0.5, 1.4)
        pen.ellipse(((left - r) * unit, (top - r) * unit, (left + r) * unit, (top + r) * unit), fill=(*_rgb(leaf), 255))
    block(x, 0.8, x + 0.3, 1.0, colour)


def _car(block: Block, x: float, colour: NDArray[np.float64]) -> None:
    block(x + 0.16, 0.66, x + 0.62, 0.78, colour * 0.6 + 20)
    block(x, 0.76, x + 0.85, 0.94, colour)
    block(x + 0.1, 0.9, x + 0.24, 1.0, np.full(3, 25.0))
    block(x + 0.62, 0.9, x + 0.76, 1.0, np.full(3, 25.0))


def _surface(rng: np.random.Generator, low: float, high: float) -> NDArray[np.float64]:
    return rng.uniform(low, high) + rng.uniform(-14, 14, 3)


def _rgb(values: NDArray[np.float64]) -> Colour:
    red, green, blue = (int(value) for value in np.clip(values, 0, 255))
    return red, green, blue
