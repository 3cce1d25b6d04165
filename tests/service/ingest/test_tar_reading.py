"""The reader of archives agrees with tarfile on what is sound, refuses what is not, and takes no memory for it."""

import random
import tarfile
from collections.abc import AsyncIterator
from io import BytesIO

import pytest

from service.errors import InvalidArchive
from service.ingest.tar_reading import TarReader
from tests.service.ingest.archives import tar_of

pytestmark = pytest.mark.anyio

MEMBERS = [
    ("a.jpg", b"x" * 700),
    ("empty", b""),
    ("block", b"y" * 512),
    ("long/" + "n" * 230 + ".jpg", b"z" * 3000),
    ("\u00e9\u4eba.png", bytes(range(256)) * 9),
]


async def in_pieces(content: bytes, seed: int = 0) -> AsyncIterator[bytes]:
    """The bytes as a network brings them; nothing is sent beyond them."""
    source, start = random.Random(seed), 0
    while start < len(content):
        size = source.choice([1, 100, 511, 512, 513, 5000])
        yield content[start : start + size]
        start += size


async def read(content: bytes, seed: int = 0) -> list[tuple[str, str, bytes]]:
    archive = TarReader(in_pieces(content, seed))
    found = []
    while (member := await archive.next()) is not None:
        found.append((member.name, member.kind, await archive.read()))
    return found


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_members_are_those_that_tarfile_reads(format: int) -> None:
    members = MEMBERS if format != tarfile.USTAR_FORMAT else [*MEMBERS[:3], MEMBERS[4]]
    content = tar_of(members, format)
    with tarfile.open(fileobj=BytesIO(content)) as twin:
        expected = [(one.name, "file", twin.extractfile(one).read()) for one in twin]
    assert await read(content) == expected == [(name, "file", data) for name, data in members]


async def test_what_is_not_read_is_passed_over() -> None:
    archive = TarReader(in_pieces(tar_of(MEMBERS)))
    assert [(await archive.next()).name for _ in MEMBERS] == [name for name, _ in MEMBERS]
    assert await archive.next() is None


async def test_links_devices_and_folders_are_told_from_files() -> None:
    buffer = BytesIO()
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CONTTYPE]
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, kind in enumerate(kinds):
            member = tarfile.TarInfo(f"./{number}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    found = await read(buffer.getvalue())
    assert found == [(str(n), "folder" if kind == tarfile.DIRTYPE else "other", b"") for n, kind in enumerate(kinds)]


async def test_an_archive_that_is_cut_off_anywhere_is_refused() -> None:
    content = tar_of(MEMBERS)
    end = content.rindex(b"\xff") + 1
    end += -end % 512
    for length in [*range(0, end, 97), *range(0, end + 1, 512), end + 511]:
        with pytest.raises(InvalidArchive):
            await read(content[:length], length)
    assert len(await read(content[: end + 512])) == len(MEMBERS)


async def test_flipped_bits_are_refused_or_change_content_only() -> None:
    content, source = tar_of(MEMBERS), random.Random(1)
    refused = 0
    for seed in range(300):
        flipped = bytearray(content)
        flipped[source.randrange(len(content))] ^= 1 << source.randrange(8)
        try:
            found = await read(bytes(flipped), seed)
        except InvalidArchive:
            refused += 1
        else:
            assert len(found) <= len(MEMBERS)
    assert refused > 50


def header(kind: bytes, size: int, name: str = "a") -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


async def endless(start: bytes) -> AsyncIterator[bytes]:
    yield start
    while True:
        yield bytes(65536)


def pax(record: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    content = b"%d %s\n" % (len(record) + 4 + (len(record) > 95), record)
    return header(kind, len(content)) + content.ljust(512, b"\0")


BOMBS = {
    "pax header of a terabyte": header(tarfile.XHDTYPE, 2**40),
    "global header of a terabyte": header(tarfile.XGLTYPE, 2**40),
    "long name of a terabyte": header(tarfile.GNUTYPE_LONGNAME, 2**40),
    "a thousand headers": header(tarfile.XHDTYPE, 0) * 1000,
    "headers for ever": header(tarfile.GNUTYPE_LONGLINK, 0) * 20,
    "negative size": header(tarfile.REGTYPE, -1024),
    "sparse": header(tarfile.GNUTYPE_SPARSE, 512),
    "sparse in pax": pax(b"GNU.sparse.major=1"),
    "size in pax": pax(b"size=-1"),
    "size in digits": pax(b"size=" + b"9" * 40),
    "one size for all": pax(b"size=9", tarfile.XGLTYPE),
    "no record": header(tarfile.XHDTYPE, 10) + b"10 nothing".ljust(512, b"\0"),
    "record beyond the header": header(tarfile.XHDTYPE, 10) + b"99 path=a\n".ljust(512, b"\0"),
    "record of no length": header(tarfile.XHDTYPE, 10) + b"0 path=ab\n".ljust(512, b"\0"),
    "gzip": b"\x1f\x8b\x08\0",
    "random": random.Random(3).randbytes(512),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_what_asks_for_more_than_a_header_needs_is_refused_at_once(name: str) -> None:
    with pytest.raises(InvalidArchive):
        await TarReader(endless(BOMBS[name])).next()


async def test_a_name_and_a_size_in_a_pax_header_win() -> None:
    content = pax(b"path=real") + pax(b"size=3") + header(tarfile.REGTYPE, 0, "shown") + b"abc".ljust(512, b"\0")
    assert await read(content + bytes(512)) == [("real", "file", b"abc")]
