"""How a stream is compressed, told from its first bytes, and what is in it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from typing import IO, TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from pathlib import Path

Compression = Literal["gzip", "zstd", "bzip2", "xz"]

DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)

_COMPRESSED: dict[Compression, bytes] = {
    "gzip": rb"\x1f\x8b\x08",
    "zstd": rb"\x28\xb5\x2f\xfd",
    "bzip2": rb"BZh[1-9](1AY&SY|\x17rE8P\x90)",  # with a first block, or empty
    "xz": rb"\xfd7zXZ\x00",
}


def compression_of(head: bytes) -> Compression | None:
    """How a file that begins like this is compressed."""
    for name, magic in _COMPRESSED.items():
        if re.match(magic, head, re.DOTALL):
            return name
    return None


def decompress(stream: IO[bytes], compression: Compression, name: Path) -> IO[bytes]:
    """The decompressed content of a stream; reading raises one of DAMAGED if it is not whole.

    Args:
        name: what errors call the file.

    Raises:
        UsageError: it needs an extra that is not installed.

    """
    match compression:
        case "gzip":
            return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
        case "bzip2":
            return bz2.BZ2File(stream)
        case "xz":
            return lzma.LZMAFile(stream)
        case "zstd":
            from tfcli.text.parquet import open_zstd

            return open_zstd(stream, name)
