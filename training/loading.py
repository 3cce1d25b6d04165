"""Training clips: files -> augmented frames, in worker processes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.clips import restricted_random_clip
from model.preprocess import ImageSpecification
from training.augment import Augmentation, Frames, augment
from training.datasets.tracklets import DataSetError, LabelledTracklet

CACHE_LIMIT_BYTES = 8 * 2**30
"""The most that `cache` may hold; a larger set is decoded again in each epoch."""


class Draw(NamedTuple):
    """A clip to make: of which tracklet, and the number that names its random draws."""

    row: int
    epoch: int
    position: int


class Clip(NamedTuple):
    """(T, H, W, 3) uint8 frames of a tracklet, its label and camera; or, in place of the frames, why there are none."""

    frames: Frames
    label: int
    camera: int
    problem: str | None


class ClipBatch(NamedTuple):
    """A batch as it leaves the workers.

    Attributes:
        frames: (B, T, 3, H, W) uint8.
        labels: (B,) int64.
        cameras: (B,) int64.
    """

    frames: Tensor
    labels: Tensor
    cameras: Tensor


class TrackletClips(Dataset[Clip]):
    """Clips of tracklets by restricted random sampling, augmented. A draw gives one clip, whichever process makes it.

    Args:
        tracklets: of the training set.
        label_of: label of each identity.
        image: size of a frame.
        clip_length: T.
        augmentation: what is done to a clip.
        seed: of everything that is drawn.
        cache: decode every frame at once and keep it.

    Raises:
        DataSetError: the frames are too many to keep, or one of them cannot be read.
    """

    def __init__(
        self,
        tracklets: Sequence[LabelledTracklet],
        label_of: Mapping[str, int],
        image: ImageSpecification,
        clip_length: int,
        augmentation: Augmentation,
        *,
        seed: int,
        cache: bool = False,
    ) -> None:
        self._tracklets, self._image, self._augmentation, self._seed = tracklets, image, augmentation, seed
        self.clip_length = clip_length
        self.labels = [label_of[one.identity] for one in tracklets]
        self._cached: list[Frames] | None = None
        if cache:
            frames = sum(len(one.frames) for one in tracklets)
            size = frames * image.height * image.width * 3
            if size > CACHE_LIMIT_BYTES:
                raise DataSetError(
                    f"{frames} frames take {size / 2**30:.0f} GiB, more than the {CACHE_LIMIT_BYTES / 2**30:.0f} GiB "
                    "that are kept in memory: set batches.cache_frames=false"
                )
            self._cached = [self._decode(one, range(len(one.frames))) for one in tracklets]

    def __len__(self) -> int:
        return len(self._tracklets)

    def __getitem__(self, draw: Draw) -> Clip:
        tracklet = self._tracklets[draw.row]
        rng = np.random.default_rng([self._seed, draw.epoch, draw.position, 0xC11F])
        chosen = restricted_random_clip(len(tracklet.frames), self.clip_length, rng)
        if self._cached is not None:
            frames = self._cached[draw.row][chosen]
        else:
            try:
                frames = self._decode(tracklet, chosen)
            except DataSetError as error:
                # An exception from a worker process arrives as a traceback in text; a message arrives as it is.
                return Clip(np.empty(0, np.uint8), 0, 0, str(error))
        return Clip(augment(frames, self._augmentation, rng), self.labels[draw.row], tracklet.camera, None)

    def _decode(self, tracklet: LabelledTracklet, chosen: Sequence[int]) -> Frames:
        """(n, H, W, 3): frames as `model.preprocess.to_tensor` reads and resizes them; a repeated one is read once."""
        size = (self._image.width, self._image.height)
        decoded: dict[int, Frames] = {}
        for index in chosen:
            if index not in decoded:
                path = tracklet.frames[index]
                try:
                    with Image.open(path) as image:
                        decoded[index] = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
                except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                    raise DataSetError(f"frame {path} cannot be read: {error}") from error
        return np.stack([decoded[index] for index in chosen])


def make_loader(
    clips: TrackletClips, batches: Sequence[Sequence[Draw]], *, workers: int, pin_memory: bool
) -> Iterator[ClipBatch]:
    """Make batches one after another, ahead of their use when there are workers.

    Args:
        clips: of the training set.
        batches: what each batch is made of.
        workers: processes; 0 decodes in this one.
        pin_memory: whether batches are to be copied to a GPU.

    Raises:
        DataSetError: a frame cannot be read.
    """
    loader = DataLoader(
        clips,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=pin_memory,
        worker_init_fn=_one_thread,
        # A generator of its own: otherwise beginning to load draws from the global one, and a run that is resumed in
        # the middle of an epoch begins to load at another step than one that was not stopped.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, str):
            raise DataSetError(batch)
        yield batch


def normalise(frames: Tensor, image: ImageSpecification) -> Tensor:
    """Turn uint8 frames (..., 3, H, W) into float32 as the network expects them, where they are."""
    mean = torch.tensor(image.mean, device=frames.device).view(3, 1, 1)
    std = torch.tensor(image.std, device=frames.device).view(3, 1, 1)
    return frames.float().sub_(255 * mean).div_(255 * std)


def _collate(clips: list[Clip]) -> ClipBatch | str:
    for clip in clips:
        if clip.problem is not None:
            return clip.problem
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips])).permute(0, 1, 4, 2, 3).contiguous()
    labels = torch.tensor([clip.label for clip in clips])
    return ClipBatch(frames, labels, torch.tensor([clip.camera for clip in clips]))


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
