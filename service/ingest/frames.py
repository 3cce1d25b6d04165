"""The frames of one upload: validated, hashed, and made into clips."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from model.clips import dense_clips, spread_evenly
from model.preprocess import ImageSpecification, to_tensor
from service.errors import InvalidFrame
from service.ingest.images import ImageLimits, decode_frame
from service.store.tracklets import FrameRecord


@dataclass(frozen=True)
class Frames:
    """The validated frames of a tracklet.

    Attributes:
        records: one for each frame, in order.
        contents: bytes by SHA-256; frames that are equal share an entry.
        digest: SHA-256 over the frames' SHA-256s in order: equal for equal sequences only; of a tracklet without
            frames that of its descriptor.
        clips: (C, T, 3, H, W) float32, dense clips of the frames that are embedded; nothing where none is.
        embedded: how many frames those are.
    """

    records: Sequence[FrameRecord]
    contents: dict[bytes, bytes]
    digest: bytes
    clips: Tensor
    embedded: int


def digest_of(contents: Sequence[bytes]) -> bytes:
    """What names a sequence of frames: SHA-256 over their SHA-256s, in order."""
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).digest()


def prepare_frames(
    contents: Sequence[bytes], limits: ImageLimits, image: ImageSpecification, clip_length: int, frame_cap: int
) -> Frames:
    """Decode and check every frame; cut clips from at most `frame_cap` of them, spread evenly.

    Frames are decoded one at a time and kept at the network's size only, so that memory stays small.

    Raises:
        InvalidFrame: a frame cannot be used; the message names it.
    """
    embedded = set(spread_evenly(len(contents), frame_cap))
    tensors: list[Tensor] = []

    def keep(position: int, picture: Image.Image) -> None:
        if position in embedded:
            tensors.append(to_tensor([picture], image))

    records, by_hash = _check(contents, limits, keep)
    return Frames(records, by_hash, digest_of(contents), cut_clips(torch.cat(tensors), clip_length), len(tensors))


def check_frames(contents: Sequence[bytes], limits: ImageLimits, digest: bytes) -> Frames:
    """Decode and check every frame of a tracklet that is described already; there may be none.

    Raises:
        InvalidFrame: as `prepare_frames`.
    """
    records, by_hash = _check(contents, limits, lambda position, picture: None)
    return Frames(records, by_hash, digest, torch.empty(0), 0)


def _check(
    contents: Sequence[bytes], limits: ImageLimits, keep: Callable[[int, Image.Image], None]
) -> tuple[list[FrameRecord], dict[bytes, bytes]]:
    """Records of the frames, in order, and their bytes by SHA-256; `keep` sees each picture once."""
    records = []
    by_hash: dict[bytes, bytes] = {}
    pixels = 0
    for position, content in enumerate(contents):
        picture, media_type = decode_frame(content, limits, f"frames[{position}]")
        pixels += picture.width * picture.height
        if pixels > limits.max_pixels:
            raise InvalidFrame(
                f"The frames up to frames[{position}] have more than {limits.max_pixels} pixels (TFCLIP_MAX_PIXELS); "
                "send crops of the person, or fewer frames."
            )
        sha256 = hashlib.sha256(content).digest()
        by_hash[sha256] = content
        records.append(FrameRecord(sha256, media_type, picture.width, picture.height, len(content)))
        keep(position, picture)
    return records, by_hash


def cut_clips(frames: Tensor, clip_length: int) -> Tensor:
    """Dense clips of the frames that are embedded: (N, 3, H, W) -> (C, T, 3, H, W).

    The first N frames of the clips, one clip after another, are the frames in order; what follows fills the last clip.
    """
    return frames[torch.tensor(dense_clips(len(frames), clip_length))]
