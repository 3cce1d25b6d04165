"""Where a contact sheet has its strips, and what it shows there."""

from io import BytesIO

import numpy as np
from PIL import Image

from service.export.contact_sheet import FRAME_HEIGHT, FRAME_WIDTH, GAP, LINE_HEIGHT, STRIP_FRAMES, TEXT_WIDTH


def height(strips: int) -> int:
    """How high a sheet of so many strips is, the query's among them: its title, and the strips below it."""
    return LINE_HEIGHT + 2 * GAP + strips * (FRAME_HEIGHT + 2 * GAP)


def strip(sheet: Image.Image, number: int) -> list[np.ndarray]:
    """The eight places for frames of a strip, (128, 64, 3) int each; strip 0 is the query's."""
    y = height(number) + GAP
    lefts = [TEXT_WIDTH + position * (FRAME_WIDTH + GAP) for position in range(STRIP_FRAMES)]
    return [np.asarray(sheet.crop((x, y, x + FRAME_WIDTH, y + FRAME_HEIGHT)), int) for x in lefts]


def text_beside(sheet: Image.Image, number: int) -> np.ndarray:
    """The pixels at the left of a strip, where its text stands, without the line above it."""
    return np.asarray(sheet.crop((0, height(number) + GAP, TEXT_WIDTH, height(number + 1))), int)


def shown(place: np.ndarray, content: bytes) -> bool:
    """Whether a place shows this image file."""
    return bool(np.abs(place - np.asarray(Image.open(BytesIO(content)).convert("RGB"), int)).max() <= 2)
