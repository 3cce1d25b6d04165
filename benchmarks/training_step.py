"""Time and memory of one training step by part: encoder, TMD, SSP, losses.

Each row is a whole step, forward and backward, with one part more than the row before it; what the part costs is the
difference. Medians of interleaved rounds; memory on a CPU is the peak of a process that makes two such steps.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from model.checkpoint import new_model
from model.config import ModelConfig
from training.config import load_config
from training.network import TrainingNetwork

STEPS: dict[str, tuple[bool, bool, str]] = {
    "encoder": (False, False, "none"),
    "+ ID and triplet losses": (True, False, "none"),
    "+ TMD": (True, True, "none"),
    "+ TMD + SSP paper": (True, True, "paper"),
    "+ TMD + SSP released": (True, True, "released"),
}
"""Name of a step: with losses, with TMD, with which SSP."""


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="tiny", choices=["tiny", "vit_b16"])
    parser.add_argument("--identities", type=int, default=625, help="rows of the memory; MARS has 625")
    parser.add_argument("--tracklets", type=int, default=16, help="clips of a step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options, _ = parser.parse_known_args()
    device = torch.device(options.device)
    memory: dict[str, float] = {}
    if device.type == "cpu":  # first: a new process counts the peak of the one that started it
        memory = {name: _peak_of_a_process(options, parts) for name, parts in STEPS.items()}
    steps = {name: _step(options, device, *parts) for name, parts in STEPS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(options.rounds + 1):
        for name, step in steps.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
                memory[name] = torch.cuda.max_memory_allocated() / 2**20
            if turn:  # the first turn warms up
                times[name].append(time.perf_counter() - began)
    first = statistics.median(times["encoder"])
    table = Table("step", "ms, median", "over the first", "peak MiB", title=f"{options.preset}, {device}")
    for name, found in times.items():
        median = statistics.median(found)
        table.add_row(name, f"{1000 * median:.0f}", f"{median / first:.2f}", f"{memory[name]:.0f}")
    Console().print(table)


def _peak_of_a_process(options: argparse.Namespace, parts: tuple[bool, bool, str]) -> float:
    """MiB that a process of its own holds at most while it makes two steps."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_two_steps, options, parts).result()


def _two_steps(options: argparse.Namespace, parts: tuple[bool, bool, str]) -> float:
    step = _step(options, torch.device("cpu"), *parts)
    step()
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _step(
    options: argparse.Namespace, device: torch.device, losses: bool, temporal: bool, prompt: str
) -> Callable[[], None]:
    """One forward and backward pass of a network with these parts."""
    sizes = replace(ModelConfig.preset(options.preset), temporal_memory_diffusion=temporal)
    config = load_config("mars_vit_b16", (f"network.preset={options.preset}", f"prompt.variant={prompt}"))
    network = TrainingNetwork(new_model(sizes), options.identities, config).to(device).train()
    if prompt != "none":
        network.remember(torch.randn(options.identities, sizes.projection, device=device))
    shape = (options.tracklets, sizes.clip_length, 3, sizes.image_height, sizes.image_width)
    frames: Tensor = torch.randn(shape, device=device)
    labels = torch.arange(options.tracklets, device=device) // 4
    cameras = torch.zeros(options.tracklets, dtype=torch.int64, device=device)

    def step() -> None:
        network.zero_grad(set_to_none=True)
        if losses:
            torch.autograd.backward(network(frames, labels, cameras).total)
        else:
            torch.autograd.backward(network.model(frames, cameras).v.sum())

    return step


if __name__ == "__main__":
    main()
