"""A cell of an experiment: one training in a folder of its own, continued where it stopped and never made twice."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.checkpoint import load_model
from model.tfclip import TFCLIP
from training.config import ConfigError, TrainingConfig
from training.datasets.tracklets import DataSet, label_map
from training.distributed import Processes
from training.experiments.people import fingerprint
from training.fit import Run
from training.journal import read_log
from training.progress import Progress
from training.run_folder import RunFolder, first_difference, write_text


class CellError(RuntimeError):
    """A cell cannot be trained; the message names the cell and the reason, and other cells stay as they are."""


@dataclass(frozen=True)
class Cell:
    """One training of an experiment.

    Attributes:
        name: of the row that it belongs to, and of a folder.
        seed: of every random number.
        config: of the run; its `seed` is this one.
    """

    name: str
    seed: int
    config: TrainingConfig

    def folder(self, out: Path) -> Path:
        """Where it is trained, below the folder of the experiment."""
        return out / self.name / f"seed-{self.seed}"


@dataclass(frozen=True)
class TrainedCell:
    """A cell that is trained.

    Attributes:
        cell: what was trained.
        folder: of its run.
        seconds: of training: optimiser steps with their loading, and building the memory.
    """

    cell: Cell
    folder: RunFolder
    seconds: float

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.folder.weights

    def load(self) -> TFCLIP:
        """The network, on the CPU, in evaluation mode."""
        return load_model(self.weights)


def make_cell(name: str, config: TrainingConfig, seed: int) -> Cell:
    """The cell of a row and a seed.

    A cell learns from everybody that it is given and keeps its last epoch: who is measured was taken out before
    (`read_people`), the same people for every seed, and nothing is chosen by them.
    """
    return Cell(name, seed, config.model_copy(update={"seed": seed, "held_out": 0.0, "keep": "last"}))


def is_trained(cell: Cell, out: Path) -> bool:
    """Whether the cell's training came to its end."""
    return any(line["event"] == "done" for line in read_log(cell.folder(out) / "log.jsonl"))


def train_cell(cell: Cell, data: DataSet, out: Path, device: torch.device, progress: Progress) -> TrainedCell:
    """Train a cell in `out/NAME/seed-S`; continue it when it was stopped, and only read it when it is done.

    Args:
        cell: what to train.
        data: its `train` is learned from.
        out: folder of the experiment.
        device: where to compute.
        progress: where to show what happens.

    Raises:
        ConfigError: another config, or other people, are in the cell's folder.
        CellError: the training failed; the message names the cell.
    """
    folder = RunFolder(cell.folder(out), resume=True)
    folder.keep_config(cell.config)
    labels = list(label_map(data.train))
    learned = {"identities": len(labels), "pictures": fingerprint(data.train)}
    keep_document(folder.root / "learned.json", learned, "other people to learn from")
    folder.keep_json("labels.json", labels)
    if not is_trained(cell, out):
        try:
            Run(cell.config, data, folder, device, Processes(), progress).fit()
        except ConfigError:
            raise
        except (ValueError, RuntimeError, OSError, MemoryError) as error:
            # Running out of memory is a RuntimeError of torch, a loss that is not finite one of ours.
            reason = str(error).rstrip(". ")
            raise CellError(
                f"cell {cell.name}, seed {cell.seed}: {reason}. Cells that are done stay in {out}."
            ) from error
    return TrainedCell(cell, folder, _seconds(folder))


def keep_document(path: Path, document: Any, what: str) -> None:
    """Write a JSON document, or check that it is the one that is there.

    Args:
        path: file; its folder must exist.
        document: JSON values.
        what: "another config", "other people": what differs when it does.

    Raises:
        ConfigError: it differs; the message names the first difference.
    """
    if not path.exists():
        write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    earlier = json.loads(path.read_text())
    if difference := first_difference(earlier, document, path.stem):
        raise ConfigError(f"{path.parent} was started with {what}: {difference}")


def measured(path: Path, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what was measured before under the same key, or measure it now and keep it.

    Args:
        path: JSON file, beside the weights that are measured.
        key: JSON values: everything that the result depends on.
        measure: returns JSON values.
    """
    key = dict(key)
    try:
        document = json.loads(path.read_text())
        if document["key"] == key:
            return dict(document["result"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        pass  # nothing was measured yet, or not by this version
    result = measure()
    write_text(path, json.dumps({"key": key, "result": result}, indent=2, ensure_ascii=False) + "\n")
    return result


def _seconds(folder: RunFolder) -> float:
    lines = read_log(folder.log)
    steps = max((line["seconds"] for line in lines if line["event"] == "epoch"), default=0.0)
    return float(steps + sum(line["seconds"] for line in lines if line["event"] == "memory"))
