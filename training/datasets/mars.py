"""MARS: frames named by person, camera, tracklet and number, and lists that say which of them belong together."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.files import folder_names, frame_names, read_lines
from training.datasets.matfiles import read_whole_numbers
from training.datasets.published import compare_with_published, expect_none
from training.datasets.tracklets import DataSet, DataSetError, Finding, LabelledTracklet

CAMERAS = ("c1", "c2", "c3", "c4", "c5", "c6")
JUNK = -1
"""Identity of tracklets that are dropped. Distractors, identity 0, stay in the gallery and match no query."""


@dataclass(frozen=True)
class MarsPart:
    """The lists of the train or of the test half.

    Attributes:
        folder: "bbox_train" or "bbox_test".
        names: file names of all frames.
        rows: (N, 4) int64, a tracklet each: first and last line of `names`, counted from 1 and both included;
            identity; camera from 1.
    """

    folder: str
    names: list[str]
    rows: NDArray[np.int64]

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(N,): the rows that are not junk."""
        kept: NDArray[np.bool_] = self.rows[:, 2] != JUNK
        return kept


@dataclass(frozen=True)
class MarsInfo:
    """The folder `info`; `query` holds rows of `test`, counted from 0."""

    train: MarsPart
    test: MarsPart
    query: list[int]


@dataclass
class _Problems:
    beyond: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        return [
            expect_none("tracklets past the end of their list", self.beyond),
            expect_none("frames missing", self.missing),
            expect_none("tracklets without a frame", self.empty),
            expect_none("identities without a tracklet", self.unlisted),
        ]


def read_mars(root: Path) -> DataSet:
    """Read MARS; docs/datasets.md has the layout.

    Identities are those of the folders ("0001"; distractors are "0000"), the gallery holds the queries too. Tracklets
    that the lists cannot resolve and frames that are not on disk are left out and found.

    Raises:
        DataSetError: a list is missing or contradicts another, or no frame is there.
    """
    info = read_info(root)
    problems = _Problems()
    train = _read_tracklets(root, info.train, problems)
    test = _read_tracklets(root, info.test, problems)
    if not train and not test:
        first = (problems.missing or problems.beyond or ["none: no tracklet is listed"])[0]
        raise DataSetError(f"{root} holds none of the listed frames, the first of them {first}")
    absent = [f"row {row + 1} of tracks_test_info.mat" for row in info.query if row not in test]
    findings = compare_with_published("mars", count(info)) + problems.findings()
    findings.append(expect_none("queries left out", absent))
    return DataSet(
        name="mars",
        root=root,
        train=tuple(train.values()),
        query=tuple(test[row] for row in info.query if row in test),
        gallery=tuple(test.values()),
        cameras=CAMERAS,
        findings=tuple(findings),
    )


def read_info(root: Path) -> MarsInfo:
    """Read the lists in `root/info` and check that they fit each other.

    Raises:
        DataSetError: a list is missing, is of another shape, or names a line, row or camera that cannot be.
    """
    info = root / "info"
    train = MarsPart("bbox_train", read_lines(info / "train_name.txt"), _rows(info, "train"))
    test = MarsPart("bbox_test", read_lines(info / "test_name.txt"), _rows(info, "test"))
    query = (read_whole_numbers(info / "query_IDX.mat", "query_IDX").ravel() - 1).tolist()
    if any(not 0 <= row < len(test.rows) for row in query):
        raise DataSetError(
            f"{info / 'query_IDX.mat'} names rows {min(query) + 1} to {max(query) + 1} of tracks_test_info.mat, "
            f"expected 1 to {len(test.rows)}"
        )
    return MarsInfo(train, test, query)


def count(info: MarsInfo) -> dict[str, int]:
    """Count what the lists hold, under the names of `PUBLISHED`."""
    identities = info.test.rows[:, 2]
    is_query = np.zeros(len(identities), bool)
    is_query[info.query] = True
    others = info.test.kept & ~is_query
    cameras = np.concatenate((info.train.rows[info.train.kept], info.test.rows[info.test.kept]))[:, 3]
    return {
        "train frames listed": len(info.train.names),
        "train tracklets": int(info.train.kept.sum()),
        "train identities": _distinct(info.train.rows[info.train.kept, 2]),
        "test frames listed": len(info.test.names),
        "test tracklets with junk": len(info.test.rows),
        "query tracklets": len(info.query),
        "query identities": _distinct(identities[is_query]),
        "gallery tracklets": int(info.test.kept.sum()),
        "gallery tracklets that are no query": int(others.sum()),
        "identities of those": _distinct(identities[others]),
        "cameras": _distinct(cameras),
    }


def _rows(info: Path, half: str) -> NDArray[np.int64]:
    path = info / f"tracks_{half}_info.mat"
    rows = read_whole_numbers(path, f"track_{half}_info")
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise DataSetError(f"{path} has the shape {rows.shape}, expected (tracklets, 4)")
    for number, (first, last, identity, camera) in enumerate(rows.tolist(), start=1):
        if not (1 <= first <= last and identity >= JUNK and 1 <= camera <= len(CAMERAS)):
            raise DataSetError(
                f"row {number} of {path} is {first} {last} {identity} {camera}, expected first and last line, an "
                f"identity and a camera from 1 to {len(CAMERAS)}"
            )
    return rows


def _read_tracklets(root: Path, part: MarsPart, problems: _Problems) -> dict[int, LabelledTracklet]:
    """Return the tracklets by their row, without junk."""
    listed_once = cache(lambda folder: frozenset(frame_names(folder)))
    tracklets = {}
    for row, (first, last, identity, camera) in enumerate(part.rows.tolist()):
        if identity == JUNK:
            continue
        if last > len(part.names):
            problems.beyond.append(f"row {row + 1}, lines {first} to {last} of {len(part.names)}, {part.folder}")
            continue
        names = part.names[first - 1 : last]
        _check_one_person_and_camera(names, row, part.folder)
        folder = root / part.folder / names[0][:4]
        there = listed_once(folder)
        problems.missing += [f"{part.folder}/{folder.name}/{name}" for name in names if name not in there]
        frames = tuple(folder / name for name in names if name in there)
        name = f"{folder.name}/{CAMERAS[camera - 1]}/{names[0].split('.')[0]}"
        if frames:
            tracklets[row] = LabelledTracklet(name, folder.name, camera - 1, frames)
        else:
            problems.empty.append(name)
    problems.unlisted += _folders_without_a_row(root, part)
    return tracklets


def _check_one_person_and_camera(names: list[str], row: int, folder: str) -> None:
    """Lists of different editions, or lines counted from 0, show here: a tracklet reaches into its neighbour."""
    starts = sorted({(name[:4], name[5:6]) for name in names})
    if len(starts) > 1:
        raise DataSetError(
            f"the tracklet in row {row + 1} of {folder} is of more than one person or camera, from {names[0]} to "
            f"{names[-1]}: the lists in info/ do not belong together"
        )


def _folders_without_a_row(root: Path, part: MarsPart) -> Iterable[str]:
    known = {JUNK, *part.rows[:, 2].tolist()}
    for name in folder_names(root / part.folder):
        identity = JUNK if name == "00-1" else int(name) if name.isdecimal() else None
        if identity is not None and identity not in known:
            yield f"{part.folder}/{name}"


def _distinct(values: NDArray[np.int64]) -> int:
    return len(np.unique(values))
