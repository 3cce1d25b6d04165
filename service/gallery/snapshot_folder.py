"""The folder of snapshots: one file for each serving generation, and none that nobody needs."""

import re
import time
from collections.abc import Collection
from pathlib import Path

import structlog

from service.gallery import snapshot
from service.gallery.index import Frozen, GalleryIndex
from service.store.galleries import Gallery

log = structlog.get_logger(__name__)

_NAME = re.compile(r"(\d+)-(\d+)\.snapshot")
_HALF_WRITTEN = ".*.snapshot.*"
_HALF_WRITTEN_SECONDS = 3600.0


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
        except OSError as error:
            log.error("snapshot could not be written", path=str(path), error=str(error))
            return False
        return True

    def load(self, gallery: Gallery, **index_options: object) -> GalleryIndex | None:
        """The index of the gallery's serving generation; None when there is no snapshot that fits and verifies.

        One that does not is removed, and said loudly.
        """
        path = self.path(gallery.id, gallery.generation)
        try:
            manifest, index = snapshot.read(path, **index_options)
            verify_fit(manifest, gallery)
        except FileNotFoundError:
            return None
        except (snapshot.SnapshotError, OSError, ValueError, MemoryError) as error:
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

    def sweep(self, generations: Collection[tuple[int, int]]) -> None:
        """Remove snapshots of no generation among `generations` (gallery id, number), and old half-written files."""
        for path in self._folder.glob("*.snapshot"):
            named = _NAME.fullmatch(path.name)
            if named and (int(named[1]), int(named[2])) not in generations:
                self.forget(int(named[1]), int(named[2]))
        oldest = time.time() - _HALF_WRITTEN_SECONDS
        for path in self._folder.glob(_HALF_WRITTEN):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)


def verify_fit(manifest: snapshot.Manifest, gallery: Gallery) -> None:
    """See whether a snapshot is of this gallery as it stands.

    Raises:
        SnapshotError: it is not.
    """
    found = (manifest.gallery_id, manifest.generation, manifest.model_id, manifest.dimension)
    expected = (gallery.id, gallery.generation, gallery.model_id, gallery.dimension)
    if found != expected:
        raise snapshot.SnapshotError(f"it is of (gallery, generation, model, dimension) {found}, expected {expected}")
    if manifest.applied > gallery.change:
        raise snapshot.SnapshotError(
            f"it contains change {manifest.applied}, but the gallery has only {gallery.change}: the database is older"
        )
