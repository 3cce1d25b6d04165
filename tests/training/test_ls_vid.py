"""The reader of LS-VID, on a miniature of it."""

from pathlib import Path

import pytest

from tests.training.miniature import Drawn, write_frame, write_lines, write_ls_vid, write_ls_vid_info, write_mat
from training.datasets.ls_vid import count, read_info, read_ls_vid
from training.datasets.published import PUBLISHED, compare_with_published
from training.datasets.tracklets import DataSet, DataSetError, Finding, label_map


def finding(data: DataSet, check: str) -> Finding:
    (found,) = [one for one in data.findings if one.check == check]
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_ls_vid(tmp_path)


@pytest.mark.parametrize("version", ["v5", "v7.3"])
@pytest.mark.parametrize("old_layout", [False, True], ids=["new layout", "old layout"])
def test_both_layouts_and_both_matlab_versions_are_read(tmp_path: Path, version: str, old_layout: bool) -> None:
    data = read_ls_vid(write_ls_vid(tmp_path, version, old_layout))
    assert [(one.identity, one.camera, len(one.frames)) for one in data.query] == [("10", 0, 3), ("9", 11, 4)]
    assert [(one.identity, one.camera) for one in data.gallery] == [("10", 0), ("10", 1), ("9", 11), ("9", 4)]
    assert len(data.cameras) == 15


def test_train_tracklets_are_cut_and_short_ones_are_kept_whole(root: Path) -> None:
    train = read_ls_vid(root).train
    assert [(one.identity, one.camera, len(one.frames)) for one in train] == [
        ("0", 0, 47),
        ("0", 14, 48),
        ("7", 2, 48),
        ("7", 2, 52),
    ]
    assert [frame.name[5:10] for frame in train[2].frames + train[3].frames] == [f"{n:05d}" for n in range(1, 101)]
    assert len({one.name for one in train}) == 4


def test_frames_follow_one_another_by_name(root: Path) -> None:
    query = read_ls_vid(root).query[1]
    assert [frame.name for frame in query.frames] == [
        f"0004_{number:05d}_12_{number + 900}.jpg" for number in range(1, 5)
    ]
    assert query.name == "9/c12/0004_00001_12_901"


def test_labels_follow_the_numbers_of_identities(tmp_path: Path) -> None:
    train = [Drawn("10", 1, 1, 1), Drawn("9", 1, 2, 1), Drawn("0", 1, 3, 1)]
    write_ls_vid_info(tmp_path, train=train)
    for one in train:
        write_frame(tmp_path / f"tracklet_train/{int(one.identity):04d}/{one.number:04d}_1_01_1.jpg")
    assert label_map(read_ls_vid(tmp_path).train) == {"0": 0, "9": 1, "10": 2}


def test_junk_is_dropped_after_queries_were_counted(root: Path) -> None:
    data = read_ls_vid(root)
    assert "-1" not in {one.identity for one in data.gallery}
    assert set(data.query) <= set(data.gallery)


def test_a_part_of_ls_vid_differs_from_the_published_counts_and_is_read(root: Path) -> None:
    data = read_ls_vid(root)
    assert finding(data, "train tracklets") == Finding("train tracklets", "2,831", "3", False)
    assert finding(data, "gallery tracklets that are no query").found == "2"
    assert finding(data, "cameras").found == "6"
    assert {one.check for one in data.findings if not one.ok} == PUBLISHED["ls_vid"].keys()


def test_lists_with_the_published_counts_differ_nowhere(tmp_path: Path) -> None:
    train = [Drawn(str(index % 842), 1, index, 1) for index in range(2_831)]
    test = [Drawn(str(index % 2_730), 1, index, 1) for index in range(11_333)]
    write_ls_vid_info(tmp_path, train, test, range(1, 3_505))
    findings = compare_with_published("ls_vid", {**count(read_info(tmp_path)), "cameras": 15})
    assert [one for one in findings if not one.ok] == []


def test_a_tracklet_without_a_frame_is_found_and_no_query(root: Path) -> None:
    for frame in (root / "tracklet_test/0010").glob("0001_*"):
        frame.unlink()
    data = read_ls_vid(root)
    assert [one.identity for one in data.query] == ["9"]
    assert finding(data, "tracklets without a frame").found == "1; the first: tracklet_test/0010/0001"
    assert finding(data, "queries left out").found == "1; the first: line 1 of list_seq_test.txt"


def test_an_identity_that_lost_all_tracklets_is_found(root: Path) -> None:
    for frame in (root / "tracklet_train/0007").iterdir():
        frame.unlink()
    assert finding(read_ls_vid(root), "identities without a tracklet").found == "1; the first: 7"


def test_a_tracklet_of_two_cameras_is_found(root: Path) -> None:
    write_frame(root / "tracklet_test/0009/0004_00099_11_1.jpg")
    assert finding(read_ls_vid(root), "tracklets of more than one camera").found.startswith("1; the first: 9/c12/0004")


@pytest.mark.parametrize("name", ["0004_00099.jpg", "0004_00099_16_1.jpg", "0004_00099_00_1.jpg", "0004_1_x_1.jpg"])
def test_a_frame_that_names_no_camera_is_refused(root: Path, name: str) -> None:
    write_frame(root / "tracklet_test/0009" / name)
    with pytest.raises(DataSetError, match=r"names no camera: .* the third from 1 to 15"):
        read_ls_vid(root)


@pytest.mark.parametrize("line", ["tracklet_train/0000/0001", "tracklet_train/0000/0001 x"])
def test_a_line_without_an_identity_is_refused(root: Path, line: str) -> None:
    write_lines(root / "info/list_sequence/list_seq_train.txt", ["tracklet_train/0000/0001 0", line])
    with pytest.raises(DataSetError, match=r"line 2 of .*list_seq_train\.txt is"):
        read_ls_vid(root)


@pytest.mark.parametrize("query", [[0], [6]])
def test_a_query_past_a_truncated_list_is_refused(root: Path, query: list[int]) -> None:
    write_mat(root / "info/data/info_test.mat", "query", query, "v7.3")
    with pytest.raises(DataSetError, match=r"info_test\.mat names lines .* expected 1 to 5"):
        read_ls_vid(root)


def test_lists_without_any_frame_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataSetError, match="no frame of the listed tracklets, the first of them tracklet_train/0000/0001"
    ):
        read_ls_vid(write_ls_vid_info(tmp_path))


@pytest.mark.parametrize("name", ["list_sequence/list_seq_test.txt", "data/info_test.mat"])
def test_a_missing_list_is_named(root: Path, name: str) -> None:
    (root / "info" / name).unlink()
    with pytest.raises(DataSetError, match=name):
        read_ls_vid(root)
