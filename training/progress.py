"""What a run shows on standard error: one line for each epoch on a terminal or in a file, a bar while it lasts."""

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Shows a run's progress, with rate and time left.

    Args:
        console: where to; nothing is shown when it is quiet.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._epoch: TaskID | None = None
        self._frames = 0
        self._began = time.monotonic()
        self._epochs = 0

    def __enter__(self) -> "Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self._console.print(text, highlight=False, markup=False)

    def bar(self, description: str) -> Callable[[int, int], None]:
        """Start a bar; call what comes back with the number done and the total."""
        task = self._bar.add_task(description, total=None, said="")

        def update(done: int, total: int) -> None:
            self._bar.update(task, completed=done, total=total, visible=done < total)

        return update

    def start_epoch(self, epoch: int, epochs: int, batches: int, done: int) -> None:
        """Begin the bar of an epoch of so many batches, `done` of which were made before."""
        if self._epoch is not None:
            self._bar.remove_task(self._epoch)
        self._epochs, self._frames, self._began = epochs, 0, time.monotonic()
        self._epoch = self._bar.add_task(f"epoch {epoch}/{epochs}", total=batches, completed=done, said="")

    def step(self, frames: int, loss: float) -> None:
        """Count one optimiser step."""
        self._frames += frames
        assert self._epoch is not None
        self._bar.update(self._epoch, advance=1, said=f"loss {loss:.3f}, {self._rate():.0f} frames/s")

    def end_epoch(self, epoch: int, means: dict[str, float]) -> None:
        """Show the epoch's line."""
        took = time.monotonic() - self._began
        left = took * (self._epochs - epoch)
        self.note(
            f"epoch {epoch}/{self._epochs}: loss {means['loss_total']:.3f}, accuracy {means['accuracy']:.3f}, "
            f"{self._rate():.0f} frames/s, {took:.0f} s, about {duration(left)} left"
        )

    def _rate(self) -> float:
        return self._frames / max(1e-9, time.monotonic() - self._began)


def duration(seconds: float) -> str:
    """A time in words: seconds, minutes or hours."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
