"""Weights on disk: `models/ID.safetensors`, whole or not at all, one file for each model."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.disk import sync
from service.errors import FieldError, InvalidRequest, NotFound

INCOMING = ".incoming"
"""Inside `models/`: half-written files, each under a name of its own, so that processes do not meet in one."""

SUFFIX = ".safetensors"


class ModelFiles:
    """The folder `models/` of one data directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for folder in (root, root / INCOMING):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, model_id: str) -> Path:
        """Where the model's weights are, if they are kept."""
        return self._root / f"{model_id}{SUFFIX}"

    def holds(self, model_id: str) -> bool:
        """Whether the model's weights are there."""
        return self.path(model_id).is_file()

    def find(self, name: str) -> Path:
        """The file of the user's own that `name`, a path from `models/` on, stands for.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: the name leads elsewhere, or to something that is no regular `.safetensors` file.
        """
        parts = name.split("/")
        if "\0" in name or not all(parts) or any(part.startswith(".") for part in parts):
            raise _bad_path("must be a path inside models/ of the data directory, such as mine.safetensors")
        if not name.endswith(SUFFIX):
            raise _bad_path(f"must end with {SUFFIX}; other files are made into one with `tfclip weights`")
        try:
            found = (self._root / name).resolve(strict=True)
        except FileNotFoundError:
            raise NotFound(
                f"There is no file {name[:200]!r} in models/ of the data directory. Copy it there, or upload it."
            ) from None
        except (OSError, RuntimeError):
            raise _bad_path("cannot be read by the service, or leads nowhere") from None
        if not found.is_relative_to(self._root.resolve()):
            raise _bad_path("is a link that leads out of models/; copy the file there instead")
        if not found.is_file():
            raise _bad_path("is not a regular file")
        return found

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A fresh place to write a file at before it is kept; what is still there when the block ends is removed."""
        path = self._root / INCOMING / secrets.token_hex(16)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def copy(self, source: Path, incoming: Path) -> None:
        """Copy a weights file to a place of `incoming`.

        Raises:
            OSError: one of the two fails, or the disk is full.
        """
        shutil.copyfile(source, incoming)
        sync(incoming)

    def keep(self, incoming: Path, model_id: str) -> None:
        """Make the file, which is whole and synced, the model's weights; it replaces what is there.

        Raises:
            OSError: the disk fails.
        """
        incoming.replace(self.path(model_id))
        sync(self._root)

    def remove(self, model_id: str) -> None:
        """Remove the model's weights, if they are there."""
        self.path(model_id).unlink(missing_ok=True)
        sync(self._root)

    def discard_incoming(self, older_than_seconds: float = 3600.0) -> int:
        """Remove half-written files of processes that died, and leave those that may be in the making."""
        oldest = time.time() - older_than_seconds
        removed = 0
        for path in (self._root / INCOMING).iterdir():
            try:
                if path.stat().st_mtime < oldest:
                    path.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
        return removed


def _bad_path(message: str) -> InvalidRequest:
    return InvalidRequest(f"body.path {message}.", [FieldError("body.path", message)])
