"""Galleries of made-up descriptors, written straight into PostgreSQL: as large as you like, without a network."""

import hashlib
import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from service.store.database import conninfo
from service.store.embedded import EmbeddedPostgres
from service.store.migrate import upgrade

FIRST_START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN_SECONDS = 1_000_000
"""Made-up tracklets start evenly within this time."""

CAMERAS = {"half": 0.5, "percent": 0.01, "rest": 0.49}
"""The part of the tracklets that each camera saw."""

_NEIGHBOURS = 8


def descriptors(rows: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    """(rows, dimension) float32 in clusters of about eight, so that every row has neighbours; of length about 1."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, dimension), np.float32)
    middles = rng.standard_normal((max(1, rows // _NEIGHBOURS), dimension), np.float32)
    for start in range(0, rows, 10_000):
        part = vectors[start : start + 10_000]
        part += middles[rng.integers(0, len(middles), len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


@contextmanager
def embedded_database(data: Path) -> Iterator[psycopg.Connection]:
    """The database of a service over this folder, before it starts: its schema is there, nothing else."""
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    server = EmbeddedPostgres(data / "postgres")
    server.start()
    try:
        upgrade(server.url())
        with psycopg.connect(conninfo(server.url())) as connection:
            yield connection
    finally:
        server.stop()


def fill(
    connection: psycopg.Connection,
    gallery: str,
    vectors: NDArray[np.float32],
    frames: Sequence[Sequence[bytes]] = ((bytes(32),),),
) -> list[uuid.UUID]:
    """Store a gallery with a tracklet for each descriptor, under a model of its own that does not exist, and commit.

    Args:
        frames: SHA-256s of the frames of one tracklet after another, taken in turns; by default one without a file,
            which is enough for searches.

    Returns:
        The tracklets' ids, in the order of `vectors`.
    """
    model_id = hashlib.sha256(gallery.encode()).hexdigest()
    connection.execute(
        "INSERT INTO models (id, dimension, architecture, image, provenance) "
        "VALUES (%s, %s, '{}', '{}', '{\"name\": \"made up\", \"trained\": true}')",
        (model_id, vectors.shape[1]),
    )
    gallery_id = _one(
        connection, "INSERT INTO galleries (name, change) VALUES (%s, %s) RETURNING id", gallery, len(vectors)
    )
    connection.execute(
        "INSERT INTO generations (gallery_id, number, model_id, status) VALUES (%s, 1, %s, 'ready')",
        (gallery_id, model_id),
    )
    cameras = [
        _one(connection, "INSERT INTO cameras (gallery_id, name) VALUES (%s, %s) RETURNING id", gallery_id, name)
        for name in CAMERAS
    ]
    numbers = random.Random(gallery)
    ids = [uuid.UUID(int=numbers.getrandbits(128), version=4) for _ in vectors]
    seen_by = numbers.choices(cameras, list(CAMERAS.values()), k=len(ids))
    starts = [FIRST_START + timedelta(seconds=numbers.uniform(0, SPAN_SECONDS)) for _ in ids]
    _copy(
        connection,
        "tracklets (id, gallery_id, camera_id, frames_digest, started_at, ended_at, labels, frame_count)",
        ("uuid", "int8", "int8", "bytea", "timestamptz", "timestamptz", "jsonb", "int4"),
        (
            (one, gallery_id, camera, one.bytes, start, start + timedelta(seconds=4), Jsonb({}), len(digests))
            for one, camera, start, digests in zip(ids, seen_by, starts, cycle(frames), strict=False)
        ),
    )
    _copy(
        connection,
        "frames (tracklet_id, position, gallery_id, sha256, media_type, width, height, size)",
        ("uuid", "int4", "int8", "bytea", "text", "int4", "int4", "int4"),
        (
            (one, position, gallery_id, digest, "image/jpeg", 128, 256, 1)
            for one, digests in zip(ids, cycle(frames), strict=False)
            for position, digest in enumerate(digests)
        ),
    )
    _copy(
        connection,
        "descriptors (tracklet_id, model_id, vector)",
        ("uuid", "text", "bytea"),
        ((one, model_id, vector.tobytes()) for one, vector in zip(ids, vectors, strict=True)),
    )
    _copy(
        connection,
        "changes (gallery_id, number, kind, tracklet_id)",
        ("int8", "int8", "text", "uuid"),
        ((gallery_id, number, "added", one) for number, one in enumerate(ids, start=1)),
    )
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")
    connection.autocommit = False
    return ids


def _one(connection: psycopg.Connection, statement: str, *values: object) -> int:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])


def _copy(
    connection: psycopg.Connection, target: str, types: Sequence[str], rows: Iterator[tuple[object, ...]]
) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
