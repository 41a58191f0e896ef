"""A source of text as bytes: opened, decompressed, and buffered, so that its head can be seen."""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tfcli.errors import DataError, InputOutputError, UsageError
from tfcli.files import translate_os_error
from tfcli.text.chunks import BLOCK, read_fully
from tfcli.text.compression import compression_of, decompress
from tfcli.text.epub import MAX_BOOK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.text.compression import Compression

STDIN = Path("-")
COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}


def read_raw(source: Path) -> Iterator[bytes]:
    """Reads a source byte for byte, in blocks."""
    try:
        with _open_raw(source) as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        raise translate_os_error(error, source) from error


def open_source(
    source: Path, opened: IO[bytes] | None = None
) -> tuple[IO[bytes], Compression | None]:
    """Opens a source decompressed, and buffered; and how it was compressed.

    Args:
        opened: what is read in place of the source, which then is only its name.

    Raises:
        DataError: it is not compressed as its name says.
        UsageError: it needs an extra that is not installed.

    """
    stream = buffered(opened or _open_raw(source))
    compression = compression_of(stream.peek(8))  # type: ignore[attr-defined]
    if compression is None:
        if suffix := source.suffix if source.suffix in COMPRESSED else None:
            kind, head = COMPRESSED[suffix], stream.peek(8)[:8]  # type: ignore[attr-defined]
            stream.close()
            if len(head) < 8:
                raise DataError(f"{source} is not a complete {kind} file")
            bare = source.with_suffix("")
            raise DataError(
                f"{source} is not {kind}, as its name says",
                why=f"it begins with {head.decode('ascii', 'backslashreplace')!r}",
                hint=shlex.join(["mv", str(source), str(bare)]),
            )
        return stream, None
    try:
        return buffered(decompress(stream, compression, source), stream), compression
    except UsageError:
        stream.close()
        raise


class _Raw(io.RawIOBase):
    """A binary stream of any kind as the raw stream of a buffer; its blocks are full.

    Args:
        below: a stream that it reads from, which is closed with it.

    """

    def __init__(self, stream: IO[bytes], below: IO[bytes] | None) -> None:
        self._stream, self._below = stream, below

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = read_fully(self._stream, len(buffer))  # so that one peek sees a whole head
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        if self._below:
            self._below.close()
        super().close()


def buffered(stream: IO[bytes], below: IO[bytes] | None = None) -> IO[bytes]:
    """A stream with `peek`; `below` is closed with it."""
    return io.BufferedReader(_Raw(stream, below), BLOCK)  # type: ignore[type-var]


def seekable(stream: IO[bytes], *, compressed: bool = False) -> IO[bytes]:
    """All of a stream whose head was looked at, from the beginning; a pipe is read into memory.

    Args:
        compressed: whether it cannot be read from its end.

    """
    if stream.seekable() and not compressed:
        stream.seek(0)
        return stream
    return io.BytesIO(read_fully(stream, MAX_BOOK) if compressed else stream.read())


def _open_raw(source: Path) -> IO[bytes]:
    if source == STDIN:
        if sys.stdin is None:
            raise InputOutputError("standard input is closed")
        return open(sys.stdin.fileno(), "rb", closefd=False)
    return source.open("rb")
