"""Reading a plain tar archive while it arrives: one member at a time, and nothing of it is ever written to a disk.

`tarfile` reads a stream too, but as the thread's own work, and takes whatever memory a header asks for. Here its one
function for a header block is used, and what stands between the blocks is bounded.
"""

import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from service.errors import InvalidArchive

_BLOCK = tarfile.BLOCKSIZE
_MOST_EXTENDED_BYTES = 64 * 1024
"""Of one extended header: names and times take a few hundred."""

_MOST_EXTENDED = 8
"""Extended headers before one member."""

_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")
_WITHOUT_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Attributes:
        name: as the archive has it, without a leading `./`; what is not UTF-8 are lone surrogates.
        kind: `other` is a link, a device, or whatever else is no plain file.
    """

    name: str
    size: int
    kind: Literal["file", "folder", "other"]


@dataclass
class _Extended:
    """What extended headers say of the member that follows them."""

    name: str | None = None
    size: int | None = None


class TarReader:
    """The members of an archive in their order.

    Args:
        chunks: the archive's bytes.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held = bytearray()
        self._began = False
        self._left = 0
        self._padding = 0

    async def next(self) -> Member | None:
        """Go on to the next member, past what was not read of the last one; None at the end mark of the archive.

        Raises:
            InvalidArchive: it is damaged, ends here without its end mark, or is no tar archive.
        """
        await self._skip(self._left + self._padding)
        self._left = self._padding = 0
        extended = _Extended()
        for _ in range(_MOST_EXTENDED + 1):
            block = await self._take(_BLOCK)
            if not any(block):
                return None
            header = self._header(block)
            if header.type in (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
                await self._extend(header, extended)
                continue
            return self._begin(header, extended)
        raise InvalidArchive(f"The archive has more than {_MOST_EXTENDED} extended headers before one member.")

    async def pieces(self) -> AsyncIterator[bytes]:
        """The content of the member, as it arrives.

        Raises:
            InvalidArchive: the archive ends before it does.
        """
        while self._left:
            if not self._held:
                await self._receive()
            piece = bytes(self._held[: self._left])
            del self._held[: len(piece)]
            self._left -= len(piece)
            yield piece

    async def read(self) -> bytes:
        """The content of the member, whose size the caller has looked at.

        Raises:
            InvalidArchive: as `pieces`.
        """
        return b"".join([piece async for piece in self.pieces()])

    async def drain(self) -> None:
        """Read what is left of the body, so that whoever sends it comes to read the answer."""
        self._held.clear()
        async for _ in self._chunks:
            pass

    def _header(self, block: bytes) -> tarfile.TarInfo:
        if not self._began and block.startswith(_COMPRESSED):
            raise InvalidArchive("The archive is compressed; send a plain tar.")
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            what = "is damaged: a header is wrong" if self._began else "is no tar archive"
            raise InvalidArchive(f"The body {what}.") from None
        self._began = True
        if header.size < 0:
            raise InvalidArchive("The archive is damaged: a member has a negative size.")
        return header

    async def _extend(self, header: tarfile.TarInfo, extended: _Extended) -> None:
        if header.size > _MOST_EXTENDED_BYTES:
            raise InvalidArchive(f"The archive has an extended header of more than {_MOST_EXTENDED_BYTES} bytes.")
        content = await self._take(header.size)
        await self._skip(-header.size % _BLOCK)
        if header.type == tarfile.GNUTYPE_LONGNAME:
            extended.name = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif header.type != tarfile.GNUTYPE_LONGLINK:
            _note(_records(content), extended, for_all=header.type == tarfile.XGLTYPE)

    def _begin(self, header: tarfile.TarInfo, extended: _Extended) -> Member:
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise _sparse()
        size = header.size if extended.size is None else extended.size
        if header.type not in _WITHOUT_DATA:
            self._left, self._padding = size, -size % _BLOCK
        name = (header.name if extended.name is None else extended.name).removeprefix("./")
        if header.type == tarfile.DIRTYPE:
            return Member(name, 0, "folder")
        is_file = header.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
        return Member(name, self._left, "file" if is_file else "other")

    async def _take(self, size: int) -> bytes:
        while len(self._held) < size:
            await self._receive()
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    async def _skip(self, size: int) -> None:
        while size:
            if not self._held:
                await self._receive()
            step = min(size, len(self._held))
            del self._held[:step]
            size -= step

    async def _receive(self) -> None:
        try:
            self._held += await anext(self._chunks)
        except StopAsyncIteration:
            raise InvalidArchive(
                "The archive ends before its end mark; it was cut off."
                if self._began
                else "The body is no tar archive."
            ) from None


def _records(content: bytes) -> dict[bytes, bytes]:
    """The records of a pax header (POSIX.1-2001): `LENGTH KEYWORD=VALUE` and a line break each."""
    records = {}
    start = 0
    while start < len(content):
        digits = content[start : start + 8].partition(b" ")[0]
        end = start + (int(digits) if digits.isdigit() else 0)
        keyword, equals, value = content[start + len(digits) + 1 : end].partition(b"=")
        if not equals or end > len(content) or not value.endswith(b"\n"):
            raise InvalidArchive("The archive is damaged: an extended header is wrong.")
        records[keyword] = value[:-1]
        start = end
    return records


def _note(records: dict[bytes, bytes], extended: _Extended, *, for_all: bool) -> None:
    """Keep what matters of a pax header: the name of the member that follows, and its size."""
    if any(keyword.startswith(b"GNU.sparse") for keyword in records):
        raise _sparse()
    name, size = records.get(b"path"), records.get(b"size")
    if for_all and (name is not None or size is not None):
        raise InvalidArchive("The archive gives all of its members one name or size.")
    if name is not None:
        extended.name = name.decode("utf-8", "surrogateescape")
    if size is not None:
        if not size.isdigit() or len(size) > 18:
            raise InvalidArchive("The archive is damaged: a member has no size.")
        extended.size = int(size)


def _sparse() -> InvalidArchive:
    return InvalidArchive("The archive has a sparse member; write it without --sparse.")
