"""Rows times seeds: train every cell that is not trained yet, and measure it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.checkpoint import describe_weights
from model.tfclip import TFCLIP
from training.config import ConfigError, TrainingConfig
from training.datasets.tracklets import label_map
from training.evaluation import evaluate_model
from training.experiments.cells import TrainedCell, is_trained, make_cell, measured, train_cell
from training.experiments.flops import multiply_adds_per_frame
from training.experiments.people import People
from training.experiments.rows import Row
from training.network import TrainingNetwork
from training.progress import Progress, duration


@dataclass(frozen=True)
class Sizes:
    """What a network costs.

    Attributes:
        trained: parameters in training: the network, necks, classifiers and SSP.
        at_test: parameters of the weights file.
        flops: multiply-adds of a frame at test.
    """

    trained: int
    at_test: int
    flops: int


@dataclass(frozen=True)
class RowResult:
    """A row with what was measured.

    Attributes:
        row: which.
        sizes: of its network.
        metrics: of each seed, under the names of `RetrievalMetrics.to_dict`.
        seconds: of training, of each seed.
    """

    row: Row
    sizes: Sizes
    metrics: tuple[dict[str, Any], ...]
    seconds: tuple[float, ...]

    def values(self, name: str) -> list[float]:
        """A metric, one value for each seed."""
        return [float(one[name]) for one in self.metrics]


def run_grid(
    rows: Sequence[Row],
    config_of: Callable[[Row], TrainingConfig],
    seeds: int,
    people: People,
    out: Path,
    device: torch.device,
    progress: Progress,
) -> tuple[RowResult, ...]:
    """Train and measure rows times seeds; what an earlier call did is taken as it is.

    The first seed of every row comes first, so that a stopped experiment has whole tables of fewer seeds.

    Args:
        rows: of the experiment.
        config_of: the config of a row; its seed is the first one.
        seeds: how many.
        people: who is learned and measured.
        out: folder of the experiment.
        device: where to compute.
        progress: where to show what happens.

    Raises:
        ConfigError: a row's config cannot be used; nothing was trained.
        CellError: a training failed.
        DataSetError: a frame cannot be read.
    """
    configs = {row.name: config_of(row) for row in rows}
    identities, cameras = len(label_map(people.data.train)), len(people.data.cameras)
    # Before any training, so that a row that cannot be made is found now and not after hours.
    sizes = {name: network_sizes(empty_network(one, identities, cameras)) for name, one in configs.items()}
    cells = [
        make_cell(row.name, configs[row.name], configs[row.name].seed + number)
        for number in range(seeds)
        for row in rows
    ]
    waiting = sum(not is_trained(cell, out) for cell in cells)
    progress.note(
        f"{len(rows)} rows, {seeds} {'seed' if seeds == 1 else 'seeds'}: {len(cells)} cells, "
        f"{len(cells) - waiting} of them trained before"
    )
    found: dict[str, list[tuple[dict[str, Any], float]]] = {row.name: [] for row in rows}
    spent, made = 0.0, 0
    for number, cell in enumerate(cells, start=1):
        new, began = not is_trained(cell, out), time.monotonic()
        trained = train_cell(cell, people.data, out, device, progress)
        metrics = measure_cell(trained, people, device, progress)
        found[cell.name].append((metrics, trained.seconds))
        said = f"{cell.name}, seed {cell.seed}: mAP {metrics['mAP']:.3f}, rank-1 {metrics['rank-1']:.3f}"
        said += f"; {number} of {len(cells)} cells"
        if new:
            spent, made = spent + time.monotonic() - began, made + 1
        if made and waiting > made:
            said += f", about {duration(spent / made * (waiting - made))} left"
        progress.note(said)
    return tuple(
        RowResult(
            row,
            sizes[row.name],
            tuple(metrics for metrics, _ in found[row.name]),
            tuple(seconds for _, seconds in found[row.name]),
        )
        for row in rows
    )


def measure_cell(trained: TrainedCell, people: People, device: torch.device, progress: Progress) -> dict[str, Any]:
    """Rank the measured people by a cell's weights, dense clips; kept beside the weights.

    A network with a camera table is given the cameras where they are those that it learned.

    Returns:
        What `RetrievalMetrics.to_dict` returns.
    """
    key = {
        "model": describe_weights(trained.weights).model_id,
        "measured": people.fingerprint,
        "cameras": people.cameras_known,
        "clips": "dense",
    }

    def measure() -> dict[str, Any]:
        return evaluate_model(
            trained.load(),
            people.data,
            device=device,
            progress=progress.bar("clips described"),
            use_cameras=people.cameras_known,
        ).to_dict()

    return measured(trained.folder.root / "measured.json", key, measure)


def network_sizes(network: TrainingNetwork) -> Sizes:
    """What a network costs; nothing is computed with it."""
    return Sizes(
        trained=sum(one.numel() for one in network.parameters()),
        at_test=sum(one.numel() for one in network.model.parameters()),
        flops=multiply_adds_per_frame(network.model),
    )


def empty_network(config: TrainingConfig, identities: int, cameras: int) -> TrainingNetwork:
    """The network of a run, whose tensors have shapes and no memory.

    Args:
        config: of the run.
        identities: that it learns.
        cameras: of its data set.

    Raises:
        ConfigError: the network cannot be made.
    """
    try:
        with torch.device("meta"):
            model = TFCLIP(config.network.architecture(cameras))
            return TrainingNetwork(model, identities, config.model_copy(update={"compile": False}))
    except ValueError as error:
        raise ConfigError(str(error)) from error
