"""Arrays out of MATLAB files."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.training.miniature import write_mat
from training.datasets.matfiles import read_mat, read_whole_numbers
from training.datasets.tracklets import DataSetError

ROWS = [[1, 3, -1, 2], [4, 4, 0, 6]]

both_versions = pytest.mark.parametrize("version", ["v5", "v7.3"])


@both_versions
def test_both_versions_give_the_array_as_matlab_has_it(tmp_path: Path, version: str) -> None:
    write_mat(tmp_path / "a.mat", "rows", ROWS, version)
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", "rows"), ROWS)
    assert read_whole_numbers(tmp_path / "a.mat", "rows").dtype == np.int64


@both_versions
def test_a_missing_key_is_named_with_those_that_are_there(tmp_path: Path, version: str) -> None:
    write_mat(tmp_path / "a.mat", "rows", ROWS, version)
    with pytest.raises(DataSetError, match=r"a\.mat holds no array 'query', found rows"):
        read_mat(tmp_path / "a.mat", "query")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"nowhere\.mat cannot be read: No such file"):
        read_mat(tmp_path / "nowhere.mat", "rows")


@pytest.mark.parametrize("content", [b"", b"no such format", b"<html>" * 100])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataSetError, match="is not a MATLAB file"):
        read_mat(tmp_path / "a.mat", "rows")


@both_versions
def test_a_truncated_file_is_refused(tmp_path: Path, version: str) -> None:
    write_mat(tmp_path / "a.mat", "rows", np.arange(4000).reshape(1000, 4), version)
    whole = (tmp_path / "a.mat").read_bytes()
    (tmp_path / "a.mat").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataSetError, match="damaged"):
        read_mat(tmp_path / "a.mat", "rows")


def test_text_is_no_array_of_numbers(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"rows": "text"})
    with pytest.raises(DataSetError, match="expected numbers"):
        read_mat(tmp_path / "a.mat", "rows")


def test_numbers_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    write_mat(tmp_path / "a.mat", "rows", [[1.5]])
    with pytest.raises(DataSetError, match="not whole"):
        read_whole_numbers(tmp_path / "a.mat", "rows")


@pytest.mark.parametrize(("version", "package"), [("v5", "scipy.io"), ("v7.3", "h5py")])
def test_a_missing_package_is_an_error_that_says_how_to_get_it(
    tmp_path: Path, version: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mat(tmp_path / "a.mat", "rows", ROWS, version)
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(DataSetError, match=r"pip install 'tfclip\[training\]'"):
        read_mat(tmp_path / "a.mat", "rows")
