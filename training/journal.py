"""The log of a run: JSON lines, TensorBoard, and curves at the end."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from training.run_folder import RunFolder, write_text


class Journal:
    """Writes what happens in a run.

    Args:
        folder: of the run.
        step: the step that the run continues from, None at its start. What an earlier attempt wrote about later steps
            is taken out, because those steps will be made again.
    """

    def __init__(self, folder: RunFolder, step: int | None) -> None:
        self._path = folder.log
        self._forget_after(step)
        self._board = SummaryWriter(str(folder.root / "tensorboard"), purge_step=None if step is None else step + 1)

    def write(self, event: str, step: int, **values: Any) -> None:
        """Add one line; its numbers go to TensorBoard too.

        Args:
            event: `memory`, `steps`, `epoch`, `validation`, `resumed` or `done`.
            step: optimiser steps so far.
            values: JSON values.
        """
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, "step": step, **values}
        with self._path.open("a") as handle:
            handle.write(json.dumps(line) + "\n")
        for name, value in values.items():
            if isinstance(value, float):
                self._board.add_scalar(f"{event}/{name}", value, step, walltime=time.time())

    def close(self) -> None:
        """Write what TensorBoard still holds."""
        self._board.close()

    def _forget_after(self, step: int | None) -> None:
        lines = read_log(self._path)
        kept = [line for line in lines if step is not None and line["step"] <= step]
        if len(kept) != len(lines) or step is None:
            write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Lines of a log; a last line that was cut off by a kill is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def plot_curves(log: Path, picture: Path) -> None:
    """Draw loss terms and, where identities were held out, mAP and rank-1 over epochs.

    Args:
        log: of the run.
        picture: PNG file to write.
    """
    from matplotlib.figure import Figure

    lines = read_log(log)
    epochs = [line for line in lines if line["event"] == "epoch"]
    validations = [line for line in lines if line["event"] == "validation"]
    figure = Figure(figsize=(9, 7), layout="constrained")
    losses, accuracy = figure.subplots(2, 1, sharex=True)
    for name in sorted({key for line in epochs for key in line if key.startswith("loss_")}):
        points = [(line["epoch"], line[name]) for line in epochs if line.get(name) is not None]
        losses.plot(*zip(*points, strict=True), label=name.removeprefix("loss_"))
    losses.set_ylabel("loss, mean over the epoch")
    losses.legend(ncols=3, fontsize="small")
    if epochs:
        accuracy.plot(
            [line["epoch"] for line in epochs], [line["accuracy"] for line in epochs], label="accuracy of C_u"
        )
    for name in ("mAP", "rank-1"):
        if validations:
            points = [(line["epoch"], line[name]) for line in validations]
            accuracy.plot(*zip(*points, strict=True), marker="o", label=f"{name}, held out")
    accuracy.set_xlabel("epoch")
    accuracy.set_ylim(0, 1)
    if epochs:
        accuracy.legend(fontsize="small")
    figure.savefig(picture, dpi=120)
