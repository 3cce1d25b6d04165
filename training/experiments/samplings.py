"""Ways to choose the frames that a tracklet is described by, compared on the same decoded frames."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.clips import dense_clips, restricted_first_clip, restricted_random_clip, spread_evenly
from model.tfclip import TFCLIP, mean_of_clips
from training.datasets.tracklets import LabelledTracklet
from training.evaluation import BATCH_CLIPS, read_frames

Clips = list[list[int]]


@dataclass(frozen=True)
class Sampling:
    """A way to choose clips.

    Attributes:
        kind: `dense`, every frame. `capped`, dense clips of at most `number` frames that are spread evenly: what the
            service does. `drawn`, one clip by restricted random sampling. `first`, one clip of the first frame of each
            of the chunks that `drawn` draws from.
        number: the cap, or which draw it is.
    """

    kind: Literal["dense", "capped", "drawn", "first"]
    number: int = 0

    def clips(self, frame_count: int, clip_length: int, row: int) -> Clips:
        """Clips of T frame indices.

        Args:
            frame_count: frames of the tracklet.
            clip_length: T.
            row: the tracklet's; with `number` it names what is drawn.
        """
        if self.kind == "dense":
            return dense_clips(frame_count, clip_length)
        if self.kind == "capped":
            kept = spread_evenly(frame_count, self.number)
            return [[kept[place] for place in clip] for clip in dense_clips(len(kept), clip_length)]
        if self.kind == "drawn":
            rng = np.random.default_rng([self.number, row, 0x7E57])
            return [restricted_random_clip(frame_count, clip_length, rng)]
        return [restricted_first_clip(frame_count, clip_length)]


@dataclass(frozen=True, eq=False)
class Described:
    """N tracklets under one sampling.

    Attributes:
        descriptors: (N, D) float32 on the CPU, not normalised.
        frames: (N,) distinct frames that were used.
        clips: (N,) clips that were computed.
        seconds: (N,) of the network, one tracklet at a time; frames were decoded and on the device before.
    """

    descriptors: Tensor
    frames: NDArray[np.int64]
    clips: NDArray[np.int64]
    seconds: NDArray[np.float64]


def describe_by_samplings(
    model: TFCLIP,
    tracklets: Sequence[LabelledTracklet],
    samplings: Sequence[Sampling],
    *,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> dict[Sampling, Described]:
    """Describe tracklets by every sampling. A frame is decoded once, and equal clips are computed once.

    A tracklet's frames are in memory all at one time, and nothing is decoded while the network is timed.

    Args:
        model: moved to `device`; used in evaluation mode, without cameras, as the service uses it.
        tracklets: N, of any lengths.
        samplings: distinct.
        device: where the network computes.
        progress: is told how many tracklets are described, and of how many.

    Raises:
        DataSetError: a frame cannot be read.
    """
    model.to(device).eval()
    length, count = model.config.clip_length, len(tracklets)
    descriptors = {one: torch.empty(count, model.config.descriptor_dim) for one in samplings}
    costs = {one: np.zeros((3, count)) for one in samplings}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, tracklet in enumerate(tracklets):
            frames = torch.cat(list(pool.map(lambda path: read_frames([path], model.image), tracklet.frames)))
            known: dict[str, tuple[Tensor, float]] = {}
            for one in samplings:
                clips = one.clips(len(frames), length, row)
                if (name := str(clips)) not in known:
                    known[name] = _describe(model, frames, clips, device)
                descriptors[one][row], seconds = known[name]
                costs[one][:, row] = len({place for clip in clips for place in clip}), len(clips), seconds
            progress(row + 1, count)
    return {
        one: Described(descriptors[one], costs[one][0].astype(np.int64), costs[one][1].astype(np.int64), costs[one][2])
        for one in samplings
    }


def _describe(model: TFCLIP, frames: Tensor, clips: Clips, device: torch.device) -> tuple[Tensor, float]:
    """(D,) descriptor of one tracklet, and the seconds that the network took."""
    features, seconds = [], 0.0
    for start in range(0, len(clips), BATCH_CLIPS):
        batch = frames[torch.tensor(clips[start : start + BATCH_CLIPS])].to(device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        # Copying the features back waits for the device.
        features.append(model.describe(batch).float().cpu())
        seconds += time.perf_counter() - began
    return mean_of_clips(torch.cat(features), torch.tensor([len(clips)]))[0], seconds
