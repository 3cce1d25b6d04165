"""A folder of one's own tracklets."""

from collections import defaultdict
from pathlib import Path

from model.data.folder import FRAME_SUFFIXES, FolderError, natural_key
from model.data.folder import read_folder as read_layout
from training.datasets.published import expect_none
from training.datasets.tracklets import DataSet, DataSetError, Finding, LabelledTracklet


def read_folder(root: Path) -> DataSet:
    """Read `IDENTITY/CAMERA/TRACKLET/FRAME`: every tracklet trains, asks and is in the gallery.

    Cameras are numbered in the natural order of their names.

    Raises:
        DataSetError: there is no tracklet below `root`.
    """
    try:
        found = read_layout(root)
    except FolderError as error:
        raise DataSetError(str(error)) from error
    except OSError as error:
        raise DataSetError(f"{error.filename} cannot be read: {error.strerror}") from error
    cameras = tuple(sorted({one.camera for one in found.tracklets}, key=natural_key))
    numbers = {name: number for number, name in enumerate(cameras)}
    tracklets = tuple(
        LabelledTracklet(one.path, one.identity, numbers[one.camera], one.frames) for one in found.tracklets
    )
    misplaced = [path for path in found.strays if path.is_dir() or path.suffix.lower() in FRAME_SUFFIXES]
    findings = (
        expect_none("tracklets without a frame", found.empty),
        expect_none("images and folders outside the layout", [str(path.relative_to(root)) for path in misplaced]),
        Finding("other files", "any", f"{len(found.strays) - len(misplaced):,}", True),
        _seen_twice(tracklets),
    )
    return DataSet("folder", root, tracklets, tracklets, tracklets, cameras, findings)


def _seen_twice(tracklets: tuple[LabelledTracklet, ...]) -> Finding:
    """Without an identity before two cameras, no query has a match and nothing can be measured."""
    seen = defaultdict(set)
    for one in tracklets:
        seen[one.identity].add(one.camera)
    several = sum(len(cameras) > 1 for cameras in seen.values())
    return Finding("identities before two cameras or more", "at least 1", f"{several:,}", several > 0)
