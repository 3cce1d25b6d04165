"""Tracks of people in a video, read from MOTChallenge text."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_COLUMNS = "frame,id,left,top,width,height"


class TracksError(ValueError):
    """The tracks file is not MOTChallenge text; the message names the line and what was expected."""


@dataclass(frozen=True)
class Box:
    """A box in pixels of the picture; `left` and `top` name its upper left corner."""

    left: float
    top: float
    width: float
    height: float

    def clipped(self, picture_width: int, picture_height: int) -> Self | None:
        """Return the part inside the picture, rounded to whole pixels, or None where no area is left."""
        left, right = (min(max(round(x), 0), picture_width) for x in (self.left, self.left + self.width))
        top, bottom = (min(max(round(y), 0), picture_height) for y in (self.top, self.top + self.height))
        if right <= left or bottom <= top:
            return None
        return type(self)(left, top, right - left, bottom - top)


Track = dict[int, Box]
"""The boxes of one person by frame number, from 1."""


def read_tracks(path: Path) -> dict[int, Track]:
    """Read a file of lines `frame,id,left,top,width,height[,...]`; frames count from 1, further columns are ignored.

    Returns:
        For each track id its boxes by frame number.

    Raises:
        TracksError: a line is malformed, a track has two boxes in one frame, or the file holds no box at all.
    """
    tracks: dict[int, Track] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TracksError(f"{path} cannot be read as text: {error}") from error
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            frame, track_id, box = _parse(line)
        except ValueError as error:
            raise TracksError(f"{path}, line {line_number}: {error}; expected {_COLUMNS}, got {line[:80]!r}") from error
        if frame in tracks.setdefault(track_id, {}):
            raise TracksError(f"{path}, line {line_number}: track {track_id} has a second box in frame {frame}")
        tracks[track_id][frame] = box
    if not tracks:
        raise TracksError(f"{path} holds no box; expected lines {_COLUMNS}")
    return tracks


def _parse(line: str) -> tuple[int, int, Box]:
    fields = line.split(",")
    if len(fields) < 6:
        raise ValueError(f"{len(fields)} columns")
    numbers = [float(value) for value in fields[:6]]
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError("a number is not finite")
    frame, track_id = int(numbers[0]), int(numbers[1])
    if (frame, track_id) != (numbers[0], numbers[1]):
        raise ValueError("frame and id are whole numbers")
    if frame < 1:
        raise ValueError("frames count from 1")
    if track_id < 0:
        raise ValueError("a negative id marks a detection that belongs to no track")
    return frame, track_id, Box(*numbers[2:])
