"""Bodies that are sent piece by piece: open files, and what is made on the way."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
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


def pieces(body: BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """Yield what is left of an open file, or what a body is made of."""
    if isinstance(body, Iterable) and not hasattr(body, "read"):
        yield from body
        return
    while piece := body.read(_PIECE_BYTES):
        yield piece


async def async_pieces(body: BinaryIO | Iterable[bytes]) -> AsyncIterator[bytes]:
    """The same for an event loop, which goes on while a thread reads or makes a piece."""
    drawn = pieces(body)
    while (piece := await asyncio.to_thread(next, drawn, None)) is not None:
        yield piece
