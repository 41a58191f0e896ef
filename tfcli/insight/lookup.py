"""Which of many numbers are among some that are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

LEAST_BITS, MOST_BITS = 16, 24  # of the table's size
SPARSE = 16  # slots for each key


class Lookup:
    """A hash table for numbers whose highest bits are as good as random.

    Args:
        keys: (K,), distinct.

    """

    def __init__(self, keys: Hashes) -> None:
        bits = min(max(LEAST_BITS, (SPARSE * len(keys)).bit_length()), MOST_BITS)
        self._shift = np.uint64(64 - bits)
        self._keys = keys
        self._table = np.full(1 << bits, -1, np.int32)
        slots = keys >> self._shift
        self._table[slots] = np.arange(len(keys), dtype=np.int32)
        # where two keys want one slot, the last one has it, and the others are kept in order
        lost = np.flatnonzero(self._table[slots] != np.arange(len(keys)))
        self._lost = lost[np.argsort(keys[lost])]
        self._wanted_twice = np.zeros(1 << bits, bool)
        self._wanted_twice[slots[lost]] = True

    def find(self, hashes: Hashes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where in `hashes` a key is, in order, and which key that is."""
        slots = (hashes >> self._shift).view(
            np.int64
        )  # as signed numbers, numpy need not copy them
        found = self._table.take(slots, mode="clip")
        where = np.flatnonzero(found >= 0)
        which = found[where].astype(np.intp)
        asked = hashes[where]
        right = self._keys[which] == asked
        if len(self._lost):
            other = np.flatnonzero(~right)
            other = other[self._wanted_twice[slots[where[other]]]]
            lost = self._keys[self._lost]
            nearest = np.minimum(np.searchsorted(lost, asked[other]), len(lost) - 1)
            which[other] = self._lost[nearest]
            right[other] = lost[nearest] == asked[other]
        return where[right], which[right]
