"""iLIDS-VID: 300 people, each once before two cameras, in ten splits of half and half."""

import re
from pathlib import Path

import numpy as np

from training.datasets.files import folder_names, frame_names
from training.datasets.matfiles import read_whole_numbers
from training.datasets.published import compare_with_published, expect_none
from training.datasets.tracklets import DataSet, DataSetError, LabelledTracklet

CAMERAS = ("cam1", "cam2")

_SPLITS = "train-test people splits/train_test_splits_ilidsvid.mat"


def read_ilids_vid(root: Path, *, split: int = 0) -> DataSet:
    """Read one split of iLIDS-VID; docs/datasets.md has the layout.

    Training takes both cameras of its half. Of the other half, camera 1 asks and camera 2 is the gallery: 150 against
    150. Figures that are reported are the mean over the ten splits.

    Args:
        root: the folder above `raw`, or the one with `i-LIDS-VID` in it.
        split: which of the ten, from 0.

    Raises:
        DataSetError: files are missing, there is no such split, or the splits are of other people than are there.
    """
    base = root / "raw/iLIDS-VID" if (root / "raw").is_dir() else root
    sequences = base / "i-LIDS-VID/sequences"
    people = _people(sequences)
    splits = _splits(base / _SPLITS, len(people))
    if not 0 <= split < len(splits):
        raise DataSetError(f"there is no split {split}: {base / _SPLITS} holds the splits 0 to {len(splits) - 1}")
    tracklets = {
        (person, camera): LabelledTracklet(f"{person}/{name}/{name}_{person}", person, camera, frames)
        for person in people
        for camera, name in enumerate(CAMERAS)
        if (frames := _frames(sequences / name / person))
    }
    if not tracklets:
        raise DataSetError(f"{sequences} holds no frame")
    half = len(people) // 2
    train, test = ([people[place] for place in sorted(part)] for part in (splits[split][:half], splits[split][half:]))
    train_tracklets = [tracklets[key] for person in train for key in ((person, 0), (person, 1)) if key in tracklets]
    query, gallery = (
        tuple(tracklets[person, camera] for person in test if (person, camera) in tracklets) for camera in (0, 1)
    )
    lengths = [len(one.frames) for one in tracklets.values()]
    counts = {
        "people": len(people),
        "tracklets": len(tracklets),
        "frames of the shortest tracklet": min(lengths),
        "frames of the longest tracklet": max(lengths),
        "splits": len(splits),
        "train identities": len(train),
        "query tracklets": len(query),
        "gallery tracklets": len(gallery),
    }
    alone = [
        f"{person} in {name}"
        for person in people
        for camera, name in enumerate(CAMERAS)
        if (person, camera) not in tracklets
    ]
    findings = [*compare_with_published("ilids_vid", counts), expect_none("people that a camera does not show", alone)]
    return DataSet("ilids_vid", root, tuple(train_tracklets), query, gallery, CAMERAS, tuple(findings))


def _people(sequences: Path) -> list[str]:
    """Return the names of the people in the order of their numbers, which have gaps."""
    names = {name for camera in CAMERAS for name in folder_names(sequences / camera)}
    people = [name for name in names if re.fullmatch(r"person[0-9]+", name)]
    if not people:
        raise DataSetError(f"{sequences} holds no person: expected {CAMERAS[0]}/person001 and so on")
    return sorted(people, key=lambda name: int(name.removeprefix("person")))


def _splits(path: Path, people: int) -> list[list[int]]:
    """Return for each split the places of its people, from 0, those for training first."""
    splits = read_whole_numbers(path, "ls_set")
    # The splits count the people that are there: with one fewer, each number after the gap would mean somebody else.
    if splits.ndim != 2 or not np.array_equal(np.sort(splits), np.tile(np.arange(1, people + 1), (len(splits), 1))):
        raise DataSetError(
            f"{path} does not split the {people} people that are there: expected rows with each of 1 to {people} once, "
            f"found the shape {splits.shape} and numbers up to {splits.max(initial=0)}; is the data set complete?"
        )
    return (splits - 1).tolist()  # type: ignore[no-any-return]


def _frames(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / name for name in frame_names(folder))
