"""What weights cost: parameters, file, descriptor, and memory and time of one clip on one core.

Times are medians of interleaved rounds. Memory is the peak of a process that loads the weights and describes one clip;
what PyTorch alone takes is the first row.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from model.checkpoint import load_model
from model.tfclip import TFCLIP

COLUMNS = ("weights", "parameters", "file, MB", "descriptor, bytes", "peak MiB", "ms a clip, median", "spread", "ratio")


def main() -> None:
    """Measure each file and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+", help="weights files; times are over the first one's")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    # Before anything is loaded: a new process counts the peak of the one that started it.
    alone, peaks = _peak_of_a_process(None), [_peak_of_a_process(path) for path in options.weights]
    torch.set_num_threads(1)
    networks = [load_model(path, device="cpu") for path in options.weights]
    times: list[list[float]] = [[] for _ in networks]
    for turn in range(options.rounds + 1):
        for network, found in zip(networks, times, strict=True):
            began = time.perf_counter()
            network.describe(_clip(network))
            if turn:  # the first turn warms up
                found.append(1000 * (time.perf_counter() - began))
    table = Table(*COLUMNS, title=f"{torch.__version__}, one thread, one clip")
    table.add_row("none: PyTorch alone", "", "", "", f"{alone:.0f}", "", "", "")
    first = statistics.median(times[0])
    for path, network, peak, found in zip(options.weights, networks, peaks, times, strict=True):
        table.add_row(
            path.name,
            f"{sum(tensor.numel() for tensor in network.state_dict().values()):,}",
            f"{path.stat().st_size / 1e6:.1f}",
            f"{4 * network.config.descriptor_dim:,}",
            f"{peak:.0f}",
            f"{statistics.median(found):.0f}",
            f"{min(found):.0f}-{max(found):.0f}",
            f"{statistics.median(found) / first:.2f}",
        )
    Console(width=140).print(table)


def _clip(network: TFCLIP) -> Tensor:
    """(1, T, 3, H, W): one clip of noise."""
    image = network.image
    return torch.randn(1, network.config.clip_length, 3, image.height, image.width)


def _peak_of_a_process(path: Path | None) -> float:
    """MiB that a process of its own holds at most."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_describe_once, path).result()


def _describe_once(path: Path | None) -> float:
    torch.set_num_threads(1)
    if path is not None:
        network = load_model(path, device="cpu")
        network.describe(_clip(network))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
