"""The reader of the folder data set."""

from pathlib import Path

import pytest

from model.data.folder import FolderError, natural_key, read_folder


def place(root: Path, *paths: str) -> Path:
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"x")
    return root


def test_identity_camera_and_name_come_from_the_folders(tmp_path: Path) -> None:
    place(tmp_path, "anna/gate/t1/0.jpg", "anna/yard/t1/0.png", "ben/gate/t1/0.JPG")
    tracklets = read_folder(tmp_path).tracklets
    assert [(t.identity, t.camera, t.name) for t in tracklets] == [
        ("anna", "gate", "t1"),
        ("anna", "yard", "t1"),
        ("ben", "gate", "t1"),
    ]
    assert tracklets[1].path == "anna/yard/t1"


def test_frames_follow_the_numbers_in_their_names(tmp_path: Path) -> None:
    place(tmp_path, *(f"1/c1/1/{name}" for name in ("10.jpg", "2.jpg", "1.jpg", "100.jpg")))
    (tracklet,) = read_folder(tmp_path).tracklets
    assert [frame.name for frame in tracklet.frames] == ["1.jpg", "2.jpg", "10.jpg", "100.jpg"]


def test_padded_names_keep_their_plain_order() -> None:
    names = [f"0001C1T0001F{number:03d}.jpg" for number in range(120)]
    shuffled = names[::2] + names[1::2]
    assert sorted(shuffled, key=natural_key) == names


def test_names_that_mix_letters_and_numbers_can_be_compared() -> None:
    assert sorted(["a", "1", "a1", "1a", "", "01"], key=natural_key) == ["", "01", "1", "1a", "a", "a1"]


def test_stray_files_are_reported_and_change_nothing(tmp_path: Path) -> None:
    place(tmp_path, "1/c1/1/0.jpg", "README.txt", "1/list.csv", "1/c1/x.jpg", "1/c1/1/Thumbs.db", "1/c1/1/deeper/0.jpg")
    data = read_folder(tmp_path)
    assert [tracklet.path for tracklet in data.tracklets] == ["1/c1/1"]
    assert {str(stray.relative_to(tmp_path)) for stray in data.strays} == {
        "README.txt",
        "1/list.csv",
        "1/c1/x.jpg",
        "1/c1/1/Thumbs.db",
        "1/c1/1/deeper",
    }


def test_a_tracklet_folder_without_a_frame_is_named(tmp_path: Path) -> None:
    place(tmp_path, "1/c1/1/0.jpg", "1/c1/2/notes.txt")
    assert read_folder(tmp_path).empty == ("1/c1/2",)


def test_a_folder_one_level_too_high_is_refused_and_shows_what_lies_there(tmp_path: Path) -> None:
    place(tmp_path, "train/1/c1/1/0.jpg")
    with pytest.raises(FolderError, match=r"expected IDENTITY/CAMERA/TRACKLET/FRAME.*found train/1/c1/1/0\.jpg"):
        read_folder(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no image at all"):
        read_folder(tmp_path)


def test_a_root_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="does not exist"):
        read_folder(tmp_path / "nowhere")


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place(tmp_path, "file")
    with pytest.raises(FolderError, match="is not a folder"):
        read_folder(tmp_path / "file")
