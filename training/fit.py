"""The training loop: `fit` turns a config and a data set into a run folder with weights."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.checkpoint import save_model
from model.identity import model_id
from model.tfclip import TFCLIP
from training.config import TrainingConfig
from training.datasets.tracklets import DataSet, label_map
from training.distributed import Processes, from_first, wait_for_all
from training.evaluation import evaluate_model
from training.journal import Journal, plot_curves
from training.loading import ClipBatch, Draw, TrackletClips, make_loader, normalise
from training.losses import LossTerms
from training.memory import save_memory
from training.network import TrainingNetwork
from training.optim import learning_rate_factor, parameter_groups
from training.progress import Progress
from training.remembering import make_memory, memory_is_due
from training.run_folder import RunFolder
from training.sampling import IdentitySampler, part_of
from training.start import hold_out, source_state, starting_model

LOG_EVERY = 20
"""Optimiser steps between two lines of the log."""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


@dataclass
class Position:
    """How far a run is: `batch` optimiser steps of the epoch `epoch` (from 1) are done, `step` in all."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    seconds: float = 0.0


class Run:
    """One run, in one process of possibly several.

    Args:
        config: of the run.
        data: what to learn from; its `train` is used and nothing else.
        folder: of the run.
        device: where to compute.
        processes: this process and the others.
        progress: where to show what happens.

    Raises:
        ValueError: config and data do not fit together.
        WeightsError: the first weights cannot be had.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: DataSet,
        folder: RunFolder,
        device: torch.device,
        processes: Processes,
        progress: Progress,
    ) -> None:
        self.config, self.data, self.folder = config, data, folder
        self.device, self.processes, self.progress = device, processes, progress
        self.learned, self.held_out = hold_out(data.train, config.held_out, config.seed)
        self.labels = label_map(self.learned)
        batches = config.batches
        parts = processes.world * batches.accumulate
        if batches.identities % parts or batches.identities // parts < 2:
            raise ValueError(
                f"batches.identities is {batches.identities}, expected a multiple of {parts} (processes times "
                "batches.accumulate) that leaves two identities or more to each"
            )
        torch.manual_seed(config.seed)
        model, self.source = starting_model(config.network, len(data.cameras), config.seed)
        self.network = TrainingNetwork(model, len(self.labels), config).to(device)
        self.optimiser = _optimiser(self.network, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.clips = TrackletClips(
            self.learned,
            self.labels,
            model.image,
            model.config.clip_length,
            config.augmentation,
            seed=config.seed,
            cache=batches.cache_frames,
        )
        self.sampler = IdentitySampler(
            self.clips.labels, identities=batches.identities, tracklets=batches.tracklets, seed=config.seed
        )
        self.position = Position()
        self.best: float | None = None
        self._totals = _Totals()
        self._saved = time.monotonic()

    @property
    def model(self) -> TFCLIP:
        """The network that is being learned."""
        return self.network.model

    def fit(self, after_epoch: Callable[[int], None] | None = None) -> None:
        """Train to the end, from the start or from where an earlier attempt was stopped.

        Args:
            after_epoch: called with the number of each epoch that is done and saved.

        Raises:
            TrainingError: a loss was not finite.
            ConfigError: the state of an earlier attempt cannot be used.
        """
        done = self.position.step if self._resume() else None
        journal = Journal(self.folder, done) if self.processes.first else None
        trained = self._parallel()
        try:
            if memory_is_due(self.config, 0) and not bool(self.network.remembers):
                self._remember(journal)
                self._save()
            epochs = self.config.schedule.epochs
            for epoch in range(self.position.epoch, epochs + 1):
                self._epoch(epoch, trained, journal)
                last = epoch == epochs
                if self.held_out and (last or epoch % self.config.validate_every == 0):
                    self._validate(epoch, journal)
                if memory_is_due(self.config, epoch) and not last:
                    self._remember(journal)
                self.position.epoch, self.position.batch = epoch + 1, 0
                self._save()
                if after_epoch is not None:
                    after_epoch(epoch)
            self._finish(journal)
        finally:
            if journal is not None:
                journal.close()

    def _parallel(self) -> nn.Module:
        if self.processes.world == 1:
            return self.network
        devices = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(self.network, device_ids=devices, broadcast_buffers=False)

    def _epoch(self, epoch: int, trained: nn.Module, journal: Journal | None) -> None:
        """Make the optimiser steps of one epoch that are not done yet."""
        self.network.train()
        factor = learning_rate_factor(epoch, self.config.schedule)
        for group in self.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor
        batches = self.sampler.batches(epoch)
        if not batches:
            raise TrainingError("an epoch has no batch: the data set has too few identities for batches.identities")
        loaded = self._load(epoch, batches)
        self.progress.start_epoch(epoch, self.config.schedule.epochs, len(batches), self.position.batch)
        for batch in range(self.position.batch, len(batches)):
            began = time.monotonic()
            # Dropout draws from what names the step, so that a resumed run draws what an uninterrupted one draws.
            torch.manual_seed(hash((self.config.seed, self.position.step, self.processes.rank)) & 0x7FFFFFFF)
            terms = self._step(trained, loaded, epoch)
            self.position.batch, self.position.step = batch + 1, self.position.step + 1
            self.position.seconds += time.monotonic() - began
            self._totals.add(terms)
            frames = len(batches[batch]) * self.clips.clip_length
            self.progress.step(frames, terms["loss_total"])
            if journal is not None and self.position.step % LOG_EVERY == 0:
                rate = frames / (time.monotonic() - began)
                journal.write("steps", self.position.step, epoch=epoch, frames_per_second=rate, **terms)
            if time.monotonic() - self._saved > 60 * self.config.save_minutes and batch + 1 < len(batches):
                self._save()
        if journal is not None:
            learning_rate = self.config.optimiser.base_rate * factor
            means = self._totals.means()
            seconds = round(self.position.seconds, 2)
            journal.write(
                "epoch", self.position.step, epoch=epoch, learning_rate=learning_rate, seconds=seconds, **means
            )
            self.progress.end_epoch(epoch, means)
        self._totals = _Totals()

    def _load(self, epoch: int, batches: list[list[int]]) -> Iterator[ClipBatch]:
        """This process's parts of the epoch's batches that are not done yet, `accumulate` for each step."""
        accumulate, world = self.config.batches.accumulate, self.processes.world
        shares = []
        for number in range(self.position.batch, len(batches)):
            draws = [Draw(row, epoch, number * len(batches[0]) + place) for place, row in enumerate(batches[number])]
            for part in range(accumulate):
                shares.append(part_of(draws, part * world + self.processes.rank, accumulate * world))
        workers, pinned = self.config.batches.workers, self.device.type == "cuda"
        return make_loader(self.clips, shares, workers=workers, pin_memory=pinned)

    def _step(self, trained: nn.Module, loaded: Iterator[ClipBatch], epoch: int) -> dict[str, float]:
        """Make one optimiser step and return its losses, means over the accumulated parts."""
        accumulate = self.config.batches.accumulate
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for part in range(accumulate):
            batch = next(loaded)
            last = part == accumulate - 1
            later = trained.no_sync() if isinstance(trained, DistributedDataParallel) and not last else nullcontext()
            with later:
                terms = self._losses(trained, batch)
                numbers = _numbers(terms)
                if not math.isfinite(numbers["loss_total"]):
                    raise TrainingError(self._explain_not_finite(epoch, numbers))
                loss: Tensor = self.scaler.scale(terms.total / accumulate)
                torch.autograd.backward(loss)
            for name, value in numbers.items():
                sums[name] = sums.get(name, 0.0) + value / accumulate
        if self.config.clip_gradient is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_gradient)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.network.move_memory()
        return sums

    def _losses(self, trained: nn.Module, batch: ClipBatch) -> LossTerms:
        frames = batch.frames.to(self.device, non_blocking=True)
        labels = batch.labels.to(self.device, non_blocking=True)
        cameras = batch.cameras.to(self.device, non_blocking=True)
        with _autocast(self.device, self.config.precision):
            terms: LossTerms = trained(normalise(frames, self.model.image), labels, cameras)
        return terms

    def _explain_not_finite(self, epoch: int, terms: dict[str, float]) -> str:
        parts = ", ".join(f"{name.removeprefix('loss_')} {value:.4g}" for name, value in terms.items())
        remedy = "lower optimiser.base_rate or set clip_gradient"
        if self.config.precision == "fp16":
            remedy += ", or set precision=bf16"
        return (
            f"the loss is not finite in epoch {epoch}, step {self.position.step + 1} ({parts}): {remedy}. "
            f"The state before is kept in {self.folder.root}."
        )

    def _remember(self, journal: Journal | None) -> None:
        """Build the CLIP-Memory from the encoder as it is; the first process does it for all."""
        memory = torch.zeros_like(self.network.memory)
        if self.processes.first:
            began = time.monotonic()
            memory = make_memory(self.model, self.learned, self.labels, self.config, self.device, self.progress)
            save_memory(self.folder.memory, memory, list(self.labels), model_id(self.model))
            if journal is not None:
                seconds = round(time.monotonic() - began, 2)
                length = float(memory.norm(dim=1).mean())
                journal.write(
                    "memory", self.position.step, kind=self.config.memory.kind, seconds=seconds, mean_length=length
                )
                self.progress.note(
                    f"CLIP-Memory of {len(memory)} identities from the encoder after {self.position.step} steps, "
                    f"{seconds:.0f} s"
                )
        self.network.remember(from_first(memory.to(self.device)))

    def _validate(self, epoch: int, journal: Journal | None) -> None:
        """Evaluate on the identities held out from training, and keep the weights if they are the best so far."""
        if self.processes.first and journal is not None:
            data = dataclasses.replace(self.data, train=(), query=self.held_out, gallery=self.held_out)
            metrics = evaluate_model(
                self.model.eval(), data, clips="rrs", device=self.device, progress=self.progress.bar("held out")
            ).to_dict()
            journal.write("validation", self.position.step, epoch=epoch, **metrics)
            self.progress.note(f"epoch {epoch}, held out: mAP {metrics['mAP']:.3f}, rank-1 {metrics['rank-1']:.3f}")
            score = metrics["mAP"] + metrics["rank-1"]
            if self.best is None or score > self.best:
                self.best = score
                self._export(self.folder.best, epoch, metrics)
        wait_for_all()

    def _finish(self, journal: Journal | None) -> None:
        """Write the result."""
        if self.processes.first and journal is not None:
            if self.config.keep == "best":
                self.folder.take_best()
            else:
                self._export(self.folder.weights, self.config.schedule.epochs, None)
            journal.write("done", self.position.step)
            plot_curves(self.folder.log, self.folder.root / "curves.png")
        wait_for_all()

    def _export(self, path: Any, epoch: int, metrics: dict[str, Any] | None) -> None:
        provenance = {
            "trained": True,
            "source": {"start": self.source, "data_set": self.data.name, "identities": len(self.labels)},
            "config": self.config.to_dict(),
            "epoch": epoch,
            "training_commit": source_state(),
        }
        if self.config.name is not None:
            provenance["name"] = self.config.name
        if self.config.demo:
            provenance["demo"] = True
        if metrics is not None:
            provenance["held_out"] = metrics
        save_model(self.model, path, provenance)

    def _save(self) -> None:
        if self.processes.first:
            self.folder.save_state(
                {
                    "position": dataclasses.asdict(self.position),
                    "network": self.network.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "scaler": self.scaler.state_dict(),
                    "labels": list(self.labels),
                    "totals": self._totals.state(),
                    "best": self.best,
                }
            )
        self._saved = time.monotonic()
        wait_for_all()

    def _resume(self) -> bool:
        """Take up the state of an earlier attempt; False when there is none."""
        state = self.folder.load_state()
        if state is None:
            return False
        if state["labels"] != list(self.labels):
            raise TrainingError(f"{self.folder.root} was trained on other identities than the data set has now")
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.position = Position(**state["position"])
        self._totals = _Totals(**state["totals"])
        self.best = state["best"]
        self.progress.note(f"resumed at epoch {self.position.epoch}, {self.position.step} steps done")
        return True


class _Totals:
    """Sums of an epoch's losses; part of the state, so that a resumed epoch has the same means."""

    def __init__(self, sums: dict[str, float] | None = None, count: int = 0) -> None:
        self._sums, self._count = dict(sums or {}), count

    def add(self, terms: dict[str, float]) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def means(self) -> dict[str, float]:
        return {name: value / self._count for name, value in self._sums.items()}

    def state(self) -> dict[str, Any]:
        return {"sums": self._sums, "count": self._count}


def _numbers(terms: LossTerms) -> dict[str, float]:
    """Losses that there are, as numbers, by the names of the log."""
    values = {field.name: getattr(terms, field.name) for field in dataclasses.fields(terms)}
    found = {name: float(value.detach()) for name, value in values.items() if value is not None}
    return {name if name == "accuracy" else f"loss_{name}": value for name, value in found.items()}


def _optimiser(network: TrainingNetwork, config: TrainingConfig) -> torch.optim.Optimizer:
    groups = parameter_groups(network.model, network.heads, network.prompt, config.optimiser)
    for group in groups:
        group["initial_lr"] = group["lr"]
    return torch.optim.Adam(groups) if config.optimiser.name == "adam" else torch.optim.AdamW(groups)


def _autocast(device: torch.device, precision: str) -> Any:
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)
