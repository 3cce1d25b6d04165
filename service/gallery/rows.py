"""The vectors of an index, in blocks that are only ever appended to: searches need no lock."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch  # noqa: F401 - must be loaded before faiss
from numpy.typing import NDArray

import faiss  # isort: skip

from service.cores import allowed_cores
from service.gallery.blocks import Block, DeviceBlock, FloatBlock, HalfBlock, error_bound
from service.gallery.drafts import Draft, DraftUse
from service.threads import on_one_core

RowType = Literal["float32", "float16"]

T = TypeVar("T")
B = TypeVar("B")

_BLOCK_BYTES = 64 * 1024 * 1024
_LEAST_BLOCK_ROWS = 1024


def _begin_to_scan() -> None:
    on_one_core()
    faiss.omp_set_num_threads(1)


@functools.cache
def scan_threads() -> ThreadPoolExecutor:
    """The threads that search blocks, one for each core, for all indexes of the process."""
    return ThreadPoolExecutor(allowed_cores(), thread_name_prefix="scan", initializer=_begin_to_scan)


class Rows:
    """Unit vectors by row number. One writer at a time; readers may run beside it and see the rows they know of.

    Args:
        dimension: numbers D of a vector.
        row_type: what is searched. With `float16`, a full block is kept in float16 and, exact, in a file.
        device: `cpu`, or a GPU that holds a copy to search.
        scratch: folder for the files of float16 rows; None: the system's temporary folder.
        drafts: whether float32 rows on the CPU have drafts, for searches.

    Attributes:
        draft_use: whether searches should read them; None: there are none.
        error: how far a block's score may be from the exact one.
        count: rows written; readers know of fewer while a writer is at it.
    """

    def __init__(self, dimension: int, row_type: RowType, device: str, scratch: Path | None, drafts: bool) -> None:
        self.dimension = dimension
        self.error = error_bound(dimension, row_type == "float16")
        self.block_rows = max(_LEAST_BLOCK_ROWS, _BLOCK_BYTES // (4 * dimension))
        self._half = row_type == "float16"
        self._device = device
        self._scratch = scratch
        self.draft_use = DraftUse() if drafts and row_type == "float32" and device == "cpu" else None
        self._blocks: list[Block] = []
        self._drafts: list[Draft] = []
        self.count = 0

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Append unit vectors: (N, D) float32.

        Raises:
            OSError: float16 rows, and the disk is full.
        """
        written = 0
        while written < len(vectors):
            number, offset = divmod(self.count, self.block_rows)
            if number == len(self._blocks):
                if self.draft_use is not None:
                    self._drafts.append(Draft(self.block_rows, self.dimension))
                self._blocks.append(self._new_block())
            block = self._blocks[number]
            assert isinstance(block, FloatBlock)
            size = min(self.block_rows - offset, len(vectors) - written)
            block.write(offset, vectors[written : written + size])
            if self.draft_use is not None:
                self._drafts[number].write(offset, vectors[written : written + size])
            if self._half and offset + size == self.block_rows and not isinstance(block, DeviceBlock):
                # Readers that are at it keep the one they have.
                self._blocks[number] = HalfBlock(block.vectors, self._scratch)
            written += size
            self.count += size

    def over_blocks(self, count: int, act: Callable[[int, int, Block], T]) -> list[T]:
        """What `act` makes of the first row, the number of rows, and each block of the first `count` rows."""
        return self._over(count, act, self._blocks)

    def over_drafts(self, count: int, act: Callable[[int, int, Draft], T]) -> list[T]:
        """As `over_blocks`, of each block's draft."""
        return self._over(count, act, self._drafts)

    def _over(self, count: int, act: Callable[[int, int, B], T], parts: Sequence[B]) -> list[T]:
        firsts = range(0, count, self.block_rows)
        sizes = [min(self.block_rows, count - first) for first in firsts]
        if self._device == "cpu":
            return list(scan_threads().map(act, firsts, sizes, parts))
        return list(map(act, firsts, sizes, parts))

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The exact vectors of `rows`, in their order: (N, D)."""
        gathered = np.empty((len(rows), self.dimension), np.float32)
        numbers, offsets = np.divmod(rows, self.block_rows)
        for number in np.unique(numbers):
            here = numbers == number
            gathered[here] = self._blocks[number].gather(offsets[here])
        return gathered

    def _new_block(self) -> FloatBlock:
        if self._device == "cpu":
            return FloatBlock(self.block_rows, self.dimension)
        return DeviceBlock(self.block_rows, self.dimension, self._device, self._half)
