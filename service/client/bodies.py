"""Bodies that are sent piece by piece: open files, and what is made on the way."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

_PIECE_BYTES = 64 * 1024


def announced(file: BinaryIO) -> dict[str, str]:
    """The header that says how much of an open file is to come; none where only reading tells."""
    if not file.seekable():
        return {}
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return {"Content-Length": str(end - here)}


@dataclass(frozen=True)
class Pieces:
    """A body for the synchronous client: what is left of an open file, or the bytes that `body` yields."""

    body: BinaryIO | Iterable[bytes]

    def __iter__(self) -> Iterator[bytes]:
        # An open file yields lines, which may be of any length.
        read = getattr(self.body, "read", None)
        return iter(self.body) if read is None else iter(lambda: read(_PIECE_BYTES), b"")


@dataclass(frozen=True)
class AsyncPieces:
    """The same for the asynchronous client: the event loop goes on while a thread reads or makes a piece."""

    body: BinaryIO | Iterable[bytes]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(Pieces(self.body))
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece
