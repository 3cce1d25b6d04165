"""A folder of one's own tracklets, as training reads it."""

from pathlib import Path

import pytest

from tests.training.miniature import write_frame
from training.datasets.folder import read_folder
from training.datasets.tracklets import DataSet, DataSetError, Finding


def place(root: Path, *paths: str) -> Path:
    for path in paths:
        write_frame(root / path)
    return root


def finding(data: DataSet, check: str) -> Finding:
    (found,) = [one for one in data.findings if one.check == check]
    return found


def test_every_tracklet_trains_asks_and_is_asked(tmp_path: Path) -> None:
    data = read_folder(place(tmp_path, "anna/cam10/t1/1.jpg", "anna/cam2/t1/1.jpg", "ben/cam2/t1/1.jpg"))
    assert [one.name for one in data.train] == ["anna/cam2/t1", "anna/cam10/t1", "ben/cam2/t1"]
    assert data.train == data.query == data.gallery
    assert all(one.ok for one in data.findings)


def test_cameras_are_numbered_in_natural_order(tmp_path: Path) -> None:
    data = read_folder(place(tmp_path, "anna/cam10/t1/1.jpg", "anna/cam2/t1/1.jpg", "ben/cam1/t1/1.jpg"))
    assert data.cameras == ("cam1", "cam2", "cam10")
    assert [one.camera for one in data.train] == [1, 2, 0]


def test_what_lies_outside_the_layout_is_found(tmp_path: Path) -> None:
    place(tmp_path, "anna/c1/t1/1.jpg", "anna/c2/t1/1.jpg", "anna/c1/lost.jpg")
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "anna/c1/t2").mkdir()
    data = read_folder(tmp_path)
    assert finding(data, "images and folders outside the layout").found == "1; the first: anna/c1/lost.jpg"
    assert finding(data, "tracklets without a frame").found == "1; the first: anna/c1/t2"
    assert finding(data, "other files") == Finding("other files", "any", "1", True)


def test_people_before_one_camera_alone_cannot_be_measured(tmp_path: Path) -> None:
    data = read_folder(place(tmp_path, "anna/c1/t1/1.jpg", "anna/c1/t2/1.jpg", "ben/c2/t1/1.jpg"))
    assert not finding(data, "identities before two cameras or more").ok


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="expected IDENTITY/CAMERA/TRACKLET"):
        read_folder(place(tmp_path, "1.jpg"))
