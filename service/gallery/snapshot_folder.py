"""The folder of snapshots: one file for each serving generation, and none that nobody needs."""

import errno
import re
import time
from pathlib import Path

import structlog

from service.gallery import snapshot
from service.gallery.index import Frozen, GalleryIndex
from service.store.galleries import Gallery

log = structlog.get_logger(__name__)

_NAME = re.compile(r"(\d+)-(\d+)\.snapshot")
_HALF_WRITTEN = ".*.snapshot.*"
_HALF_WRITTEN_SECONDS = 3600.0

_PASSING = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.EBUSY,
)
"""Failures of this machine at this moment, which say nothing of the snapshot."""


class SnapshotFolder:
    """`index/` of a data directory; services that share the directory share the snapshots.

    Args:
        folder: is made when the first snapshot is written.
        empty_index: makes the index that a snapshot is read into.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, gallery_id: int, generation: int) -> Path:
        """Where the snapshot of a generation is."""
        return self._folder / f"{gallery_id}-{generation}.snapshot"

    def save(self, frozen: Frozen, gallery_id: int, generation: int, model_id: str) -> bool:
        """Write a snapshot; False, and said loudly, when the disk does not take it: boot will be slower, no more."""
        path = self.path(gallery_id, generation)
        try:
            snapshot.write(path, frozen, gallery_id, generation, model_id)
        except (OSError, MemoryError) as error:
            log.error("snapshot could not be written, the one before stays", path=str(path), error=repr(error))
            return False
        return True

    def load(self, gallery: Gallery, **index_options: object) -> GalleryIndex | None:
        """The index of the gallery's serving generation; None when there is no snapshot that fits and verifies.

        One that does not is removed, and said loudly; one that this process cannot read for now is left. Whether it is
        of the future is for whoever brings it up to date: services that share the folder may have saved it since
        `gallery` was read.
        """
        path = self.path(gallery.id, gallery.generation)
        try:
            manifest, index = snapshot.read(path, **index_options)
            verify_fit(manifest, gallery)
        except FileNotFoundError:
            return None
        except (snapshot.SnapshotError, ValueError, TypeError, OSError, MemoryError) as error:
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _PASSING):
                log.error("snapshot cannot be read for now, and is left", path=str(path), reason=repr(error))
            else:
                log.error("snapshot thrown away, rebuilding from the database", path=str(path), reason=str(error))
                self.forget(gallery.id, gallery.generation)
            return None
        return index

    def forget(self, gallery_id: int, generation: int) -> None:
        """Remove the snapshot of a generation, if there is one."""
        path = self.path(gallery_id, generation)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.error("snapshot cannot be removed", path=str(path), error=str(error))

    def generations(self) -> set[tuple[int, int]]:
        """Gallery id and number of every generation that has a snapshot."""
        named = (_NAME.fullmatch(path.name) for path in self._folder.glob("*.snapshot"))
        return {(int(name[1]), int(name[2])) for name in named if name}

    def discard_half_written(self) -> None:
        """Remove what processes that died were writing, and leave what may be in the making."""
        oldest = time.time() - _HALF_WRITTEN_SECONDS
        for path in self._folder.glob(_HALF_WRITTEN):
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
            except FileNotFoundError:
                continue


def verify_fit(manifest: snapshot.Manifest, gallery: Gallery) -> None:
    """See whether a snapshot is of this gallery's serving generation.

    Raises:
        SnapshotError: it is not, or every process was asked to build the index anew after its rows were read.
    """
    found = (manifest.gallery_id, manifest.generation, manifest.model_id, manifest.dimension)
    expected = (gallery.id, gallery.generation, gallery.model_id, gallery.dimension)
    if found != expected:
        raise snapshot.SnapshotError(f"it is of (gallery, generation, model, dimension) {found}, expected {expected}")
    if manifest.rebuild < gallery.rebuild:
        raise snapshot.SnapshotError("it is older than the last repair")


def verify_past(manifest: snapshot.Manifest, change: int) -> None:
    """See whether the gallery has all that is in a snapshot, given its last change at a moment after it was read.

    Raises:
        SnapshotError: it has not.
    """
    if manifest.applied > change:
        raise snapshot.SnapshotError(
            f"it contains change {manifest.applied}, but the gallery has only {change}: the database is older"
        )
