"""What a data set holds, as a table for people and as a document for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from training.datasets.tracklets import DataSet, Finding, LabelledTracklet


@dataclass(frozen=True)
class Summary:
    """Counts over some tracklets; `shortest`, `mean` and `longest` are frames of a tracklet, 0 where there is none."""

    identities: int
    tracklets: int
    frames: int
    cameras: int
    shortest: int
    mean: float
    longest: int


def summarise(tracklets: Sequence[LabelledTracklet]) -> Summary:
    """Count identities, tracklets, frames and cameras."""
    lengths = [len(one.frames) for one in tracklets]
    return Summary(
        identities=len({one.identity for one in tracklets}),
        tracklets=len(tracklets),
        frames=sum(lengths),
        cameras=len({one.camera for one in tracklets}),
        shortest=min(lengths, default=0),
        mean=sum(lengths) / len(lengths) if lengths else 0.0,
        longest=max(lengths, default=0),
    )


def data_table(data: DataSet, findings: Sequence[Finding]) -> Table:
    """Lay out a data set's parts, and below them the findings."""
    table = Table("check", "expected", "found", "", title=escape(f"{data.name} in {data.root}"), title_justify="left")
    for name, summary in _parts(data).items():
        table.add_row(name, "", _in_words(summary))
    table.add_section()
    for one in findings:
        table.add_row(one.check, one.expected, escape(one.found), "ok" if one.ok else "[bold red]differs[/]")
    return table


def data_document(data: DataSet, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the same for `--json`."""
    return {
        "dataset": data.name,
        "root": str(data.root),
        "cameras": list(data.cameras),
        "parts": {name: asdict(summary) for name, summary in _parts(data).items()},
        "findings": [asdict(one) for one in findings],
        "ok": all(one.ok for one in findings),
    }


def _parts(data: DataSet) -> dict[str, Summary]:
    return {name: summarise(getattr(data, name)) for name in ("train", "query", "gallery")}


def _in_words(summary: Summary) -> str:
    return (
        f"{summary.identities:,} identities, {summary.tracklets:,} tracklets, {summary.frames:,} frames, "
        f"{summary.cameras} cameras; {summary.shortest:,} / {summary.mean:.1f} / {summary.longest:,} frames a tracklet"
    )
