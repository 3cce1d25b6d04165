"""The reader of MARS, on a miniature of it."""

from pathlib import Path

import pytest

from tests.training.miniature import (
    MARS_TEST,
    MARS_TRAIN,
    Drawn,
    mars_names,
    mars_rows,
    write_lines,
    write_mars,
    write_mars_info,
    write_mat,
)
from training.datasets.mars import count, read_info, read_mars
from training.datasets.published import PUBLISHED, compare_with_published
from training.datasets.registry import read_data_set
from training.datasets.tracklets import DataSet, DataSetError, Finding, label_map


def finding(data: DataSet, check: str) -> Finding:
    (found,) = [one for one in data.findings if one.check == check]
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_mars(tmp_path)


@pytest.mark.parametrize("version", ["v5", "v7.3"])
def test_lines_are_counted_from_one_and_both_ends_are_included(tmp_path: Path, version: str) -> None:
    data = read_mars(write_mars(tmp_path, version))
    assert [[frame.name for frame in one.frames] for one in data.train] == [
        ["0001C1T0001F001.jpg", "0001C1T0001F002.jpg", "0001C1T0001F003.jpg"],
        ["0001C2T0002F001.jpg", "0001C2T0002F002.jpg"],
        [f"0003C6T0001F00{number}.jpg" for number in (1, 2, 3, 4)],
    ]
    assert all(frame.is_file() for one in (*data.train, *data.gallery) for frame in one.frames)


def test_identities_and_cameras_are_numbered(root: Path) -> None:
    data = read_mars(root)
    assert [(one.identity, one.camera) for one in data.train] == [("0001", 0), ("0001", 1), ("0003", 5)]
    assert data.cameras == ("c1", "c2", "c3", "c4", "c5", "c6")
    assert label_map(data.train) == {"0001": 0, "0003": 1}
    assert data.train[2].name == "0003/c6/0003C6T0001F001"


def test_junk_is_dropped_and_distractors_stay_in_the_gallery(root: Path) -> None:
    gallery = read_mars(root).gallery
    assert [one.identity for one in gallery] == ["0000", "0002", "0002", "0004", "0004"]
    assert {one.identity for one in read_mars(root).query} == {"0002", "0004"}


def test_queries_are_rows_counted_before_junk_is_dropped_and_are_in_the_gallery_too(root: Path) -> None:
    data = read_mars(root)
    assert [(one.identity, one.camera) for one in data.query] == [("0002", 0), ("0004", 5)]
    assert set(data.query) <= set(data.gallery)


def test_a_part_of_mars_differs_from_the_published_counts_and_is_read(root: Path) -> None:
    data = read_mars(root)
    assert finding(data, "train tracklets") == Finding("train tracklets", "8,298", "3", False)
    assert finding(data, "gallery tracklets") == Finding("gallery tracklets", "11,310", "5", False)
    assert finding(data, "gallery tracklets that are no query").found == "3"
    assert finding(data, "identities of those").found == "3"
    # The miniature has the six cameras; everything else is smaller.
    assert {one.check for one in data.findings if not one.ok} == PUBLISHED["mars"].keys() - {"cameras"}


def test_lists_with_the_published_counts_differ_nowhere(tmp_path: Path) -> None:
    """The rows of train and test add up to the published tracklets, identities and frames."""
    train = [Drawn(f"{1 + index % 625:04d}", 1 + index % 6, index, 61) for index in range(8_297)]
    train.append(Drawn("0625", 1, 9_000, 509_914 - 61 * 8_297))
    queries = [Drawn(f"{1000 + index % 626:04d}", 1 + index % 6, index, 50) for index in range(1_980)]
    others = [Drawn(f"{1000 + index % 622:04d}" if index % 622 else "0000", 1, index, 50) for index in range(9_330)]
    junk = [Drawn("00-1", 1, index, 50) for index in range(870)]
    used = 50 * 12_180
    others[-1] = Drawn(others[-1].identity, 1, 9_999, 50 + 681_089 - used)
    write_mars_info(tmp_path, train, [*queries, *junk, *others], range(1, 1_981))
    findings = compare_with_published("mars", count(read_info(tmp_path)))
    assert [one for one in findings if not one.ok] == []


