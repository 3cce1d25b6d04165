"""Miniature data sets in the true on-disk formats: names of files, lists, and MATLAB files of both versions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat


@dataclass(frozen=True)
class Drawn:
    """A tracklet to lay down: identity as in file names, camera and number from 1, and how many frames."""

    identity: str
    camera: int
    number: int
    frames: int


MARS_TRAIN = (Drawn("0001", 1, 1, 3), Drawn("0001", 2, 2, 2), Drawn("0003", 6, 1, 4))
MARS_TEST = (
    Drawn("00-1", 1, 1, 2),
    Drawn("0000", 3, 1, 3),
    Drawn("0002", 1, 1, 5),
    Drawn("0002", 4, 2, 1),
    Drawn("0004", 5, 1, 2),
    Drawn("0004", 6, 2, 2),
)
MARS_QUERY = (3, 6)
"""Rows of MARS_TEST, from 1: 0002 in camera 1, 0004 in camera 6."""


def write_mat(path: Path, key: str, values: object, version: str = "v5") -> None:
    """Write one array as MATLAB does: version 5, or 7.3 with its header and its axes turned round."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.atleast_2d(np.asarray(values))
    if version == "v5":
        savemat(path, {key: array})
        return
    with h5py.File(path, "w", userblock_size=512) as file:
        dataset = file.create_dataset(key, data=array.T.astype(np.float64))
        dataset.attrs["MATLAB_class"] = np.bytes_("double")
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Mon Jan  1 00:00:00 2018 HDF5 schema 1.00 ."
    with path.open("r+b") as raw:
        raw.write(text.ljust(116) + bytes(8) + b"\x00\x02IM")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def write_frame(path: Path, shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    Image.new("RGB", (8, 16), (shade, 60, 120)).save(buffer, "PNG" if path.suffix == ".png" else "JPEG")
    path.write_bytes(buffer.getvalue())


def mars_names(tracklets: Sequence[Drawn]) -> list[str]:
    return [
        f"{one.identity}C{one.camera}T{one.number:04d}F{frame:03d}.jpg"
        for one in tracklets
        for frame in range(1, one.frames + 1)
    ]


def mars_rows(tracklets: Sequence[Drawn]) -> list[list[int]]:
    """First and last line, from 1 and both included; identity; camera."""
    rows, line = [], 1
    for one in tracklets:
        identity = -1 if one.identity == "00-1" else int(one.identity)
        rows.append([line, line + one.frames - 1, identity, one.camera])
        line += one.frames
    return rows


def write_mars_info(
    root: Path,
    train: Sequence[Drawn] = MARS_TRAIN,
    test: Sequence[Drawn] = MARS_TEST,
    query: Sequence[int] = MARS_QUERY,
    version: str = "v5",
) -> Path:
    for half, tracklets in (("train", train), ("test", test)):
        write_lines(root / f"info/{half}_name.txt", mars_names(tracklets))
        write_mat(root / f"info/tracks_{half}_info.mat", f"track_{half}_info", mars_rows(tracklets), version)
    write_mat(root / "info/query_IDX.mat", "query_IDX", list(query), version)
    return root


def write_mars(root: Path, version: str = "v5") -> Path:
    """MARS_TRAIN and MARS_TEST with their frames."""
    write_mars_info(root, version=version)
    for folder, tracklets in (("bbox_train", MARS_TRAIN), ("bbox_test", MARS_TEST)):
        for name in mars_names(tracklets):
            write_frame(root / folder / name[:4] / name)
    return root


LS_VID_TRAIN = (Drawn("0", 1, 1, 47), Drawn("0", 15, 2, 48), Drawn("7", 3, 3, 100))
LS_VID_TEST = (
    Drawn("10", 1, 1, 3),
    Drawn("10", 2, 2, 2),
    Drawn("-1", 2, 3, 2),
    Drawn("9", 12, 4, 4),
    Drawn("9", 5, 10, 2),
)
LS_VID_QUERY = (1, 4)
"""Lines of LS_VID_TEST, from 1: 10 in camera 1, 9 in camera 12."""


def ls_vid_prefix(half: str, one: Drawn) -> str:
    return f"tracklet_{half}/{int(one.identity):04d}/{one.number:04d}"


def write_ls_vid_info(
    root: Path,
    train: Sequence[Drawn] = LS_VID_TRAIN,
    test: Sequence[Drawn] = LS_VID_TEST,
    query: Sequence[int] = LS_VID_QUERY,
    version: str = "v7.3",
    old_layout: bool = False,
) -> Path:
    lists = root / ("list_sequence" if old_layout else "info/list_sequence")
    for half, tracklets in (("train", train), ("test", test)):
        lines = [f"{ls_vid_prefix(half, one)} {one.identity}" for one in tracklets]
        write_lines(lists / f"list_seq_{half}.txt", lines)
    column = np.asarray(query).reshape(-1, 1)
    write_mat(root / ("test/data/info_test.mat" if old_layout else "info/data/info_test.mat"), "query", column, version)
    return root


def write_ls_vid(root: Path, version: str = "v7.3", old_layout: bool = False) -> Path:
    """LS_VID_TRAIN and LS_VID_TEST with their frames."""
    write_ls_vid_info(root, version=version, old_layout=old_layout)
    for half, tracklets in (("train", LS_VID_TRAIN), ("test", LS_VID_TEST)):
        for one in tracklets:
            for frame in range(1, one.frames + 1):
                write_frame(root / f"{ls_vid_prefix(half, one)}_{frame:05d}_{one.camera:02d}_{frame + 900}.jpg")
    return root


ILIDS_PEOPLE = (1, 2, 4, 9, 10, 319)
ILIDS_SPLITS = ((1, 3, 6, 5, 4, 2), (6, 5, 4, 3, 2, 1))


def write_ilids_vid(
    root: Path,
    people: Sequence[int] = ILIDS_PEOPLE,
    splits: Sequence[Sequence[int]] = ILIDS_SPLITS,
    version: str = "v5",
    frames: int = 2,
) -> Path:
    base = root / "raw/iLIDS-VID"
    for person in people:
        for camera in (1, 2):
            for frame in range(frames):
                name = f"cam{camera}_person{person:03d}_{317 + frame:05d}.png"
                write_frame(base / f"i-LIDS-VID/sequences/cam{camera}/person{person:03d}" / name)
    write_mat(base / "train-test people splits/train_test_splits_ilidsvid.mat", "ls_set", splits, version)
    return root
