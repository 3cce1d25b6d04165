"""Snapshots: an index on disk, to boot fast. Never the truth: what does not verify is thrown away and rebuilt.

One file: magic, SHA-256 of all that follows, length of the manifest, manifest (JSON), then the columns, raw and little
endian, in the order ids, camera, started, ended, vectors. The checksum covers every byte after itself, so a flipped
bit anywhere is noticed.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.gallery.filters import Columns
from service.gallery.index import GalleryIndex

MAGIC = b"tfclip snapshot 1\n"
_CHUNK = 4 * 1024 * 1024


class SnapshotError(Exception):
    """The snapshot cannot be used; the message says why."""


@dataclass(frozen=True)
class Manifest:
    """What a snapshot holds: which index, how many rows, and the last change that they contain."""

    gallery_id: int
    generation: int
    model_id: str
    dimension: int
    rows: int
    applied: int
    cameras: tuple[str, ...]


def write(path: Path, index: GalleryIndex, gallery_id: int, generation: int, model_id: str) -> Manifest:
    """Save the index atomically: temporary file, fsync, rename, fsync of the folder. Must not run beside a writer.

    Raises:
        OSError: the disk is full or fails; `path` is as it was.
    """
    vectors, ids, columns = index.export()
    manifest = Manifest(
        gallery_id, generation, model_id, index.dimension, len(vectors), index.applied, tuple(columns.cameras)
    )
    header = json.dumps(asdict(manifest)).encode()
    rows = len(vectors)
    parts: list[NDArray[Any]] = [ids, columns.camera[:rows], columns.started[:rows], columns.ended[:rows], vectors]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(MAGIC + bytes(32))
            digest = hashlib.sha256()
            for chunk in _chunks(header, parts):
                digest.update(chunk)
                file.write(chunk)
            file.seek(len(MAGIC))
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return manifest


def read(path: Path) -> tuple[Manifest, GalleryIndex]:
    """Load and verify a snapshot.

    Raises:
        SnapshotError: it is truncated, altered, or of another format.
        FileNotFoundError: there is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise SnapshotError("it does not begin as a snapshot of this version does")
        expected = file.read(32)
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        if digest.digest() != expected:
            raise SnapshotError("its checksum does not match its content")
        file.seek(len(MAGIC) + 32)
        return _parse(file)


def _parse(file: BufferedReader) -> tuple[Manifest, GalleryIndex]:
    fields = json.loads(file.read(int.from_bytes(file.read(4), "little")))
    manifest = Manifest(**{**fields, "cameras": tuple(fields["cameras"])})
    rows = manifest.rows
    ids = _array(file, ">u8", (rows, 2))
    columns = Columns(manifest.cameras)
    columns.put(0, _array(file, "<i4", (rows,)), _array(file, "<i8", (rows,)), _array(file, "<i8", (rows,)))
    index = GalleryIndex(manifest.dimension, applied=manifest.applied)
    index.append(_array(file, "<f4", (rows, manifest.dimension)), ids, columns)
    return manifest, index


def _array(file: BufferedReader, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.empty(shape, dtype)
    if file.readinto(_bytes_of(array)) != array.nbytes:
        raise SnapshotError("it is shorter than its manifest says")
    return array


def _chunks(header: bytes, parts: list[NDArray[Any]]) -> Iterator[bytes | memoryview]:
    yield len(header).to_bytes(4, "little")
    yield header
    for part in parts:
        yield _bytes_of(np.ascontiguousarray(part))


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """The array's memory as bytes, without a copy; the array is contiguous."""
    return array.reshape(-1).view(np.uint8).data
