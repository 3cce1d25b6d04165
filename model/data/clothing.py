"""The cloth of drawn garments: unrolled textures, so that the front of a shirt is seen from the front only."""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.appearance import Clothes, Colour

Texture = NDArray[np.uint8]
"""(rows, AROUND, 3): rows from the neck to the hem; columns around the body from back over left and front to right."""

AROUND = 96
_ROWS = 64


def weave(clothes: Clothes) -> Texture:
    """Make the unrolled upper garment; (64, AROUND, 3)."""
    down = np.linspace(0, 1, _ROWS)[:, None]
    # 0 in front, positive towards the person's right, pi at the back.
    angle = np.linspace(-math.pi, math.pi, AROUND, endpoint=False)[None, :]
    second = np.zeros((_ROWS, AROUND), bool)
    if clothes.pattern == "stripes":
        second = np.broadcast_to(down * clothes.count * 2 % 2 >= 1.2, second.shape)
    elif clothes.pattern == "checks":
        around = (angle / (2 * math.pi) + 0.5) * clothes.count * 4
        second = (down * clothes.count * 2 % 2 >= 1) ^ (around % 2 >= 1)
    elif clothes.pattern == "yoke":
        second = np.broadcast_to(down < 0.1 + 0.05 * clothes.count, second.shape)
    elif clothes.pattern == "band":
        second = np.broadcast_to(np.abs(down - 0.3 - 0.04 * clothes.count) < 0.09, second.shape)
    elif clothes.pattern == "print":
        second = _print(down, angle, clothes.count)
        if clothes.print_on_back:
            second = second | _print(down, angle % (2 * math.pi) - math.pi, clothes.count + 2)
    cloth = np.where(second[..., None], np.array(clothes.second, np.uint8), np.array(clothes.upper_colour, np.uint8))
    if clothes.upper == "open jacket":
        cloth[(np.abs(angle) < 0.28 + 0.25 * down)] = clothes.inner
    elif clothes.upper == "closed jacket":
        cloth[np.broadcast_to(np.abs(angle) < 0.06, second.shape)] = _dark(clothes.upper_colour)
    if clothes.upper in ("coat", "closed jacket"):
        cloth[-3:] = _dark(clothes.upper_colour)
    return cloth


def plain(colour: Colour) -> Texture:
    """Make a texture of one colour; (1, AROUND, 3)."""
    return np.full((1, AROUND, 3), colour, np.uint8)


def folds(width: int, height: int, rng: np.random.Generator, strength: float = 1.0) -> Image.Image:
    """Make the unevenness of cloth and light by which a drawn person is multiplied; RGBA, opaque.

    Args:
        width, height: pixels of the layer that the person is drawn into.
        rng: of one passing; cloth falls otherwise on another occasion.
        strength: 1 is a street, towards 0 cloth is smooth.
    """
    light = np.zeros((height, width), np.float32)
    # Patches of sun and shade, folds that hang, wrinkles: rows and columns of each grid over the person.
    for rows, columns, depth in ((4, 3, 0.2), (10, 9, 0.18), (26, 16, 0.16), (60, 36, 0.1)):
        grid = rng.normal(0, depth * strength, (rows, columns)).astype(np.float32)
        light += np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))
    values = (255 * np.minimum(np.exp(light - 0.2 * strength), 1)).astype(np.uint8)
    return Image.merge("RGBA", [Image.fromarray(values)] * 3 + [Image.new("L", (width, height), 255)])


def _print(down: NDArray[np.float64], angle: NDArray[np.float64], kind: int) -> NDArray[np.bool_]:
    """Mark a print on the chest: a block, a disc, lines, a ring, a slant or a small logo."""
    x, y = angle / 0.62, (down - 0.34) / 0.18
    inside = (np.abs(x) < 1) & (np.abs(y) < 1)
    shapes = (
        inside,
        x**2 + y**2 < 1,
        inside & ((y + 1) % 0.8 < 0.45),
        (x**2 + y**2 < 1.2) & (x**2 + y**2 > 0.45),
        inside & (np.abs(x - y) < 0.5),
        (np.abs(x + 0.7) < 0.28) & (np.abs(y + 0.5) < 0.5),
    )
    return shapes[kind % len(shapes)]


def _dark(colour: Colour) -> NDArray[np.uint8]:
    return (np.array(colour) * 0.55).astype(np.uint8)
