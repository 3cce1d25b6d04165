"""What must reach the disk, and a full disk, told to whoever asked for what it has no room for."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import InsufficientStorage

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sync(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def full_disk_told(where: str) -> Iterator[None]:
    """Turn a system's ways of saying "no room" into an error of the request; pass everything else on.

    Args:
        where: what the disk holds.

    Raises:
        InsufficientStorage: the disk, a quota or a limit on the size of files is exhausted.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise no_room(where) from error


def no_room(where: str) -> InsufficientStorage:
    """What to say when the disk that holds `where` is full."""
    return InsufficientStorage(
        f"The disk that holds {where} is full; nothing of this request was kept. Make room there, then send it again."
    )
