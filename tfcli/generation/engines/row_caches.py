"""The KV cache of the numpy engine: each row of text has arrays of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]

MIN_CAPACITY = 64  # positions
BLOCK = 32  # positions that tile_attention.c keeps together


class RowCaches:
    """Keys and values of the earlier positions of several rows.

    A row's arrays double when it needs more positions, and are freed when it is reset.

    Attributes:
        lengths: (R,), int64, how many positions each row holds.
        keys, values: of each row, (layers, K, capacity, D); decoder.c may lay out the floats of a
            block of positions as it likes.
        table: (R, 3), where decoder.c finds them: two addresses and the capacity.

    """

    def __init__(self, config: ModelConfig, rows: int) -> None:
        self._config = config
        self.lengths = np.zeros(rows, np.int64)
        self.table = np.zeros((rows, 3), np.uintp)
        self.keys = [self._allocate(0) for _ in range(rows)]
        self.values = [self._allocate(0) for _ in range(rows)]

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return sum(array.nbytes for array in (*self.keys, *self.values))

    def reserve(self, row: int, length: int) -> None:
        """Sees that a row can hold `length` positions."""
        context = self._config.context_length
        assert length <= context, "more positions than the model has"
        capacity = self.keys[row].shape[2]
        if length > capacity:
            self._resize(row, min(context, max(MIN_CAPACITY, 2 * capacity, length)))

    def reset(self, row: int) -> None:
        """Empties a row."""
        self.lengths[row] = 0
        if self.keys[row].shape[2] > MIN_CAPACITY:
            self._resize(row, 0)

    def copy_row(self, source: int, target: int) -> None:
        """Makes a row equal to another."""
        length = int(self.lengths[source])
        self.reserve(target, length)
        for arrays in (self.keys, self.values):
            arrays[target][:, :, : whole(length)] = arrays[source][:, :, : whole(length)]
        self.lengths[target] = length

    def _resize(self, row: int, capacity: int) -> None:
        length, capacity = whole(int(self.lengths[row])), whole(capacity)
        for arrays in (self.keys, self.values):
            resized = self._allocate(capacity)
            resized[:, :, :length] = arrays[row][:, :, :length]
            arrays[row] = resized
        self.table[row] = self.keys[row].ctypes.data, self.values[row].ctypes.data, capacity

    def _allocate(self, capacity: int) -> Array:
        config = self._config
        shape = (config.num_layers, config.num_kv_heads, capacity, config.head_dim)
        return np.zeros(shape, np.float32)  # later positions are multiplied by 0


def whole(length: int) -> int:
    """The positions of the blocks that hold so many."""
    return -(-length // BLOCK) * BLOCK
