"""Blocks of unit vectors, and how each kind finds the nearest of its rows.

What is proposed here is rescored elsewhere, so a block may be as fast as it can: its scores are float32, with an error
of at most `error_bound`.

`python -m benchmarks.block_speed --rounds 5`, 100,000 rows of 2048, a block on each of two cores: medians in
milliseconds for so many questions.

    questions   no mask: BLAS, loop   half allowed: loop, gathered   a mask for each: matrix   drafts
    1           43      31            18     58                      34                        17
    2           43      61            35     59                      67                        21
    4           42      96            51     55                      59                        19
    8           47      247           127    59                      74                        24
    32          84      442           277    64                      115                       33
"""

import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

import faiss  # isort: skip - after torch: their CUDA libraries are of two generations

# By default FAISS keeps BLAS for very large batches; it wins from the first query on.
faiss.cvar.distance_compute_blas_threshold = 1

_SCANNED_QUESTIONS = 1
"""Up to so many questions, FAISS's own loop is faster than a matrix product."""

_SCANNED_MASKED_QUESTIONS = 3
"""Up to so many questions with one mask, that loop with a selector is faster than gathering the allowed rows."""

Found = tuple[NDArray[np.float32], NDArray[np.int64]]


def error_bound(dimension: int, half: bool) -> float:
    """How far a block's score may be from the exact one, for unit vectors of this dimension.

    A float32 dot product is wrong by at most D u / (1 - D u), u = 2^-24 (Higham, Accuracy and Stability of Numerical
    Algorithms, 3.1); the rest allows for vectors that are unit only to float32. Rounding x to float16 moves each number
    by at most 2^-11 of itself, or half of the smallest step, 2^-25; by Cauchy-Schwarz, that moves the score by at most
    2^-11 + 2^-25 sqrt(D).
    """
    rounding = 2.0**-11 + 2.0**-25 * dimension**0.5 if half else 0.0
    return (dimension + 16) * 2.0**-24 + rounding


