"""Time and memory of one training step by part: encoder, TMD, SSP, losses.

Each row is a whole step, forward and backward, with one part more than the row before it; what the part costs is the
difference. Medians of interleaved rounds.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from model.checkpoint import new_model
from model.config import ModelConfig
from training.config import load_config
from training.network import TrainingNetwork

STEPS: dict[str, tuple[bool, str]] = {
    "encoder, ID and triplet": (False, "none"),
    "+ TMD": (True, "none"),
    "+ TMD + SSP paper": (True, "paper"),
    "+ TMD + SSP released": (True, "released"),
}


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
    steps = {name: _step(options, device, *parts) for name, parts in STEPS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    memory: dict[str, float] = {}
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
    first = statistics.median(times["encoder, ID and triplet"])
    table = Table("step", "ms, median", "over the first", "peak MiB (CUDA)", title=f"{options.preset}, {device}")
    for name, found in times.items():
        median = statistics.median(found)
        table.add_row(name, f"{1000 * median:.0f}", f"{median / first:.2f}", f"{memory.get(name, float('nan')):.0f}")
    console = Console()
    console.print(table)
    console.print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _step(options: argparse.Namespace, device: torch.device, temporal: bool, prompt: str) -> Callable[[], None]:
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
        torch.autograd.backward(network(frames, labels, cameras).total)

    return step


if __name__ == "__main__":
    main()
