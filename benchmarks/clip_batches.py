"""How many clips to compute together on a CPU: clips a second, a batch on each core, by the size of the batches."""

import argparse
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from rich.console import Console
from rich.table import Table

from model import ModelConfig, new_model
from service.embedding.backend import TorchBackend

SIZES = (1, 2, 4, 8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=("tiny", "vit_b16"), default="tiny")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    chosen = parser.parse_args(arguments)
    backend = TorchBackend(new_model(ModelConfig.preset(chosen.preset), seed=0), "cpu")
    rates: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(chosen.rounds):
        for size, found in rates.items():
            found.append(rate(backend, size, chosen.seconds))
    table = Table(
        "clips in a batch", "clips a second, median", "spread", title=f"{chosen.preset}, a batch on each core"
    )
    for size, found in rates.items():
        table.add_row(str(size), f"{statistics.median(found):.2f}", f"{min(found):.2f}-{max(found):.2f}")
    Console().print(table)


def rate(backend: TorchBackend, size: int, seconds: float) -> float:
    """Clips a second in batches of this size, as many at once as the backend likes."""
    clips = torch.randn(size, backend.clip_length, 3, backend.image.height, backend.image.width)
    began = time.perf_counter()

    def embed(_: int) -> int:
        done = 0
        while time.perf_counter() - began < seconds:
            backend.embed(clips, at_once=backend.parallel)
            done += size
        return done

    with ThreadPoolExecutor(backend.parallel) as threads:
        done = sum(threads.map(embed, range(backend.parallel)))
    return done / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
