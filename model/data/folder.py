"""The folder data set: `IDENTITY/CAMERA/TRACKLET/FRAME.{jpg,png}`.

Frames follow one another in the natural order of their names, in which numbers count as numbers: `2.jpg` comes before
`10.jpg`, and `0002.jpg` before `0010.jpg` as in any order.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LAYOUT = "IDENTITY/CAMERA/TRACKLET/FRAME.{jpg,png}"
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")


class FolderError(ValueError):
    """The folder does not hold a data set in the layout; the message says what was found instead."""


@dataclass(frozen=True)
class FolderTracklet:
    """One tracklet of the folder: whose, from which camera, and the paths of its frames in their order in time."""

    identity: str
    camera: str
    name: str
    frames: tuple[Path, ...]

    @property
    def path(self) -> str:
        """The tracklet's place below the root, "IDENTITY/CAMERA/TRACKLET"; it names the tracklet in its data set."""
        return f"{self.identity}/{self.camera}/{self.name}"


@dataclass(frozen=True)
class FolderDataSet:
    """What a folder holds.

    Attributes:
        tracklets: in natural order of identity, camera and name.
        empty: "IDENTITY/CAMERA/TRACKLET" of folders without a frame.
        strays: everything else that is no part of the layout.
    """

    root: Path
    tracklets: tuple[FolderTracklet, ...]
    empty: tuple[str, ...]
    strays: tuple[Path, ...]


def read_folder(root: Path) -> FolderDataSet:
    """List the tracklets below `root`; no frame is opened.

    Raises:
        FolderError: `root` is no folder, or no tracklet lies below it.
    """
    if not root.is_dir():
        raise FolderError(f"{root} is not a folder" if root.exists() else f"{root} does not exist")
    strays: list[Path] = []
    tracklets: list[FolderTracklet] = []
    empty: list[str] = []
    for identity in _folders(root, strays):
        for camera in _folders(identity, strays):
            for folder in _folders(camera, strays):
                found = FolderTracklet(identity.name, camera.name, folder.name, _frames(folder, strays))
                if found.frames:
                    tracklets.append(found)
                else:
                    empty.append(found.path)
    if not tracklets:
        raise FolderError(f"{root} holds no tracklet: expected {LAYOUT}, {_what_is_there(root)}")
    return FolderDataSet(root, tuple(tracklets), tuple(empty), tuple(strays))


def natural_key(name: str) -> tuple[list[int | str], str]:
    """Return a sort key by which numbers inside names count as numbers; equal numbers fall back to the plain name."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def _sorted_entries(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir(), key=lambda entry: natural_key(entry.name)))


def _folders(parent: Path, strays: list[Path]) -> Iterator[Path]:
    for entry in _sorted_entries(parent):
        if entry.is_dir():
            yield entry
        else:
            strays.append(entry)


def _frames(folder: Path, strays: list[Path]) -> tuple[Path, ...]:
    frames = []
    for entry in _sorted_entries(folder):
        if entry.suffix.lower() in FRAME_SUFFIXES and entry.is_file():
            frames.append(entry)
        else:
            strays.append(entry)
    return tuple(frames)


def _what_is_there(root: Path) -> str:
    images = (entry for entry in root.rglob("*") if entry.suffix.lower() in FRAME_SUFFIXES)
    first = next(images, None)
    return "found no image at all" if first is None else f"found {first.relative_to(root)}"
