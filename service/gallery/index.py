"""Exact search over the descriptors of one gallery.

FAISS proposes, in float32 and however fast it can; one routine rescores the proposals in float64, row by row, so that
a score depends on nothing but the two vectors. Proposals are widened until FAISS's rounding error cannot have hidden
a row that belongs in the answer. Rows live in blocks that are only appended to, so a search needs no lock.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch  # noqa: F401 - must be loaded before faiss: their CUDA libraries are of two generations
from numpy.typing import NDArray

import faiss  # isort: skip

from service.gallery.filters import Columns, Filters, grown, microseconds
from service.store.changes import IndexRow

MARGIN = 32
"""Rows proposed beyond the k asked for."""

FEW_EXCLUDED = 64
"""Up to so many excluded rows are asked for in addition and dropped: a FAISS selector would switch BLAS off."""

NARROW = 8
"""A mask that lets at most one row in so many through is searched over the gathered rows."""

_BLOCK_BYTES = 64 * 1024 * 1024
_RESCORE_ROWS = 4096


@dataclass(frozen=True)
class Hit:
    """One row of an answer; `score` is the cosine similarity."""

    tracklet_id: uuid.UUID
    score: float


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its L2 norm: (N, D) float32 -> (N, D) float32, each row independent of the others.

    Raises:
        ValueError: a row is zero or not finite, so it has no direction.
    """
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.add.reduce(wide * wide, axis=1))
    if not (np.isfinite(norms) & (norms > 0)).all():
        raise ValueError("a descriptor is zero or not finite")
    unit: NDArray[np.float32] = (wide / norms[:, None]).astype(np.float32)
    return unit


