"""Snapshots: an index on disk, to boot fast. Never the truth: what does not verify is thrown away and rebuilt.

One file: magic, SHA-256 of all that follows, length of the manifest, manifest (JSON), then arrays, raw and little
endian: ids, the columns, vectors. The checksum covers every byte after itself, so a flipped bit anywhere is noticed.
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

from service.disk import sync
from service.gallery.columns import Columns, Labels, Table
from service.gallery.index import Frozen, GalleryIndex

MAGIC = b"tfclip snapshot 2\n"
_CHUNK = 4 * 1024 * 1024
_ROW_COLUMNS = (("camera", "<i4"), ("started", "<i8"), ("ended", "<i8"), ("identity", "<i4"), ("frames", "<i4"))


class SnapshotError(Exception):
    """The snapshot cannot be used; the message says why."""


@dataclass(frozen=True)
class Manifest:
    """What a snapshot holds: which index, its `rebuild`, how many rows, and the last change that they contain."""

    gallery_id: int
    generation: int
    model_id: str
    dimension: int
    rows: int
    applied: int
    labels: int
    cameras: list[str]
    identities: list[str]
    pairs: list[list[str]]
    rebuild: int = 0


def write(path: Path, frozen: Frozen, gallery_id: int, generation: int, model_id: str) -> None:
    """Save atomically: temporary file, fsync, rename, fsync of the folder. May run beside writers and searches.

    Raises:
        OSError: the disk is full or fails; `path` is as it was.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(MAGIC + bytes(32))
            digest = hashlib.sha256()
            for chunk in _chunks(frozen, gallery_id, generation, model_id):
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
    sync(path.parent)


def read(path: Path, **index_options: Any) -> tuple[Manifest, GalleryIndex]:
    """Load and verify a snapshot into an index that is made with these keywords of `GalleryIndex`.

    Raises:
        SnapshotError: it is truncated, altered, or of another format.
        FileNotFoundError: there is none.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        _verify(file)
        return _parse(file, index_options)


def verify(path: Path) -> Manifest:
    """See whether a snapshot is whole, without loading its rows; says what it holds.

    Raises:
        SnapshotError, FileNotFoundError, OSError: as `read`.
    """
    with path.open("rb") as file:
        _verify(file)
        return _manifest(file)


def _verify(file: BufferedReader) -> None:
    """Read the whole file; it is left where the manifest begins."""
    if file.read(len(MAGIC)) != MAGIC:
        raise SnapshotError("it does not begin as a snapshot of this version does")
    expected = file.read(32)
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    if digest.digest() != expected:
        raise SnapshotError("its checksum does not match its content")
    file.seek(len(MAGIC) + 32)


def _manifest(file: BufferedReader) -> Manifest:
    return Manifest(**json.loads(file.read(int.from_bytes(file.read(4), "little"))))


def _parse(file: BufferedReader, index_options: dict[str, Any]) -> tuple[Manifest, GalleryIndex]:
    manifest = _manifest(file)
    ids = _array(file, ">u8", (manifest.rows, 2))
    columns = Columns()
    columns.count = manifest.rows
    columns.cameras, columns.identities = Table(manifest.cameras), Table(manifest.identities)
    columns.pairs = Table((key, kind, value) for key, kind, value in manifest.pairs)
    for name, dtype in _ROW_COLUMNS:
        setattr(columns, name, _array(file, dtype, (manifest.rows,)))
    row, pair = (_array(file, "<i4", (manifest.labels,)) for _ in range(2))
    columns.labels = Labels(manifest.labels, row, pair)

    def vectors() -> Iterator[NDArray[np.float32]]:
        size = max(1, _CHUNK // (4 * manifest.dimension))
        for start in range(0, manifest.rows, size):
            yield _array(file, "<f4", (min(size, manifest.rows - start), manifest.dimension))

    index = GalleryIndex(manifest.dimension, manifest.applied, rebuild=manifest.rebuild, **index_options)
    index.append(vectors(), ids, columns)
    return manifest, index


def _array(file: BufferedReader, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.empty(shape, dtype)
    if file.readinto(_bytes_of(array)) != array.nbytes:
        raise SnapshotError("it is shorter than its manifest says")
    return array


def _chunks(frozen: Frozen, gallery_id: int, generation: int, model_id: str) -> Iterator[bytes | memoryview]:
    columns = frozen.columns
    manifest = Manifest(
        gallery_id,
        generation,
        model_id,
        frozen.dimension,
        len(frozen.ids),
        frozen.applied,
        columns.labels.count,
        columns.cameras.values,
        columns.identities.values,
        [list(pair) for pair in columns.pairs.values],
        frozen.rebuild,
    )
    header = json.dumps(asdict(manifest)).encode()
    yield len(header).to_bytes(4, "little")
    yield header
    yield _bytes_of(np.ascontiguousarray(frozen.ids))
    for name, dtype in _ROW_COLUMNS:
        yield _bytes_of(np.ascontiguousarray(getattr(columns, name)[: columns.count], dtype))
    for array in (columns.labels.row, columns.labels.pair):
        yield _bytes_of(np.ascontiguousarray(array[: columns.labels.count], "<i4"))
    for vectors in frozen.vectors():
        yield _bytes_of(np.ascontiguousarray(vectors, "<f4"))


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """The array's memory as bytes, without a copy; the array is contiguous."""
    return array.reshape(-1).view(np.uint8).data
