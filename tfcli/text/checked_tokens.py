"""Token ids on disk, verified block by block when they are first read.

Hashing all of a large file before training starts would take seconds per gigabyte and read ids
that a short training never uses. So the ids come with a SHA-256 for each 64 KiB of them: a block is
hashed once, before anything in it is returned, and a damaged id never gets out.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tfcli.errors import DamagedError

if TYPE_CHECKING:
    from pathlib import Path

Tokens = np.ndarray[tuple[int], np.dtype[np.uint16 | np.uint32]]

BLOCK = 1 << 16  # bytes
DIGEST = hashlib.sha256().digest_size


class BlockDigests:
    """The SHA-256 of each block of a stream of bytes."""

    def __init__(self) -> None:
        self._whole = bytearray()
        self._open = hashlib.sha256()
        self._room = BLOCK  # bytes until the open block is full

    def add(self, data: bytes) -> None:
        """Hashes the next bytes."""
        rest = memoryview(data)
        while rest:
            part, rest = rest[: self._room], rest[self._room :]
            self._open.update(part)
            self._room -= len(part)
            if self._room == 0:
                self._whole += self._open.digest()
                self._open, self._room = hashlib.sha256(), BLOCK

    def digests(self) -> bytes:
        """All digests, concatenated; the last block may be shorter."""
        return bytes(self._whole) + (self._open.digest() if self._room < BLOCK else b"")


class CheckedTokens:
    """Like an array of ids, shape (tokens,), that verifies what it returns.

    Args:
        path: the file of ids.
        dtype: of an id in it.
        digests: from `BlockDigests`, already verified.

    Raises:
        DamagedError: the file does not have the length that the digests imply.

    """

    def __init__(self, path: Path, dtype: np.dtype[Any], digests: bytes) -> None:
        self._path = path
        self._ids = map_tokens(path, dtype)
        self._digests = digests
        blocks = -(-self._ids.nbytes // BLOCK)
        if len(digests) != blocks * DIGEST:
            raise DamagedError(f"the length of {path} has changed since it was written")
        self._checked = np.zeros(blocks, np.bool_)
        self._count = len(self._ids)

    def first(self, count: int) -> CheckedTokens:
        """The same ids up to there."""
        shorter = copy.copy(self)
        shorter._count = min(count, self._count)
        return shorter

    @property
    def dtype(self) -> np.dtype[np.uint16 | np.uint32]:
        """The type of an id."""
        return self._ids.dtype

    @property
    def nbytes(self) -> int:
        """The size of the file."""
        return self._ids.nbytes

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: slice) -> Tokens: ...
    @overload
    def __getitem__(self, index: int) -> int: ...
    def __getitem__(self, index: slice | int) -> Tokens | int:
        """A slice of the ids, or one of them.

        Raises:
            DamagedError: they are not as they were written.

        """
        if isinstance(index, int):
            position = range(len(self))[index]
            return int(self[position : position + 1][0])
        start, stop, step = index.indices(len(self))
        assert step == 1, "ids are read in order"
        width = self._ids.itemsize
        for block in range(start * width // BLOCK, -(-stop * width // BLOCK)):
            if not self._checked[block]:
                self._check(block)
        return self._ids[start:stop]

    def _check(self, block: int) -> None:
        width = BLOCK // self._ids.itemsize
        data = self._ids[block * width : (block + 1) * width].tobytes()
        written = self._digests[block * DIGEST : (block + 1) * DIGEST]
        if hashlib.sha256(data).digest() != written:
            raise DamagedError(
                f"{self._path} is damaged",
                why=f"the SHA-256 of its block {block:,} does not match",
                hint=f"rm -r {self._path.parent}   # then run the command again to rebuild it",
            )
        self._checked[block] = True


def map_tokens(path: Path, dtype: np.dtype[Any]) -> Tokens:
    """The ids in a file, memory-mapped and not verified."""
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype)
    return np.memmap(path, dtype, mode="r")
