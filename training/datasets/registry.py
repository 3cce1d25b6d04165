"""The data sets by name."""

from pathlib import Path

from training.datasets.folder import read_folder
from training.datasets.ilids_vid import read_ilids_vid
from training.datasets.ls_vid import read_ls_vid
from training.datasets.mars import read_mars
from training.datasets.tracklets import DataSet, DataSetError

DATA_SETS = ("mars", "ls_vid", "ilids_vid", "folder")


def read_data_set(name: str, root: Path, *, split: int = 0) -> DataSet:
    """Read a data set: who trains, who asks, who is asked. Folders are listed; no frame is opened.

    Args:
        name: one of `DATA_SETS`.
        root: where it lies.
        split: for `ilids_vid`, 0 to 9; the others have one.

    Raises:
        DataSetError: there is no such data set or split, or it cannot be read.
    """
    if name not in DATA_SETS:
        raise DataSetError(f"there is no data set {name!r}: choose {', '.join(DATA_SETS)}")
    if not root.is_dir():
        raise DataSetError(f"{root} is not a folder" if root.exists() else f"{root} does not exist")
    if name == "ilids_vid":
        return read_ilids_vid(root, split=split)
    if split != 0:
        raise DataSetError(f"{name} has one split, 0, got {split}")
    return {"mars": read_mars, "ls_vid": read_ls_vid, "folder": read_folder}[name](root)