class Block(Protocol):
    """Some consecutive rows."""

    def nearest(self, queries: NDArray[np.float32], size: int, count: int, allowed: NDArray[np.bool_] | None) -> Found:
        """The best of the first `count` rows by inner product.

        Args:
            queries: (B, D) unit vectors.
            size: rows wanted for each.
            allowed: (count,) for all queries alike, (B, count), or None: which rows may answer.

        Returns:
            Scores and rows, (B, S) with S <= size, best first; a place without a row has row -1.
        """
        ...

    def at_least(self, queries: NDArray[np.float32], floors: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
        """Which of the first `count` rows score at least each query's floor: (B, count)."""
        ...

    def scores(self, queries: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Every score of the first `count` rows: (B, count)."""
        ...

    def gather(self, offsets: NDArray[np.int64]) -> NDArray[np.float32]:
        """These rows in float32: (N, D)."""
        ...


class FloatBlock:
    """Rows in memory, in float32; rows are written once, and then only read."""

    def __init__(self, capacity: int, dimension: int) -> None:
        # Pages of np.empty take memory only once they are written.
        self.vectors = np.empty((capacity, dimension), np.float32)

    def write(self, offset: int, vectors: NDArray[np.float32]) -> None:
        """Write rows from `offset` on."""
        self.vectors[offset : offset + len(vectors)] = vectors

    def gather(self, offsets: NDArray[np.int64]) -> NDArray[np.float32]:
        """As `Block.gather`."""
        gathered: NDArray[np.float32] = self.vectors[offsets]
        return gathered

    def nearest(self, queries: NDArray[np.float32], size: int, count: int, allowed: NDArray[np.bool_] | None) -> Found:
        """As `Block.nearest`."""
        rows = self.vectors[:count]
        if allowed is None:
            few = len(queries) <= _SCANNED_QUESTIONS
            return scanned(queries, rows, size, None) if few else nearest(queries, rows, size)
        if allowed.ndim == 2:
            return _by_matrix(torch.from_numpy(queries), torch.from_numpy(rows), size, torch.from_numpy(allowed))
        if len(queries) <= _SCANNED_MASKED_QUESTIONS:
            return scanned(queries, rows, size, allowed)
        numbers = np.flatnonzero(allowed)
        scores, found = nearest(queries, rows[numbers], size)
        return scores, numbers[found]

    def at_least(self, queries: NDArray[np.float32], floors: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
        """As `Block.at_least`."""
        return _reaching(torch.from_numpy(queries), torch.from_numpy(self.vectors[:count]), floors)

    def scores(self, queries: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """As `Block.scores`."""
        return _products(torch.from_numpy(queries), torch.from_numpy(self.vectors[:count]))


class HalfBlock:
    """Rows in memory in float16, for searching, and in float32 in a file, of which the few rows are read that count."""

    def __init__(self, vectors: NDArray[np.float32], scratch: Path | None) -> None:
        """Take over a full block.

        Raises:
            OSError: the disk does not take the file.
        """
        self._quantised = faiss.IndexScalarQuantizer(
            vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        self._quantised.add(vectors)
        try:
            self._exact = _in_a_file(vectors, scratch)
        except OSError as error:
            where = scratch or tempfile.gettempdir()
            raise OSError(error.errno, f"{error.strerror}: {where} must hold the float32 rows of the index") from error

    def gather(self, offsets: NDArray[np.int64]) -> NDArray[np.float32]:
        """As `Block.gather`."""
        return np.asarray(self._exact[offsets])

    def nearest(self, queries: NDArray[np.float32], size: int, count: int, allowed: NDArray[np.bool_] | None) -> Found:
        """As `Block.nearest`."""
        if allowed is not None and allowed.ndim == 2:
            parts = [self.nearest(queries[[n]], size, count, mask) for n, mask in enumerate(allowed)]
            return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        size = min(size, count)
        if allowed is None and count == self._quantised.ntotal:
            scores, found = self._quantised.search(queries, size)
            return scores, found
        if allowed is None:
            # The block was filled since this search began.
            allowed = np.ones(count, np.bool_)
        bits = np.packbits(allowed, bitorder="little")
        chosen = faiss.SearchParameters(  # type: ignore[call-arg]
            sel=faiss.IDSelectorBitmap(bits.size, faiss.swig_ptr(bits))
        )
        scores, found = self._quantised.search(queries, size, params=chosen)
        return scores, found

    def at_least(self, queries: NDArray[np.float32], floors: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
        """As `Block.at_least`."""
        rows = self._quantised.reconstruct_n(0, count)
        return _reaching(torch.from_numpy(queries), torch.from_numpy(rows), floors)

    def scores(self, queries: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """As `Block.scores`."""
        rows = self._quantised.reconstruct_n(0, count)
        return _products(torch.from_numpy(queries), torch.from_numpy(rows))


class DeviceBlock(FloatBlock):
    """Rows on a GPU as well: masks and deletions are applied to the products there."""

    def __init__(self, capacity: int, dimension: int, device: str, half: bool) -> None:
        super().__init__(capacity, dimension)
        # Some images switch TF32 on for all of torch: its error is beyond the bound.
        torch.backends.cuda.matmul.allow_tf32 = False
        self._rows = torch.zeros((capacity, dimension), dtype=torch.float16 if half else torch.float32, device=device)

    def write(self, offset: int, vectors: NDArray[np.float32]) -> None:
        """Write rows from `offset` on, here and there."""
        super().write(offset, vectors)
        self._rows[offset : offset + len(vectors)] = torch.from_numpy(vectors).to(self._rows)

    def nearest(self, queries: NDArray[np.float32], size: int, count: int, allowed: NDArray[np.bool_] | None) -> Found:
        """As `Block.nearest`."""
        # Products in float32 whatever the rows are in: the error bound counts on it.
        rows, device = self._rows[:count].float(), self._rows.device
        mask = None if allowed is None else torch.from_numpy(np.atleast_2d(allowed)).to(device)
        return _by_matrix(torch.from_numpy(queries).to(device), rows, size, mask)

    def at_least(self, queries: NDArray[np.float32], floors: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
        """As `Block.at_least`."""
        device = self._rows.device
        return _reaching(torch.from_numpy(queries).to(device), self._rows[:count].float(), floors)

    def scores(self, queries: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """As `Block.scores`."""
        return _products(torch.from_numpy(queries).to(self._rows.device), self._rows[:count].float())


def _in_a_file(vectors: NDArray[np.float32], folder: Path | None) -> NDArray[np.float32]:
    if folder is not None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Without a name from the beginning: it goes away with the process, however that ends. Written as a file, since a
    # full disk is an error then; through a memory map it would kill the process.
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(np.ascontiguousarray(vectors).data)
        file.flush()
        return np.memmap(file, np.float32, "r", shape=vectors.shape)


def nearest(queries: NDArray[np.float32], rows: NDArray[np.float32], size: int) -> Found:
    """The best `size` of `rows` for each query with FAISS: scores and row numbers, best first."""
    size = min(size, len(rows))
    if size == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    scores, found = faiss.knn(np.ascontiguousarray(queries), rows, size, faiss.METRIC_INNER_PRODUCT)
    return scores, found


def scanned(
    queries: NDArray[np.float32], rows: NDArray[np.float32], size: int, allowed: NDArray[np.bool_] | None
) -> Found:
    """The same in FAISS's own loop, on this core: without BLAS, and of the `allowed` rows alone."""
    size = min(size, len(rows) if allowed is None else int(np.count_nonzero(allowed)))
    scores = np.empty((len(queries), size), np.float32)
    found = np.empty((len(queries), size), np.int64)
    if size:
        bits = np.packbits(np.ones(len(rows), np.bool_) if allowed is None else allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits.size, faiss.swig_ptr(bits))
        queries = np.ascontiguousarray(queries)
        pointers: list[Any] = [faiss.swig_ptr(array) for array in (queries, rows, scores, found)]
        faiss.knn_inner_product(*pointers[:2], rows.shape[1], len(queries), len(rows), size, *pointers[2:], selector)  # type: ignore[call-arg]
    return scores, found


def _by_matrix(queries: torch.Tensor, rows: torch.Tensor, size: int, allowed: torch.Tensor | None) -> Found:
    products = queries @ rows.T
    if allowed is not None:
        products.masked_fill_(~allowed, -torch.inf)
    scores, found = products.topk(min(size, len(rows)), dim=1)
    found = found.masked_fill(scores == -torch.inf, -1)
    return scores.cpu().numpy(), found.cpu().numpy()


def _reaching(queries: torch.Tensor, rows: torch.Tensor, floors: NDArray[np.float32]) -> NDArray[np.bool_]:
    reaching = queries @ rows.T >= torch.from_numpy(floors).to(queries.device)[:, None]
    return np.asarray(reaching.cpu().numpy())


def _products(queries: torch.Tensor, rows: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray((queries @ rows.T).cpu().numpy())
