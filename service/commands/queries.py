"""What commands ask with: ids of stored tracklets, or folders of frames that are not stored."""

import uuid
from pathlib import Path

from model.cli import CommandError


def read_query(query: str) -> str | list[bytes]:
    """The id as it is, or the files of the folder by name.

    Raises:
        CommandError: it is neither an id nor a folder of files.
    """
    try:
        return str(uuid.UUID(query))
    except ValueError:
        folder = Path(query)
    try:
        frames = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
    except OSError as error:
        raise CommandError(f"{query}: neither an id nor a folder that can be read: {error.strerror}") from error
    if not frames:
        raise CommandError(f"{query}: there is no frame in this folder")
    return frames
