"""Frames on disk: `frames/GALLERY/SHA256`, written once, never changed, removed when nothing refers to them."""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from service.disk import sync

INCOMING = ".incoming"
"""Beside the galleries' folders, on the same file system: half-written files, which no row can name yet.

No gallery can have this name, since names do not start with a dot.
"""


_DIGEST = re.compile(r"[0-9a-f]{64}")


class FrameStore:
    """The folder `frames/` of one data directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for folder in (root, root / INCOMING):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def discard_incoming(self, older_than_seconds: float = 3600.0) -> int:
        """Remove half-written files of processes that died, and leave those that may be in the making."""
        oldest = time.time() - older_than_seconds
        return sum(1 for path in (self._root / INCOMING).iterdir() if path.stat().st_mtime < oldest and _unlink(path))

    def write(self, gallery: str, frames: Mapping[bytes, bytes]) -> None:
        """Make the frames durable: when this returns, files and folder entries are on disk.

        Args:
            gallery: name of the gallery.
            frames: SHA-256 digest -> bytes.

        Raises:
            OSError: the disk is full or fails; what was written of these frames may remain.
        """
        folder = self._root / gallery
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            sync(self._root)
        for digest, content in frames.items():
            path = folder / digest.hex()
            if path.exists():
                # Another upload may have written it a moment ago and not synced it yet.
                with path.open("rb") as existing:
                    os.fsync(existing.fileno())
                continue
            incoming = self._root / INCOMING / secrets.token_hex(16)
            try:
                with incoming.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                incoming.replace(path)
            except BaseException:
                _unlink(incoming)
                raise
        sync(folder)

    def path(self, gallery: str, digest: bytes) -> Path:
        """Where the frame's file is, if it is stored."""
        return self._root / gallery / digest.hex()

    def remove(self, gallery: str, digests: Iterable[bytes]) -> int:
        """Remove the files; those already gone are fine. Returns how many were there."""
        return sum(1 for digest in digests if _unlink(self.path(gallery, digest)))

    def digests(self, gallery: str) -> list[bytes]:
        """Digest of every stored file of the gallery."""
        return [bytes.fromhex(name) for name in self._names(gallery) if _DIGEST.fullmatch(name)]

    def strangers(self, gallery: str) -> list[str]:
        """Names in the gallery's folder that are not those of frames."""
        return [name for name in self._names(gallery) if not _DIGEST.fullmatch(name)]

    def remove_folder(self, gallery: str) -> int:
        """Remove the gallery's folder with everything in it, durably; how many entries it had."""
        folder = self._root / gallery
        names = self._names(gallery)
        if folder.is_dir():
            shutil.rmtree(folder)
            sync(self._root)
        return len(names)

    def _names(self, gallery: str) -> list[str]:
        folder = self._root / gallery
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _unlink(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True
