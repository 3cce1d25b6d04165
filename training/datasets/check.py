"""Opening frames, to find those that cannot be read before training meets them."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Literal

from PIL import Image, UnidentifiedImageError

from model.clips import spread_evenly
from training.datasets.published import expect_none
from training.datasets.tracklets import DataSet, Finding

SAMPLE = 2000
"""Frames that are opened of a data set when a sample will do."""

_BATCH = 32  # small enough for progress to move, large enough that handing out work costs nothing

FramesToRead = Literal["all", "sample", "none"]


def frames_to_read(data: DataSet, which: FramesToRead) -> list[Path]:
    """Choose the frames to open: all, at most `SAMPLE` spread evenly over the data set, or none.

    A frame that is in more than one of train, query and gallery is opened once.
    """
    if which == "none":
        return []
    tracklets = {one.frames[0]: one for one in chain(data.train, data.query, data.gallery)}
    frames = [frame for one in tracklets.values() for frame in one.frames]
    if which == "all" or not frames:
        return frames
    return [frames[place] for place in spread_evenly(len(frames), SAMPLE)]


def check_data_set(
    data: DataSet, *, read_frames: FramesToRead = "sample", progress: Callable[[int, int], None] | None = None
) -> list[Finding]:
    """Decode frames in threads and report those that cannot be.

    Args:
        data: what a reader found.
        read_frames: which frames to open.
        progress: is told how many frames were opened, and of how many, now and then.

    Returns:
        What the reader found, then what was found here.
    """
    if read_frames == "none":
        return list(data.findings)
    frames = frames_to_read(data, read_frames)
    unreadable: list[str] = []
    opened = 0
    batches = (frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for size, bad in pool.map(_decode, batches):
            opened += size
            unreadable += [f"{path.relative_to(data.root)} ({why})" for path, why in bad]
            if progress is not None:
                progress(opened, len(frames))
    asked = "all" if read_frames == "all" else f"at most {SAMPLE:,}"
    return [
        *data.findings,
        Finding("frames opened", asked, f"{opened:,}", True),
        expect_none("frames that cannot be read", unreadable),
    ]


def _decode(paths: list[Path]) -> tuple[int, list[tuple[Path, str]]]:
    return len(paths), list(_unreadable(paths))


def _unreadable(paths: list[Path]) -> Iterator[tuple[Path, str]]:
    for path in paths:
        try:
            with Image.open(path) as image:
                image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            # Pillow's message repeats the whole path, which is named already.
            why = "not an image" if isinstance(error, UnidentifiedImageError) else str(error)
            yield path, why
