"""A full disk, told to whoever asked for what it has no room for."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import InsufficientStorage

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
