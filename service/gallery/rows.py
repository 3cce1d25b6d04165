"""The vectors of an index, in blocks that are only ever appended to: searches need no lock."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.gallery.blocks import Block, DeviceBlock, FloatBlock, HalfBlock, error_bound

RowType = Literal["float32", "float16"]

T = TypeVar("T")

_BLOCK_BYTES = 64 * 1024 * 1024
_LEAST_BLOCK_ROWS = 1024


class Rows:
    """Unit vectors by row number. One writer at a time; readers may run beside it and see the rows they know of.

    Args:
        dimension: numbers D of a vector.
        row_type: what is searched. With `float16`, a full block is kept in float16 and, exact, in a file.
        device: `cpu`, or a GPU that holds a copy to search.
        scratch: folder for the files of float16 rows; None: the system's temporary folder.

    Attributes:
        error: how far a block's score may be from the exact one.
        count: rows written; readers know of fewer while a writer is at it.
    """

    def __init__(self, dimension: int, row_type: RowType, device: str, scratch: Path | None) -> None:
        self.dimension = dimension
        self.error = error_bound(dimension, row_type == "float16")
        self.block_rows = max(_LEAST_BLOCK_ROWS, _BLOCK_BYTES // (4 * dimension))
        self._half = row_type == "float16"
        self._device = device
        self._scratch = scratch
        self._blocks: list[Block] = []
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="scan")
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
                self._blocks.append(self._new_block())
            block = self._blocks[number]
            assert isinstance(block, FloatBlock)
            size = min(self.block_rows - offset, len(vectors) - written)
            block.write(offset, vectors[written : written + size])
            if self._half and offset + size == self.block_rows and not isinstance(block, DeviceBlock):
                # Readers that are at it keep the one they have.
                self._blocks[number] = HalfBlock(block.vectors, self._scratch)
            written += size
            self.count += size

    def blocks(self, count: int) -> Iterator[tuple[int, int, Block]]:
        """The blocks of the first `count` rows: first row, number of rows, block."""
        for first in range(0, count, self.block_rows):
            yield first, min(self.block_rows, count - first), self._blocks[first // self.block_rows]

    def over_blocks(self, count: int, act: Callable[[tuple[int, int, Block]], T], spread: bool) -> list[T]:
        """What `act` makes of each block of the first `count` rows; with `spread`, of several at a time."""
        if spread and self._device == "cpu":
            return list(self._threads.map(act, self.blocks(count)))
        return [act(block) for block in self.blocks(count)]

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