def test_a_missing_frame_is_found_and_left_out(root: Path) -> None:
    (root / "bbox_train/0001/0001C1T0001F002.jpg").unlink()
    data = read_mars(root)
    assert [frame.name[-8:] for frame in data.train[0].frames] == ["F001.jpg", "F003.jpg"]
    missing = finding(data, "frames missing")
    assert not missing.ok
    assert missing.found == "1; the first: bbox_train/0001/0001C1T0001F002.jpg"


def test_a_tracklet_without_a_frame_is_found_and_no_query(root: Path) -> None:
    for frame in (root / "bbox_test/0002").glob("0002C1*"):
        frame.unlink()
    data = read_mars(root)
    assert [one.identity for one in data.query] == ["0004"]
    assert finding(data, "tracklets without a frame").found == "1; the first: 0002/c1/0002C1T0001F001"
    assert finding(data, "queries left out").found == "1; the first: row 3 of tracks_test_info.mat"


def test_an_identity_without_a_row_is_found(root: Path) -> None:
    (root / "bbox_train/0009").mkdir()
    assert finding(read_mars(root), "identities without a tracklet").found == "1; the first: bbox_train/0009"


def test_a_truncated_list_is_found(root: Path) -> None:
    write_lines(root / "info/test_name.txt", mars_names(MARS_TEST)[:-1])
    data = read_mars(root)
    assert finding(data, "tracklets past the end of their list").found.startswith("1; the first: row 6, lines 14 to 15")
    assert len(data.gallery) == 4


def test_lists_that_do_not_fit_each_other_are_refused(root: Path) -> None:
    write_lines(root / "info/train_name.txt", mars_names(MARS_TRAIN)[1:])
    with pytest.raises(DataSetError, match="row 1 of bbox_train is of more than one person or camera"):
        read_mars(root)


@pytest.mark.parametrize("row", [[0, 2, 1, 1], [3, 2, 1, 1], [1, 2, 1, 7], [1, 2, -2, 1]])
def test_a_row_that_cannot_be_is_refused(root: Path, row: list[int]) -> None:
    write_mat(root / "info/tracks_train_info.mat", "track_train_info", [*mars_rows(MARS_TRAIN)[:2], row])
    with pytest.raises(DataSetError, match=r"row 3 of .*tracks_train_info\.mat is"):
        read_mars(root)


def test_rows_of_another_shape_are_refused(root: Path) -> None:
    write_mat(root / "info/tracks_train_info.mat", "track_train_info", [[1, 2, 3]])
    with pytest.raises(DataSetError, match=r"shape \(1, 3\), expected \(tracklets, 4\)"):
        read_mars(root)


@pytest.mark.parametrize("query", [[0, 1], [1, 7]])
def test_a_query_that_is_no_row_is_refused(root: Path, query: list[int]) -> None:
    write_mat(root / "info/query_IDX.mat", "query_IDX", query)
    with pytest.raises(DataSetError, match=r"query_IDX\.mat names rows .* expected 1 to 6"):
        read_mars(root)


@pytest.mark.parametrize("name", ["train_name.txt", "tracks_test_info.mat", "query_IDX.mat"])
def test_a_missing_list_is_named(root: Path, name: str) -> None:
    (root / "info" / name).unlink()
    with pytest.raises(DataSetError, match=name):
        read_mars(root)


def test_lists_without_any_frame_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"none of the listed frames, .* bbox_train/0001/0001C1T0001F001\.jpg"):
        read_mars(write_mars_info(tmp_path))


def test_the_registry_refuses_what_it_does_not_know(root: Path) -> None:
    assert read_data_set("mars", root) == read_mars(root)
    with pytest.raises(DataSetError, match="there is no data set 'venus': choose mars, ls_vid, ilids_vid, folder"):
        read_data_set("venus", root)
    with pytest.raises(DataSetError, match="has one split"):
        read_data_set("mars", root, split=1)
    with pytest.raises(DataSetError, match="does not exist"):
        read_data_set("mars", root / "nowhere")
    with pytest.raises(DataSetError, match="is not a folder"):
        read_data_set("mars", root / "info/train_name.txt")
