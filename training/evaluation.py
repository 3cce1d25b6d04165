"""From a network and a data set to descriptors, and from those to rankings to be measured (docs/evaluation.md)."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from model.clips import dense_clips, restricted_first_clip
from model.data.folder import natural_key
from model.metrics import RetrievalLabels, RetrievalMetrics, evaluate_distances
from model.preprocess import ImageSpecification, to_tensor
from model.retrieval import CosineDistances, DistanceRows, k_reciprocal_distances
from model.tfclip import TFCLIP, mean_of_clips
from training.datasets.tracklets import DataSet, DataSetError, LabelledTracklet

ClipChoice = Literal["dense", "rrs"]
"""Every frame in consecutive clips, as figures are reported; or one clip spread over the tracklet, which is quick."""

BATCH_CLIPS = 16

_AHEAD = 2  # batches that are decoded before the network asks for them


class Rankings(NamedTuple):
    """What `model.metrics` and `model.camera_pairs` measure: distances of queries to the gallery, and labels."""

    distances: DistanceRows
    labels: RetrievalLabels


class _Clip(NamedTuple):
    """A clip to describe: the row of its tracklet, the camera, and its frames."""

    row: int
    camera: int
    frames: tuple[Path, ...]


def describe_tracklets(
    model: TFCLIP,
    tracklets: Sequence[LabelledTracklet],
    *,
    clips: ClipChoice = "dense",
    device: str | torch.device = "cpu",
    batch_clips: int = BATCH_CLIPS,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    use_cameras: bool = False,
) -> Tensor:
    """Describe tracklets: the mean over each one's clips.

    Frames are decoded in threads while the network computes. Only the clips of a few batches exist at one time,
    however long the tracklets are.

    Args:
        model: moved to `device`, and used in evaluation mode.
        tracklets: N, of any lengths.
        clips: which clips of a tracklet.
        device: where the network computes.
        batch_clips: clips that it computes at one time; the descriptors do not depend on it.
        workers: threads that decode, one for each core when it is not given.
        progress: is told how many clips are described, and of how many, after each batch.
        use_cameras: give the tracklets' cameras to a model with a camera table. Their numbers must be those that the
            model was trained with; other models pay no heed.

    Returns:
        (N, D) float32 on the CPU, not normalised.

    Raises:
        DataSetError: a frame cannot be read.
    """
    plans = [_plan(len(one.frames), model.config.clip_length, clips) for one in tracklets]
    total = sum(len(plan) for plan in plans)
    wanted = (
        _Clip(row, one.camera, tuple(one.frames[place] for place in places))
        for row, (one, plan) in enumerate(zip(tracklets, plans, strict=True))
        for places in plan
    )
    descriptors = torch.empty(len(tracklets), model.config.descriptor_dim)
    cameras_known = use_cameras and model.config.cameras > 0
    waiting: list[Tensor] = []  # features of clips whose tracklet is not complete
    done = finished = 0
    was_training = model.training
    model.to(device).eval()
    try:
        for batch in _decoded(wanted, model.image, batch_clips, workers):
            frames = torch.stack([pixels for _, pixels in batch]).to(device)
            cameras = torch.tensor([clip.camera for clip, _ in batch], device=device) if cameras_known else None
            waiting += model.describe(frames, cameras).float().cpu()
            while finished < len(plans) and len(waiting) >= len(plans[finished]):
                count = len(plans[finished])
                descriptors[finished] = mean_of_clips(torch.stack(waiting[:count]), torch.tensor([count]))[0]
                del waiting[:count]
                finished += 1
            done += len(batch)
            if progress is not None:
                progress(done, total)
    finally:
        model.train(was_training)
    return descriptors


def evaluate_model(
    model: TFCLIP,
    data: DataSet,
    *,
    clips: ClipChoice = "dense",
    rerank: bool = False,
    device: str | torch.device = "cpu",
    batch_clips: int = BATCH_CLIPS,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    use_cameras: bool = False,
) -> RetrievalMetrics:
    """Describe the test tracklets of a data set and measure how well its queries find their matches.

    The arguments are those of `describe_tracklets` and `rank`.

    Raises:
        DataSetError: a frame cannot be read.
        ValueError: no query has a match.
    """
    descriptors = describe_tracklets(
        model,
        distinct_tracklets(data),
        clips=clips,
        device=device,
        batch_clips=batch_clips,
        workers=workers,
        progress=progress,
        use_cameras=use_cameras,
    )
    return evaluate_distances(*rank(data, descriptors.to(device), rerank=rerank))


def distinct_tracklets(data: DataSet) -> tuple[LabelledTracklet, ...]:
    """Everything that has to be described, once: the gallery, and the queries that are not in it."""
    return tuple(dict.fromkeys((*data.gallery, *data.query)))


def rank(data: DataSet, descriptors: Tensor, *, rerank: bool = False) -> Rankings:
    """Take the queries' distances to the gallery as the protocol of the data set has them.

    Args:
        data: whose queries and gallery.
        descriptors: (N, D) of `distinct_tracklets(data)`, on the device that is to compute.
        rerank: by k-reciprocal neighbours; protocols do without, and so do the paper's figures.

    Raises:
        ValueError: shapes do not fit, a number is not finite, or there is no query.
    """
    everyone = distinct_tracklets(data)
    if len(descriptors) != len(everyone):
        raise ValueError(f"there are {len(descriptors)} descriptors, expected {len(everyone)}")
    if not data.query or not data.gallery:
        raise ValueError(f"{data.name} has {len(data.query)} queries and a gallery of {len(data.gallery)}")
    rows = {one: row for row, one in enumerate(everyone)}
    query = descriptors[[rows[one] for one in data.query]]
    gallery = descriptors[[rows[one] for one in data.gallery]]
    names = sorted({one.identity for one in everyone}, key=natural_key)
    numbers = {name: number for number, name in enumerate(names)}
    labels = RetrievalLabels(
        torch.tensor([numbers[one.identity] for one in data.query]),
        torch.tensor([numbers[one.identity] for one in data.gallery]),
        torch.tensor([one.camera for one in data.query]),
        torch.tensor([one.camera for one in data.gallery]),
    )
    if not rerank:
        return Rankings(CosineDistances(query, gallery), labels)
    places = {one: place for place, one in enumerate(data.gallery)}
    copies = torch.tensor([places.get(one, -1) for one in data.query])
    return Rankings(k_reciprocal_distances(query, gallery, copies=copies), labels)


def read_frames(paths: Sequence[Path], image: ImageSpecification) -> Tensor:
    """Decode frames as the network expects them, (n, 3, H, W) float32; one that is named several times is decoded once.

    Raises:
        DataSetError: a frame cannot be read.
    """
    distinct = list(dict.fromkeys(paths))
    frames = to_tensor([_open(path) for path in distinct], image)
    return frames[[distinct.index(path) for path in paths]]


def _plan(frame_count: int, clip_length: int, clips: ClipChoice) -> list[list[int]]:
    if clips == "dense":
        return dense_clips(frame_count, clip_length)
    return [restricted_first_clip(frame_count, clip_length)]


def _decoded(
    clips: Iterable[_Clip], image: ImageSpecification, batch_clips: int, workers: int | None
) -> Iterator[list[tuple[_Clip, Tensor]]]:
    """Yield clips in their order with their frames (T, 3, H, W), a batch at a time, a few batches ahead."""
    clips = iter(clips)
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:

        def start(count: int) -> Iterator[tuple[_Clip, Future[Tensor]]]:
            return ((clip, pool.submit(read_frames, clip.frames, image)) for clip in islice(clips, count))

        coming = deque(start(_AHEAD * batch_clips))
        try:
            while coming:
                batch = [coming.popleft() for _ in range(min(batch_clips, len(coming)))]
                coming.extend(start(len(batch)))
                yield [(clip, pixels.result()) for clip, pixels in batch]
        finally:
            pool.shutdown(cancel_futures=True)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's message repeats the whole path, which is named already.
        why = "it is not an image" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DataSetError(f"frame {path} cannot be read: {why}") from error
