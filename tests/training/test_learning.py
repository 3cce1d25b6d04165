"""Learning really happens: on drawn people, measured on other drawn people."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console

from model.data.scene import write_scene
from model.metrics import evaluate_retrieval
from training.config import load_config
from training.datasets.registry import read_data_set
from training.datasets.tracklets import DataSet, label_map
from training.distributed import Processes
from training.evaluation import evaluate_model
from training.fit import Run
from training.progress import Progress
from training.run_folder import RunFolder

CHANGES = (
    "network.overrides={image_height: 64, image_width: 32, width: 96, layers: 3, projection: 48, clip_length: 2, "
    "detach_temporal_input: false}",
    "batches.workers=0",
    "batches.cache_frames=true",
    "augmentation.crop_padding=3",
    "augmentation.erase=0.25",
    "held_out=0",
    "memory.first_epoch=8",
    "memory.every=8",
    "schedule.epochs=24",
    "schedule.warmup_epochs=2",
)


def scene(root: Path, people: int, seed: int) -> DataSet:
    write_scene(root, people=people, cameras=3, tracklets=2, frames=4, height=64, difficulty=0.3, seed=seed)
    return read_data_set("folder", root)


def raw_pixels(data: DataSet) -> float:
    """mAP of 32x16 pixels, mean over frames."""
    rows = []
    for tracklet in data.gallery:
        frames = [np.asarray(Image.open(path).convert("RGB").resize((16, 32))) for path in tracklet.frames]
        rows.append(np.mean(frames, axis=0).ravel())
    labels = label_map(data.gallery)
    people = torch.tensor([labels[one.identity] for one in data.gallery])
    cameras = torch.tensor([one.camera for one in data.gallery])
    pixels = torch.from_numpy(np.stack(rows)).float()
    return evaluate_retrieval(pixels, pixels, people, people, cameras, cameras).mAP


def test_people_never_seen_are_found_better_after_training_and_better_than_by_their_pixels(tmp_path: Path) -> None:
    seen, unseen = scene(tmp_path / "seen", 150, seed=1), scene(tmp_path / "unseen", 20, seed=2)
    config = load_config("folder_tiny", CHANGES)
    run = Run(
        config,
        seen,
        RunFolder(tmp_path / "run", resume=False),
        torch.device("cpu"),
        Processes(),
        Progress(Console(quiet=True)),
    )
    before = evaluate_model(run.model.eval(), unseen).mAP
    run.fit()
    after = evaluate_model(run.model.eval(), unseen).mAP
    pixels = raw_pixels(unseen)
    assert after > before + 0.2, (before, after, pixels)
    assert after > pixels + 0.1, (before, after, pixels)
