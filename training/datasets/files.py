"""What the readers ask of the disk: lines of lists, and the names in a folder; no frame is opened."""

import os
from pathlib import Path

from model.data.folder import FRAME_SUFFIXES
from training.datasets.tracklets import DataSetError


def read_lines(path: Path) -> list[str]:
    """Read a list, one entry a line; empty lines are left out.

    Raises:
        DataSetError: the file cannot be read, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataSetError(
            f"{path} cannot be read: {error.strerror}; see docs/datasets.md for what lies where"
        ) from error
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path} is not a text file") from error
    return [stripped for line in text.splitlines() if (stripped := line.strip())]


def frame_names(folder: Path) -> list[str]:
    """List the frames in a folder by one look at it, in the order of their names; none where there is no folder.

    Raises:
        DataSetError: the folder may not be read.
    """
    return [name for name in _names(folder) if name.lower().endswith(FRAME_SUFFIXES)]


def folder_names(folder: Path) -> list[str]:
    """List what lies in a folder that is no frame, in the order of the names; nothing where there is no folder."""
    return [name for name in _names(folder) if not name.lower().endswith(FRAME_SUFFIXES)]


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataSetError(f"{folder} cannot be read: {error.strerror}") from error