def cosine_scores(rows: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row with the query: (N, D) and (D,) float32 -> (N,) float64.

    A sum's order depends on D alone (NumPy's pairwise summation along a contiguous row; no BLAS), so a score is the
    same bit for bit whichever rows are scored with it.
    """
    wide = rows.astype(np.float64)
    sought = query.astype(np.float64)
    norms = np.sqrt(np.add.reduce(wide * wide, axis=1)) * np.sqrt(np.add.reduce(sought * sought))
    scores: NDArray[np.float64] = np.clip(np.add.reduce(wide * sought, axis=1) / norms, -1.0, 1.0)
    return scores


class GalleryIndex:
    """Descriptors of one gallery under one model, with their columns.

    One writer at a time (`add`, `remove`); searches may run meanwhile in any thread and see the rows that were there
    when they began.

    Attributes:
        dimension: length D of a descriptor.
        applied: number of the last change that the index contains.
    """

    def __init__(self, dimension: int, applied: int = 0) -> None:
        self.dimension = dimension
        self.applied = applied
        # By default FAISS keeps BLAS for very large batches; it wins from the first query on.
        faiss.cvar.distance_compute_blas_threshold = 1
        self._block_rows = max(1024, _BLOCK_BYTES // (4 * dimension))
        self._blocks: list[NDArray[np.float32]] = []
        self._columns = Columns()
        self._ids = np.empty((0, 2), ">u8")
        self._alive = np.empty(0, np.bool_)
        self._rows: dict[uuid.UUID, int] = {}
        self._count = 0

    def __len__(self) -> int:
        """Tracklets that can be found."""
        return len(self._rows)

    def __contains__(self, tracklet_id: uuid.UUID) -> bool:
        return tracklet_id in self._rows

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Append rows.

        Raises:
            ValueError: an id is there already, a descriptor has another length, is zero or not finite. Nothing is
                added then.
        """
        if not rows:
            return
        for row in rows:
            if row.tracklet_id in self._rows:
                raise ValueError(f"tracklet {row.tracklet_id} is in the index already")
            if len(row.vector) != 4 * self.dimension:
                raise ValueError(
                    f"descriptor of {row.tracklet_id} has {len(row.vector)} bytes, expected {4 * self.dimension}"
                )
        vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), self.dimension)
        ids = np.frombuffer(b"".join(row.tracklet_id.bytes for row in rows), ">u8").reshape(len(rows), 2)
        columns = Columns(self._columns.cameras)
        columns.put(
            0,
            np.array([columns.code(row.camera) for row in rows], np.int32),
            np.array([microseconds(row.started_at) for row in rows], np.int64),
            np.array([microseconds(row.ended_at) for row in rows], np.int64),
        )
        self.append(unit_rows(vectors), ids, columns)

    def append(self, vectors: NDArray[np.float32], ids: NDArray[np.uint64], columns: Columns) -> None:
        """Append rows that are unit vectors already: (N, D) float32, (N, 2) big-endian uint64, N rows of columns."""
        start, size = self._count, len(vectors)
        self._write_blocks(start, vectors)
        self._ids = grown(self._ids, start + size)
        self._ids[start : start + size] = ids
        self._alive = grown(self._alive, start + size)
        self._alive[start : start + size] = True
        recode = np.array([self._columns.code(name) for name in columns.cameras], np.int32)
        self._columns.put(start, recode[columns.camera[:size]], columns.started[:size], columns.ended[:size])
        for offset, row_id in enumerate(ids):
            self._rows[uuid.UUID(bytes=row_id.tobytes())] = start + offset
        # Readers look at this first: rows exist for them only from here on.
        self._count = start + size

    def remove(self, tracklet_id: uuid.UUID) -> bool:
        """Take a tracklet out; no search that begins after this finds it. False when it was not there."""
        row = self._rows.pop(tracklet_id, None)
        if row is None:
            return False
        self._alive[row] = False
        return True

    def export(self) -> tuple[NDArray[np.float32], NDArray[np.uint64], Columns]:
        """Copies of the live rows, as `append` takes them. Must not run beside a writer."""
        keep = np.flatnonzero(self._alive[: self._count])
        columns = Columns(self._columns.cameras)
        columns.put(0, self._columns.camera[keep], self._columns.started[keep], self._columns.ended[keep])
        return self._gather(keep), self._ids[keep], columns

    def search(
        self, query: NDArray[np.float32], k: int, filters: Filters | None = None, exclude: uuid.UUID | None = None
    ) -> list[Hit]:
        """The k best rows that pass, by (-score, tracklet id).

        Args:
            query: (D,) float32, any positive length.
            exclude: a tracklet that must not answer, such as the query itself.

        Raises:
            ValueError: the query has another length, is zero or not finite, or k < 1.
        """
        if query.shape != (self.dimension,) or k < 1:
            raise ValueError(f"query of shape {query.shape} and k={k}, expected ({self.dimension},) and k >= 1")
        count = self._count
        allowed = self._alive[:count].copy()
        if filters is not None:
            allowed &= self._columns.mask(filters, count)
        own_row = self._rows.get(exclude) if exclude is not None else None
        if own_row is not None and own_row < count:
            allowed[own_row] = False
        unit = unit_rows(query[None])[0]
        total = int(np.count_nonzero(allowed))
        # |error| of a float32 dot product of unit vectors is at most D u / (1 - D u), u = 2^-24 (Higham, Accuracy and
        # Stability of Numerical Algorithms, 3.1); the rest allows for vectors that are unit only to float32.
        error = (self.dimension + 16) * 2.0**-24
        proposed = k + MARGIN
        while True:
            rows, ceiling = self._propose(unit, allowed, total, proposed)
            scores = self._rescore(rows, unit)
            ids = self._ids[rows]
            order = np.lexsort((ids[:, 1], ids[:, 0], -scores))[:k]
            if ceiling is None or (len(order) == k and scores[order[-1]] > ceiling + error):
                return [Hit(uuid.UUID(bytes=ids[i].tobytes()), float(scores[i])) for i in order]
            proposed *= 8

    def _propose(
        self, query: NDArray[np.float32], allowed: NDArray[np.bool_], total: int, size: int
    ) -> tuple[NDArray[np.int64], float | None]:
        """About `size` allowed rows that score highest in float32, and the highest score a row left out can have.

        The second is None when no allowed row was left out.
        """
        if size >= total:
            return np.flatnonzero(allowed), None
        if total * NARROW <= len(allowed):
            rows = np.flatnonzero(allowed)
            scores, found = _nearest(query, self._gather(rows), size)
            return rows[found], float(scores[-1])
        excluded = len(allowed) - total
        use_selector = excluded > FEW_EXCLUDED
        wanted = size if use_selector else size + excluded
        all_scores, all_rows = [], []
        for number, block in enumerate(self._blocks):
            first = number * self._block_rows
            here = allowed[first : first + self._block_rows]
            if here.size:
                scores, found = _nearest(query, block[: here.size], wanted, here if use_selector else None)
                all_scores.append(scores)
                all_rows.append(found + first)
        scores, rows = np.concatenate(all_scores), np.concatenate(all_rows)
        best = np.argsort(-scores, kind="stable")[:wanted]
        ceiling = float(scores[best[-1]])
        rows = rows[best]
        return rows[allowed[rows]], ceiling

    def _rescore(self, rows: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float64]:
        parts = [
            cosine_scores(self._gather(rows[start : start + _RESCORE_ROWS]), query)
            for start in range(0, len(rows), _RESCORE_ROWS)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.float64)

    def _gather(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of `rows`, in their order: (N, D)."""
        gathered = np.empty((len(rows), self.dimension), np.float32)
        blocks, offsets = np.divmod(rows, self._block_rows)
        for number in np.unique(blocks):
            here = blocks == number
            gathered[here] = self._blocks[number][offsets[here]]
        return gathered

    def _write_blocks(self, start: int, vectors: NDArray[np.float32]) -> None:
        written = 0
        while written < len(vectors):
            number, offset = divmod(start + written, self._block_rows)
            if number == len(self._blocks):
                # Pages of np.empty take memory only once they are written.
                self._blocks.append(np.empty((self._block_rows, self.dimension), np.float32))
            size = min(self._block_rows - offset, len(vectors) - written)
            self._blocks[number][offset : offset + size] = vectors[written : written + size]
            written += size


def _nearest(
    query: NDArray[np.float32], rows: NDArray[np.float32], size: int, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The best `size` of `rows` by inner product with FAISS: scores and row numbers, best first."""
    size = min(size, len(rows) if allowed is None else int(np.count_nonzero(allowed)))
    if size == 0:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    queries = np.ascontiguousarray(query[None], np.float32)
    if allowed is None:
        scores, found = faiss.knn(queries, rows, size, faiss.METRIC_INNER_PRODUCT)
        return scores[0], found[0]
    bits = np.packbits(allowed, bitorder="little")
    selector = faiss.IDSelectorBitmap(bits.size, faiss.swig_ptr(bits))
    scores = np.empty((1, size), np.float32)
    found = np.empty((1, size), np.int64)
    pointer = faiss.swig_ptr
    faiss.knn_inner_product(
        pointer(queries), pointer(rows), rows.shape[1], 1, len(rows), size, pointer(scores), pointer(found), selector
    )
    return scores[0], found[0]
