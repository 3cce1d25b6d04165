"""A ranking as one picture: the query's frames over time, and below them a strip for each place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont, ImageOps

STRIP_FRAMES = 8
"""Frames in a strip at most."""

FRAME_WIDTH, FRAME_HEIGHT = 64, 128
TEXT_WIDTH = 280
GAP = 4
LINE_HEIGHT = 18
_BACKGROUND, _INK, _LINE, _MISSING = "white", "black", "#888888", "#dddddd"


@dataclass(frozen=True)
class Strip:
    """One line of the sheet: lines of text, and pictures in order of time; None where a frame cannot be shown."""

    text: Sequence[str]
    frames: Sequence[Image.Image | None]


def spread(count: int) -> list[int]:
    """Which of `count` frames a strip shows: at most `STRIP_FRAMES`, evenly over time, with both ends."""
    if count <= STRIP_FRAMES:
        return list(range(count))
    return [round(n * (count - 1) / (STRIP_FRAMES - 1)) for n in range(STRIP_FRAMES)]


def span(started_at: datetime | None, ended_at: datetime | None) -> list[str]:
    """The times of a tracklet as lines of text."""
    times = [time.isoformat(sep=" ", timespec="seconds") for time in (started_at, ended_at) if time]
    return [f"{'to ' if n else ''}{time}" for n, time in enumerate(times)]


def fitted(image: Image.Image) -> Image.Image:
    """The image in the size of a strip's frames, nothing cut off and nothing stretched."""
    return ImageOps.pad(image, (FRAME_WIDTH, FRAME_HEIGHT), color=_MISSING)


def draw(title: str, strips: Iterable[Strip]) -> bytes:
    """Draw the sheet: a PNG file, (TEXT_WIDTH and up to STRIP_FRAMES frames) wide; a line below the first strip."""
    strips = list(strips)
    font = _font()
    width = TEXT_WIDTH + STRIP_FRAMES * (FRAME_WIDTH + GAP)
    top = LINE_HEIGHT + 2 * GAP
    sheet = Image.new("RGB", (width, top + len(strips) * (FRAME_HEIGHT + 2 * GAP)), _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), _short(title, font, width - 2 * GAP), _INK, font)
    for number, strip in enumerate(strips):
        y = top + number * (FRAME_HEIGHT + 2 * GAP)
        pen.line((0, y, width, y), _LINE, width=3 if number == 1 else 1)
        for line, text in enumerate(strip.text):
            place = (GAP, y + GAP + line * LINE_HEIGHT)
            pen.text(place, _short(text, font, TEXT_WIDTH - 2 * GAP), _INK, font)
        for column, frame in enumerate(strip.frames):
            corner = (TEXT_WIDTH + column * (FRAME_WIDTH + GAP), y + GAP)
            if frame is None:
                pen.rectangle((*corner, corner[0] + FRAME_WIDTH - 1, corner[1] + FRAME_HEIGHT - 1), _MISSING)
            else:
                sheet.paste(frame, corner)
    file = BytesIO()
    # Little is won by looking longer for repetitions in photographs.
    sheet.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans where the system has it, for names in most scripts; Pillow's own font has ASCII only."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        return ImageFont.load_default(size=13)


def _short(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, cut where it would not fit."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
