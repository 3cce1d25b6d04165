"""How often an identity switch inside a tracklet is found, and how often one is seen that is not there.

Tracklets are spliced from two people before one camera, drawn ones or those of a folder: the first frames are of one
person, the rest of another. Beside them, as they are, tracklets of one person, and two of one person joined, which is
harder: the tracker lost the person and found them again, turned round or in another light.
`python -m benchmarks.purity`, or with `--root FOLDER`, or `--video FILE --tracks FILE`, for real people.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from model import TFCLIP
from model.clips import spread_evenly
from model.data.folder import read_folder
from model.data.synthetic import draw_tracklet
from model.default_weights import open_model
from model.preprocess import to_tensor
from model.purity import find_purity
from service.ingest.frames import cut_clips
from service.ingest.tracks import read_tracks
from service.ingest.video import CutOptions, CutReport, cut_tracklets
from service.settings import Settings

FRAMES = 16
"""Frames of a drawn tracklet: what is embedded unless `TFCLIP_FRAME_CAP` says otherwise."""

PEOPLE_OF_A_CAMERA = 4
FIRST_SEED = 40_000_000
"""Of people and cameras that no weights learned from and no scene has."""

ALONE, JOINED = "one tracklet", "two tracklets of one person"
THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)

Passing = tuple[str, Tensor]
"""Who, and frames (N, 3, H, W) as the network sees them."""


def drawn_cameras(people: int, network: TFCLIP) -> Iterator[list[Passing]]:
    """Cameras with the tracklets of a few drawn people, two passings each."""
    for first in range(0, people, PEOPLE_OF_A_CAMERA):
        yield [
            (
                str(person),
                to_tensor(draw_tracklet(person, FIRST_SEED + first, FRAMES, tracklet_seed=turn), network.image),
            )
            for person in range(FIRST_SEED + first, FIRST_SEED + first + PEOPLE_OF_A_CAMERA)
            for turn in (0, 1)
        ]


def cameras_of(root: Path, network: TFCLIP) -> Iterator[list[Passing]]:
    """Cameras with the tracklets of a folder, thinned as an upload's are."""
    cameras: dict[str, list[Passing]] = defaultdict(list)
    for one in read_folder(root).tracklets:
        chosen = [one.frames[position] for position in spread_evenly(len(one.frames), FRAMES)]
        cameras[one.camera].append((one.identity, to_tensor([Image.open(path) for path in chosen], network.image)))
    yield from cameras.values()


def camera_of(video: Path, tracks: Path, network: TFCLIP) -> Iterator[list[Passing]]:
    """One camera with a tracklet for each track of a video, cut as `tfclip ingest video` does, and thinned as well."""
    found = sorted(cut_tracklets(video, read_tracks(tracks), CutOptions(), CutReport()), key=lambda one: one.track_id)
    camera = []
    for one in found:
        chosen = [Image.open(BytesIO(one.frames[position])) for position in spread_evenly(len(one.frames), FRAMES)]
        camera.append((str(one.track_id), to_tensor(chosen, network.image)))
    yield camera


def sequences(camera: Sequence[Passing], rng: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Kind and frames of every sequence that is made of a camera's tracklets."""
    for identity, frames in camera:
        yield ALONE, frames
        same = [other for whose, other in camera if whose == identity and other is not frames]
        if same:
            yield JOINED, _halves(frames, same[rng.integers(len(same))])
        others = [other for whose, other in camera if whose != identity]
        if others:
            other = others[rng.integers(len(others))]
            for before in (2, 4):
                if len(frames) >= before and len(other) >= before:
                    yield f"{before} frames, then another person", _spliced(frames, other, before, FRAMES)
                    yield f"another person, then {before} frames", _spliced(other, frames, FRAMES, before)
            yield "half and half", _halves(frames, other)


def _halves(one: Tensor, other: Tensor) -> Tensor:
    return _spliced(one, other, FRAMES // 2, FRAMES // 2)


def _spliced(one: Tensor, other: Tensor, before: int, after: int) -> Tensor:
    """The last `before` frames of one, then the first `after` of the other; at most `FRAMES` together."""
    first = one[-before:] if before <= after else one[-(FRAMES - after) :]
    return torch.cat([first, other[: min(after, FRAMES - len(first))]])


def purity_of(network: TFCLIP, frames: Tensor) -> float | None:
    """The purity that the service would store."""
    described = network.describe_frames(cut_clips(frames, network.config.clip_length)).frames.flatten(0, 1)
    found = find_purity(described[: len(frames)].numpy())
    return None if found is None else found.purity


def area_under_curve(lower: NDArray[np.float64], higher: NDArray[np.float64]) -> float:
    """How often a number of the first is below one of the second; equal ones count half."""
    below = (lower[:, None] < higher).mean() + (lower[:, None] == higher).mean() / 2
    return float(below)


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, help="folder of IDENTITY/CAMERA/TRACKLET/FRAME.{jpg,png}; else drawn people"
    )
    parser.add_argument("--video", type=Path, help="a video, with --tracks: each track stands for a person")
    parser.add_argument("--tracks", type=Path, help="its tracks, MOTChallenge text")
    parser.add_argument("--weights", type=Path, help="a weights file in place of the demo weights")
    parser.add_argument("--people", type=int, default=120, help="drawn people")
    options, _ = parser.parse_known_args()
    if (options.video is None) != (options.tracks is None):
        parser.error("--video and --tracks go together")
    network, provenance = open_model(options.weights)
    if options.video is not None:
        cameras = camera_of(options.video, options.tracks, network)
    elif options.root is not None:
        cameras = cameras_of(options.root, network)
    else:
        cameras = drawn_cameras(options.people, network)
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = defaultdict(list)
    silent = 0
    for camera in cameras:
        for kind, frames in sequences(camera, rng):
            purity = purity_of(network, frames)
            if purity is None:
                silent += 1
            else:
                found[kind].append(purity)
    report({kind: np.array(values) for kind, values in found.items()}, silent, str(provenance["name"]))


def report(found: dict[str, NDArray[np.float64]], silent: int, name: str) -> None:
    """Print purities by kind, and rates by threshold."""
    threshold = Settings.model_fields["min_purity"].default
    pure = {kind: found.pop(kind) for kind in (ALONE, JOINED) if kind in found}
    everyone = np.concatenate(list(pure.values()))
    table = Table("frames", "sequences", "purity: 5 %", "median", "95 %", f"flagged at {threshold}", "AUC", title=name)
    for kind, values in (pure | found).items():
        quantiles = [f"{value:.2f}" for value in np.quantile(values, (0.05, 0.5, 0.95))]
        flagged = f"{np.mean(values < threshold):.3f}"
        area = "" if kind in pure else f"{area_under_curve(values, everyone):.3f}"
        table.add_row(kind, str(len(values)), *quantiles, flagged, area)
    console = Console(width=130)
    console.print(table)
    rates = Table("flagged below", *pure, "of two people")
    mixed = np.concatenate(list(found.values()))
    for one in THRESHOLDS:
        rates.add_row(f"{one:g}", *(f"{np.mean(values < one):.3f}" for values in (*pure.values(), mixed)))
    console.print(rates)
    console.print(
        f"AUC over all: {area_under_curve(mixed, everyone):.3f}; {silent} sequences have fewer than four frames"
    )


if __name__ == "__main__":
    main()
