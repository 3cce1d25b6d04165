"""A run that costs seconds: people of plain colour, a network of a few thousand numbers."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from training.config import TrainingConfig, load_config
from training.datasets.registry import read_data_set
from training.distributed import Processes
from training.fit import Run
from training.progress import Progress
from training.run_folder import RunFolder

SMALL = (
    "network.overrides={image_height: 32, image_width: 16, width: 32, layers: 1, projection: 16, clip_length: 2}",
    "batches.identities=4",
    "batches.tracklets=2",
    "batches.workers=0",
    "augmentation.crop_padding=2",
    "schedule.epochs=4",
    "schedule.warmup_epochs=1",
    "memory.first_epoch=2",
    "memory.every=1",
    "held_out=0",
)


def coloured_people(root: Path, people: int = 8, cameras: int = 2, tracklets: int = 2, frames: int = 3) -> Path:
    """Write a folder data set in which a person is two colours and noise."""
    rng = np.random.default_rng(3)
    for person in range(people):
        top, bottom = rng.integers(0, 256, (2, 3))
        for camera in range(cameras):
            for number in range(tracklets):
                folder = root / f"person-{person}" / f"camera-{camera}" / f"{number}"
                folder.mkdir(parents=True)
                for frame in range(frames):
                    pixels = np.empty((32, 16, 3))
                    pixels[:16], pixels[16:] = top, bottom
                    pixels += rng.normal(12 * camera, 25, pixels.shape)
                    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{frame}.png")
    return root


def small_config(*changes: str) -> TrainingConfig:
    return load_config("folder_tiny", SMALL + changes)


def make_run(
    config: TrainingConfig, root: Path, out: Path, *, resume: bool = False, processes: Processes | None = None
) -> Run:
    folder = RunFolder(out, resume=resume)
    folder.keep_config(config)
    return Run(
        config,
        read_data_set("folder", root),
        folder,
        torch.device("cpu"),
        processes or Processes(),
        Progress(Console(quiet=True)),
    )
