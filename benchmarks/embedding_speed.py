"""Milliseconds to describe one tracklet of 8 frames on one CPU core, with the demo weights or others.

Processor time leaves out what other processes on the same core take. Run it alone:
`python -m benchmarks.embedding_speed`.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from model.clips import dense_clips
from model.data.synthetic import draw_tracklet
from model.default_weights import open_model
from model.preprocess import to_tensor

FRAMES = 8


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=None, help="a weights file in place of the demo weights")
    parser.add_argument("--rounds", type=int, default=30)
    options, _ = parser.parse_known_args()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measure(options.weights, options.rounds)
    finally:
        torch.set_num_threads(threads)


def measure(weights: Path | None, rounds: int) -> None:
    """Time both steps in turns, on one thread, and print medians."""
    network, provenance = open_model(weights)
    files = jpeg_files()
    length = network.config.clip_length

    def prepare() -> Tensor:
        return to_tensor([Image.open(BytesIO(content)) for content in files], network.image)

    clips = prepare()[torch.tensor(dense_clips(FRAMES, length))]
    steps: dict[str, Callable[[], object]] = {
        "decode and resize": prepare,
        "embed": lambda: network.describe(clips),
    }
    passed: dict[str, list[float]] = {step: [] for step in steps}
    used: dict[str, list[float]] = {step: [] for step in steps}
    for turn in range(rounds + 2):
        for step, work in steps.items():
            began, used_before = time.perf_counter(), time.process_time()
            work()
            if turn >= 2:  # the first ones are slower
                passed[step].append(1000 * (time.perf_counter() - began))
                used[step].append(1000 * (time.process_time() - used_before))
    console = Console(width=100)
    console.print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}; "
        f"{FRAMES} JPEG frames of 128x256, one thread"
    )
    numbers = sum(parameter.numel() for parameter in network.parameters())
    size = f"frames of {network.image.height}x{network.image.width}, clips of {length}"
    console.print(f"{provenance['name']}: {numbers:,} parameters, {size}")
    table = Table("step", "ms, median", "spread", "processor ms, median", title="One tracklet on one core")
    for step in steps:
        row = (step, _median(passed[step]), f"{min(passed[step]):.1f}-{max(passed[step]):.1f}", _median(used[step]))
        table.add_row(*row)
    console.print(table)


def _median(times: list[float]) -> str:
    return f"{statistics.median(times):.1f}"


def jpeg_files() -> list[bytes]:
    """The frames as a camera's tracker would send them."""
    files = []
    for image in draw_tracklet(identity_seed=1, camera_seed=1, frames=FRAMES):
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


if __name__ == "__main__":
    main()
