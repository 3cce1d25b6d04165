"""The reader of iLIDS-VID, on a miniature of it."""

import shutil
from pathlib import Path

import pytest

from tests.training.miniature import ILIDS_PEOPLE, write_ilids_vid
from training.datasets.ilids_vid import read_ilids_vid
from training.datasets.tracklets import DataSet, DataSetError, Finding


def finding(data: DataSet, check: str) -> Finding:
    (found,) = [one for one in data.findings if one.check == check]
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_ilids_vid(tmp_path)


@pytest.mark.parametrize("version", ["v5", "v7.3"])
def test_a_split_counts_the_people_that_exist_and_gaps_do_not_shift_it(tmp_path: Path, version: str) -> None:
    """Split 0 trains on the 1st, 3rd and 6th of the numbers 1 2 4 9 10 319."""
    data = read_ilids_vid(write_ilids_vid(tmp_path, version=version))
    trained = ["person001", "person004", "person319"]
    asked = ["person002", "person009", "person010"]
    assert [(one.identity, one.camera) for one in data.train] == [
        (name, camera) for name in trained for camera in (0, 1)
    ]
    assert [(one.identity, one.camera) for one in data.query] == [(name, 0) for name in asked]
    assert [(one.identity, one.camera) for one in data.gallery] == [(name, 1) for name in asked]


def test_each_split_has_people_of_its_own(root: Path) -> None:
    data = read_ilids_vid(root, split=1)
    assert [one.identity for one in data.query] == ["person001", "person002", "person004"]


@pytest.mark.parametrize("split", [2, -1])
def test_a_split_that_is_not_there_is_refused(root: Path, split: int) -> None:
    with pytest.raises(DataSetError, match=f"no split {split}: .* the splits 0 to 1"):
        read_ilids_vid(root, split=split)


def test_frames_follow_one_another_by_name(root: Path) -> None:
    query = read_ilids_vid(root).query[0]
    assert [frame.name for frame in query.frames] == ["cam1_person002_00317.png", "cam1_person002_00318.png"]
    assert query.name == "person002/cam1/cam1_person002"


def test_the_folder_that_the_archive_makes_is_a_root_too(root: Path) -> None:
    below = root / "raw/iLIDS-VID"
    assert [one.frames for one in read_ilids_vid(below).train] == [one.frames for one in read_ilids_vid(root).train]


def test_people_who_are_missing_are_refused_because_the_splits_would_mean_others(root: Path) -> None:
    for camera in (1, 2):
        shutil.rmtree(root / f"raw/iLIDS-VID/i-LIDS-VID/sequences/cam{camera}/person002")
    with pytest.raises(DataSetError, match=r"does not split the 5 people .* is the data set complete"):
        read_ilids_vid(root)


def test_a_split_that_names_somebody_twice_is_refused(tmp_path: Path) -> None:
    write_ilids_vid(tmp_path, splits=[[1, 1, 2, 3, 4, 5]])
    with pytest.raises(DataSetError, match="each of 1 to 6 once"):
        read_ilids_vid(tmp_path)


def test_a_person_whom_a_camera_does_not_show_is_found(root: Path) -> None:
    shutil.rmtree(root / "raw/iLIDS-VID/i-LIDS-VID/sequences/cam2/person002")
    data = read_ilids_vid(root)
    assert finding(data, "people that a camera does not show").found == "1; the first: person002 in cam2"
    assert (len(data.query), len(data.gallery)) == (3, 2)


def test_without_people_the_message_says_where_they_should_be(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"i-LIDS-VID/sequences holds no person: expected cam1/person001"):
        read_ilids_vid(tmp_path)


def test_people_without_a_frame_are_refused(root: Path) -> None:
    for frame in root.rglob("*.png"):
        frame.unlink()
    with pytest.raises(DataSetError, match="holds no frame"):
        read_ilids_vid(root)


def test_a_set_with_the_published_counts_differs_nowhere(tmp_path: Path) -> None:
    """300 people whose numbers go up to 319, tracklets of 23 to 192 frames; a frame is not opened, so it is empty."""
    people = sorted({*range(1, 320)} - {*range(20, 39)})
    splits = [[(place + turn) % 300 + 1 for place in range(300)] for turn in range(10)]
    write_ilids_vid(tmp_path, people, splits, frames=0)
    sequences = tmp_path / "raw/iLIDS-VID/i-LIDS-VID/sequences"
    for person in people:
        for camera in ("cam1", "cam2"):
            folder = sequences / camera / f"person{person:03d}"
            folder.mkdir(parents=True)
            for number in range(192 if person == 1 else 23):
                (folder / f"{camera}_person{person:03d}_{number:05d}.png").touch()
    data = read_ilids_vid(tmp_path, split=9)
    assert [one for one in data.findings if not one.ok] == []
    assert len(data.train) == 300


def test_a_part_differs_from_the_published_counts(root: Path) -> None:
    data = read_ilids_vid(root)
    assert finding(data, "people") == Finding("people", "300", str(len(ILIDS_PEOPLE)), False)
    assert finding(data, "frames of the shortest tracklet") == Finding(
        "frames of the shortest tracklet", "23", "2", False
    )
    assert finding(data, "splits").found == "2"
