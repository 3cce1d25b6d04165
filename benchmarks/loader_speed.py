"""Frames per second of the training loader by worker processes, on people drawn to disk."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from model.data.scene import write_scene
from model.preprocess import ImageSpecification
from training.augment import Augmentation
from training.datasets.registry import read_data_set
from training.datasets.tracklets import label_map
from training.loading import Draw, TrackletClips, make_loader
from training.sampling import IdentitySampler


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_scene(root, people=16, cameras=2, tracklets=2, frames=8, height=options.height)
        data = read_data_set("folder", root)
        image = ImageSpecification(height=options.height, width=options.height // 2)
        clips = TrackletClips(data.train, label_map(data.train), image, 8, Augmentation(), seed=0)
        sampler = IdentitySampler(clips.labels, identities=4, tracklets=4, seed=0)
        rates: dict[int, list[float]] = {workers: [] for workers in options.workers}
        for turn in range(options.rounds):
            for workers in options.workers:
                batches = [
                    [Draw(row, epoch, number * 16 + place) for place, row in enumerate(batch)]
                    for epoch in range(1, 6)
                    for number, batch in enumerate(sampler.batches(epoch + 10 * turn))
                ]
                loader = make_loader(clips, batches, workers=workers, pin_memory=False)
                next(loader)  # starting the workers does not count
                began = time.perf_counter()
                frames = sum(len(batch.labels) * 8 for batch in loader)
                rates[workers].append(frames / (time.perf_counter() - began))
    size = f"{options.height}x{options.height // 2}"
    table = Table("workers", "frames/s, median", "spread", title=f"training clips of {size}, JPEG")
    for workers, found in rates.items():
        table.add_row(str(workers), f"{statistics.median(found):.0f}", f"{min(found):.0f}-{max(found):.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
