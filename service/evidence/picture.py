"""A frame with the network's attention painted over it."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_LONGEST_SIDE = 1024
_COLOUR = (255, 40, 0)
_STRONGEST = 0.75
"""How much of the colour covers the place with the most attention; a place with none shows the frame as it is."""


def as_shown(picture: Image.Image) -> Image.Image:
    """The picture at its size, or smaller so that no side is longer than 1024 pixels."""
    shown = picture.copy()
    shown.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return shown


def paint_attention(frame: Image.Image, weights: NDArray[np.float32]) -> bytes:
    """Paint attention over a frame: the redder, the more.

    Args:
        frame: RGB.
        weights: (rows, columns), >= 0 and not all 0, over the whole frame.

    Returns:
        A PNG file.
    """
    painted = frame.copy()
    small = Image.fromarray((255 * _STRONGEST * weights / weights.max()).round().astype(np.uint8))
    painted.paste(_COLOUR, (0, 0, *frame.size), small.resize(frame.size, Image.Resampling.BILINEAR))
    buffer = BytesIO()
    painted.save(buffer, "PNG")
    return buffer.getvalue()
