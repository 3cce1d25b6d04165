"""What a comparison found."""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

EXAMPLES = 20

Kind = Literal[
    "undescribed",
    "broken_descriptor",
    "foreign_descriptor",
    "frame_rows",
    "frame_missing",
    "frame_damaged",
    "unknown_file",
    "index_missing",
    "index_extra",
    "index_differs",
    "index_unloadable",
    "snapshot_damaged",
    "model_unavailable",
]

MENDABLE = {
    "undescribed": "It is described again from its frames; one without frames must be deleted and sent again.",
    "broken_descriptor": "It is described again from its frames; one without frames must be deleted and sent again.",
    "foreign_descriptor": "It is described again from its frames.",
    "unknown_file": "The file is removed, if its name is that of a frame and every frame row is right.",
    "index_missing": "Every service builds its index anew.",
    "index_extra": "Every service builds its index anew.",
    "index_differs": "Every service builds its index anew.",
    "index_unloadable": "It is built when its descriptors are mended.",
    "snapshot_damaged": "The snapshot is removed and written again.",
}
"""What repair does about each kind; what is not here is for a person."""

REMEDIES = {
    **MENDABLE,
    "frame_rows": "Delete the tracklet and store it again.",
    "frame_missing": "Put the file back from a backup, or delete the tracklet.",
    "frame_damaged": "Put the file back from a backup, or delete the tracklet.",
    "model_unavailable": "Put the weights at models/MODEL_ID.safetensors in the data directory.",
}


@dataclass
class Finding:
    """One kind of difference.

    Attributes:
        about: tracklets, or names of files.
    """

    kind: Kind
    about: list[str]

    @property
    def mendable(self) -> bool:
        """Whether repair does something about it."""
        return self.kind in MENDABLE

    def to_dict(self) -> dict[str, object]:
        """As a JSON document, with a few examples."""
        return {
            "kind": self.kind,
            "count": len(self.about),
            "examples": self.about[:EXAMPLES],
            "mendable": self.mendable,
            "remedy": REMEDIES[self.kind],
        }


def this_process() -> str:
    """Names this process among all that serve the same galleries: host, and number of the process."""
    return f"{socket.gethostname()}/{os.getpid()}"


@dataclass
class Report:
    """A comparison of one gallery.

    Attributes:
        process: whose index was compared; see `this_process`.
        change: the gallery's last change at the time of the comparison.
        checked: how much was looked at, by what.
    """

    process: str
    gallery: str
    generation: int
    model_id: str
    change: int
    checked: dict[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all agree."""
        return not self.findings

    def note(self, kind: Kind, about: Iterable[object]) -> None:
        """Add what was found, unless it is nothing."""
        found = [str(one) for one in about]
        if found:
            self.findings.append(Finding(kind, found))

    def found(self, *kinds: Kind) -> list[str]:
        """What findings of these kinds are about."""
        return [one for finding in self.findings if finding.kind in kinds for one in finding.about]
