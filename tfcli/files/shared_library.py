"""Loading a compiled library, which may be cut short: the loader would kill the process."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

HEADER = 64  # bytes of an ELF file for 64 bits; its sections are listed at the end of the file


def load_shared_library(path: Path) -> ctypes.CDLL:
    """The library in a file.

    Raises:
        OSError: it cannot be loaded.

    """
    with path.open("rb") as file:
        header = file.read(HEADER)
    if header.startswith(b"\x7fELF\x02\x01"):
        if len(header) < HEADER:
            raise OSError("file too short")
        (offset,) = struct.unpack_from("<Q", header, 0x28)
        size, count = struct.unpack_from("<HH", header, 0x3A)
        if path.stat().st_size < offset + size * count:
            raise OSError("file too short")
    return ctypes.CDLL(str(path))
