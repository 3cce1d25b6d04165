"""LS-VID: lists of tracklets by the beginning of their frames' paths."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from training.datasets.files import frame_names, read_lines
from training.datasets.matfiles import read_whole_numbers
from training.datasets.published import compare_with_published, expect_none
from training.datasets.tracklets import DataSet, DataSetError, Finding, LabelledTracklet

CAMERAS = tuple(f"c{number}" for number in range(1, 16))
PIECE = 48
"""Frames of the pieces that train tracklets are cut into."""

_JUNK = "-1"


@dataclass(frozen=True)
class ListedTracklet:
    """A line of a list: what the paths of the frames begin with, below the root, and the identity."""

    prefix: str
    identity: str


@dataclass(frozen=True)
class LsVidInfo:
    """The lists; `query` holds places in `test`, counted from 0."""

    train: list[ListedTracklet]
    test: list[ListedTracklet]
    query: list[int]


@dataclass
class _Problems:
    empty: list[str] = field(default_factory=list)
    two_cameras: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        return [
            expect_none("tracklets without a frame", self.empty),
            expect_none("tracklets of more than one camera", self.two_cameras),
            expect_none("identities without a tracklet", self.lost),
        ]


def read_ls_vid(root: Path) -> DataSet:
    """Read LS-VID; docs/datasets.md has its two layouts.

    Train tracklets are cut into pieces of 48 frames, the last with the remainder; one of fewer frames is one piece.
    The gallery holds the queries too.

    Raises:
        DataSetError: a list is missing or contradicts another, or no frame is there.
    """
    info = read_info(root)
    problems = _Problems()
    whole = _read_tracklets(root, info.train, problems)
    test = _read_tracklets(root, info.test, problems)
    if not whole and not test:
        first = (problems.empty or ["none: no tracklet is listed"])[0]
        raise DataSetError(f"{root} holds no frame of the listed tracklets, the first of them {first}")
    cameras = {one.camera for one in (*whole.values(), *test.values())}
    absent = [f"line {place + 1} of list_seq_test.txt" for place in info.query if place not in test]
    findings = compare_with_published("ls_vid", {**count(info), "cameras": len(cameras)}) + problems.findings()
    findings.append(expect_none("queries left out", absent))
    return DataSet(
        name="ls_vid",
        root=root,
        train=tuple(piece for tracklet in whole.values() for piece in _pieces(tracklet)),
        query=tuple(test[place] for place in info.query if place in test),
        gallery=tuple(test.values()),
        cameras=CAMERAS,
        findings=tuple(findings),
    )


def read_info(root: Path) -> LsVidInfo:
    """Read the lists, in the layout with a folder `info` or in the older one without.

    Raises:
        DataSetError: a list is missing, or a line or a query in it cannot be.
    """
    if (root / "info").is_dir():
        lists, queries = root / "info/list_sequence", root / "info/data/info_test.mat"
    else:
        lists, queries = root / "list_sequence", root / "test/data/info_test.mat"
    train, test = (_read_list(lists / f"list_seq_{half}.txt") for half in ("train", "test"))
    query = (read_whole_numbers(queries, "query").ravel() - 1).tolist()
    if any(not 0 <= place < len(test) for place in query):
        raise DataSetError(
            f"{queries} names lines {min(query) + 1} to {max(query) + 1}, expected 1 to {len(test)}, the lines of "
            "list_seq_test.txt"
        )
    return LsVidInfo(train, test, query)


def count(info: LsVidInfo) -> dict[str, int]:
    """Count what the lists hold, under the names of `PUBLISHED`; cameras are in the names of frames alone."""
    train = [one for one in info.train if one.identity != _JUNK]
    gallery = [place for place, one in enumerate(info.test) if one.identity != _JUNK]
    return {
        "train tracklets": len(train),
        "train identities": len({one.identity for one in train}),
        "query tracklets": len(info.query),
        "gallery tracklets": len(gallery),
        "gallery tracklets that are no query": len(set(gallery) - set(info.query)),
        "gallery identities": len({info.test[place].identity for place in gallery}),
    }


def _read_list(path: Path) -> list[ListedTracklet]:
    listed = []
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.rsplit(maxsplit=1)
        if len(fields) != 2 or not fields[1].removeprefix("-").isdecimal():
            raise DataSetError(
                f"line {number} of {path} is {line!r}, expected the beginning of a path, and an identity"
            )
        listed.append(ListedTracklet(*fields))
    return listed


def _read_tracklets(root: Path, listed: list[ListedTracklet], problems: _Problems) -> dict[int, LabelledTracklet]:
    """Return the tracklets by their place in the list, without junk."""
    listed_once = cache(frame_names)
    tracklets = {}
    for place, one in enumerate(listed):
        if one.identity == _JUNK:
            continue
        folder, _, start = one.prefix.rpartition("/")
        names = _beginning_with(start, listed_once(root / folder))
        if not names:
            problems.empty.append(one.prefix)
            continue
        cameras = {_camera_of(name, folder) for name in names}
        camera = _camera_of(names[0], folder)
        name = f"{one.identity}/{CAMERAS[camera]}/{names[0].rpartition('.')[0]}"
        if len(cameras) > 1:
            problems.two_cameras.append(name)
        frames = tuple(root / folder / name for name in names)
        tracklets[place] = LabelledTracklet(name, one.identity, camera, frames)
    found = {one.identity for one in tracklets.values()}
    problems.lost += dict.fromkeys(one.identity for one in listed if one.identity not in {*found, _JUNK})
    return tracklets


def _beginning_with(start: str, names: list[str]) -> list[str]:
    """Return those of the sorted names that begin with `start`, which stand together."""
    first = bisect_left(names, start)
    last = first
    while last < len(names) and names[last].startswith(start):
        last += 1
    return names[first:last]


def _camera_of(name: str, folder: str) -> int:
    """Return the camera, from 0: the third of the fields between underscores, which counts from 1."""
    fields = name.split("_")
    number = int(fields[2]) if len(fields) > 2 and fields[2].isdecimal() else 0
    if not 1 <= number <= len(CAMERAS):
        raise DataSetError(
            f"{folder}/{name} names no camera: expected fields between underscores, the third from 1 to {len(CAMERAS)}"
        )
    return number - 1


def _pieces(tracklet: LabelledTracklet) -> Iterator[LabelledTracklet]:
    """Cut a tracklet; each piece is named by its first frame, as the tracklet is."""
    frames = tracklet.frames
    pieces = max(1, len(frames) // PIECE)
    for piece in range(pieces):
        end = (piece + 1) * PIECE if piece + 1 < pieces else len(frames)
        part = frames[piece * PIECE : end]
        name = f"{tracklet.identity}/{CAMERAS[tracklet.camera]}/{part[0].stem}"
        yield LabelledTracklet(name, tracklet.identity, tracklet.camera, part)
