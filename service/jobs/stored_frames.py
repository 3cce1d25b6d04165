"""Reading the frames of stored tracklets from disk, and saying which of them are lost."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from PIL import Image

from service.errors import InvalidFrame
from service.ingest.images import ImageLimits, decode_frame
from service.store.frames import FrameStore

T = TypeVar("T")

_ACCEPTED = ImageLimits(min_side=1, max_side=2**31, max_pixels=2**62)
"""Frames passed the limits at their upload; limits that were lowered since do not make them unreadable."""


class FramesLost(Exception):
    """Frames that a descriptor is made of are not on disk as they were stored.

    Attributes:
        missing: positions of frames whose file is not there.
        damaged: positions of frames whose file holds other bytes, or cannot be read.
    """

    def __init__(self, tracklet_id: uuid.UUID, missing: Sequence[int], damaged: Sequence[int]) -> None:
        super().__init__(f"tracklet {tracklet_id} lacks frames {list(missing)}; frames {list(damaged)} are damaged")
        self.tracklet_id = tracklet_id
        self.missing = tuple(missing)
        self.damaged = tuple(damaged)


def read_frames(
    frame_store: FrameStore,
    gallery: str,
    tracklet_id: uuid.UUID,
    digests: Sequence[bytes],
    positions: Sequence[int],
    prepare: Callable[[Image.Image], T],
) -> list[T]:
    """Read stored frames from disk, one at a time, and keep what `prepare` makes of each.

    Args:
        digests: SHA-256 of every frame of the tracklet.
        positions: which of them to read.

    Raises:
        FramesLost: some of these frames are missing or damaged; names them all.
    """
    prepared, missing, damaged = [], [], []
    for position in positions:
        try:
            content = frame_store.path(gallery, digests[position]).read_bytes()
            if hashlib.sha256(content).digest() != digests[position]:
                raise InvalidFrame("other bytes than were stored")
            picture, _ = decode_frame(content, _ACCEPTED, f"frames[{position}]")
        except FileNotFoundError:
            missing.append(position)
        except (OSError, InvalidFrame):
            damaged.append(position)
        else:
            prepared.append(prepare(picture))
    if missing or damaged:
        raise FramesLost(tracklet_id, missing, damaged)
    return prepared
