"""The peer that needs no service: pgvector in the same PostgreSQL, half precision, scanned exactly."""

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
from numpy.typing import NDArray

PLACES = 20
_ROWS_AT_ONCE = 5_000
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"

_SEARCH = """
    SELECT id FROM pgvector_rows
    ORDER BY embedding <=> (SELECT embedding FROM pgvector_rows WHERE id = %s) LIMIT 20 OFFSET 1
"""


def fill(connection: psycopg.Connection, ids: Sequence[uuid.UUID], vectors: NDArray[np.float32]) -> None:
    """Store the rows as halfvec, in the rows themselves rather than in a table beside (the fastest way to scan)."""
    dimension = vectors.shape[1]
    connection.autocommit = True
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(f"CREATE TABLE pgvector_rows (id uuid PRIMARY KEY, embedding halfvec({dimension}) NOT NULL)")
    connection.execute("ALTER TABLE pgvector_rows ALTER embedding SET STORAGE PLAIN")
    # One row as COPY's binary format has it: two columns, each with its length before it.
    layout = np.dtype(
        [
            *(("columns", ">i2"), ("id_size", ">i4"), ("id", "V16"), ("size", ">i4")),
            *(("dimension", ">i2"), ("unused", ">i2"), ("values", ">f2", (dimension,))),
        ]
    )
    with connection.cursor().copy("COPY pgvector_rows FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(_SIGNATURE)
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            part = vectors[start : start + _ROWS_AT_ONCE]
            rows = np.zeros(len(part), layout)
            rows["columns"], rows["id_size"], rows["size"], rows["dimension"] = 2, 16, 4 + 2 * dimension, dimension
            rows["id"] = np.frombuffer(b"".join(one.bytes for one in ids[start : start + len(part)]), "V16")
            rows["values"] = part
            copy.write(rows.tobytes())
        copy.write(_END)
    connection.execute("VACUUM ANALYZE pgvector_rows")
    connection.autocommit = False


def nearest(connection: psycopg.Connection, query: uuid.UUID) -> list[uuid.UUID]:
    """The 20 rows nearest to a stored one, without itself."""
    return [row[0] for row in connection.execute(_SEARCH, (query,))]


def search_for(conninfo: str, queries: Sequence[uuid.UUID], clients: int, seconds: float) -> tuple[list[float], float]:
    """Ask for so long by so many clients: seconds of each answer, and seconds from first to last."""

    def ask(number: int) -> list[float]:
        latencies = []
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while time.perf_counter() - began < seconds:
                asked = time.perf_counter()
                nearest(connection, queries[(number + len(latencies) * clients) % len(queries)])
                latencies.append(time.perf_counter() - asked)
        return latencies

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        latencies = [latency for found in pool.map(ask, range(clients)) for latency in found]
    return latencies, time.perf_counter() - began
