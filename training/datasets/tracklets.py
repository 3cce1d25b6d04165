"""What every reader of a data set returns: labelled tracklets, and who asks whom."""

from dataclasses import dataclass
from pathlib import Path

from model.data.folder import natural_key


class DataSetError(ValueError):
    """A data set cannot be read; the message is one line, says what was found, what was expected and what to do."""


@dataclass(frozen=True)
class LabelledTracklet:
    """A tracklet of a public or a user's data set.

    Attributes:
        name: names the tracklet in its data set, "IDENTITY/CAMERA/TRACKLET".
        identity: the person, as the data set writes it.
        camera: row of the data set's `cameras`, from 0.
        frames: the images, in their order in time; at least one.
    """

    name: str
    identity: str
    camera: int
    frames: tuple[Path, ...]


@dataclass(frozen=True)
class Finding:
    """One line of what a reader checked: `ok` is false where the data set is not what it should be."""

    check: str
    expected: str
    found: str
    ok: bool


@dataclass(frozen=True)
class DataSet:
    """What a reader found.

    Attributes:
        name: `mars`, `ls_vid`, `ilids_vid` or `folder`.
        root: where it lies.
        train: the tracklets to learn from.
        query: the tracklets that ask.
        gallery: every tracklet that a query is ranked against: the queries too where the protocol has them there
            (method.md 5). The evaluation drops, for each query, the entries of its identity and camera.
        cameras: names of the cameras; a tracklet's `camera` is a row of it.
        findings: what was checked.
    """

    name: str
    root: Path
    train: tuple[LabelledTracklet, ...]
    query: tuple[LabelledTracklet, ...]
    gallery: tuple[LabelledTracklet, ...]
    cameras: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def label_map(tracklets: tuple[LabelledTracklet, ...]) -> dict[str, int]:
    """Number the identities 0..Y-1 in the natural order of their names: the same on every machine and in every run."""
    return {name: label for label, name in enumerate(sorted({one.identity for one in tracklets}, key=natural_key))}
