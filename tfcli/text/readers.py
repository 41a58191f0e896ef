"""Reads a source of text in any supported format, as a stream of chunks, in bounded memory.

A document is a file, a row of a JSON, CSV, TSV or parquet file, or what a separator ends.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import shlex
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tfcli.errors import DataError, InputOutputError, UsageError
from tfcli.files import translate_os_error
from tfcli.text.chunks import BLOCK, read_blocks, read_fully
from tfcli.text.documents import NEVER, split_documents
from tfcli.text.encoding import (
    STANDARD_INPUT,
    UTF8,
    UTF8_BOM,
    as_utf8,
    begins_as_utf8,
    beside,
    check_utf8,
    encoding_of,
    has_zeros,
)
from tfcli.text.epub import MAX_BOOK
from tfcli.text.formats import (
    ARCHIVES,
    DAMAGED,
    HEAD,
    PARQUET,
    ZIPPED,
    compression_of,
    decompress,
    format_of,
    is_plain,
    markup_of,
    names_in_zip,
    not_text,
    refuse,
    resembles_table,
)
from tfcli.text.markup import text_of_markup
from tfcli.text.pairs import find_pair_fields
from tfcli.text.parquet import parquet_rows
from tfcli.text.reading import MARKUP, Reading
from tfcli.text.reading_options import DEFAULT, Format, ReadingOptions
from tfcli.text.row_chunks import row_chunks
from tfcli.text.row_formats import json_rows, table_rows
from tfcli.text.rows import LOOKED_AT, hold_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.text.chunks import Chunk
    from tfcli.text.rows import Row

STDIN = Path("-")


def read_chunks(
    source: Path,
    options: ReadingOptions = DEFAULT,
    *,
    name: Path | None = None,
    reading: Reading | None = None,
) -> Iterator[Chunk]:
    """Reads one source.

    Args:
        source: a file, or `-` for standard input.
        name: what errors call it, if not by its path.
        reading: takes what was found.

    Raises:
        NotFoundError, InputOutputError: it cannot be opened or read.
        DataError: it is not text, or not what it seems; the message names the byte or the row.
        UsageError: it needs an extra that is not installed.

    """
    name = name or source
    reading = reading or Reading()
    if options.by_suffix:
        options = _by_suffix(source)
    try:
        with _open(source, reading) as stream:
            yield from _read(stream, source, options, name, reading)
    except DAMAGED as error:
        raise DataError(
            f"{name} is not a complete {reading.compression} file", why=str(error)
        ) from None
    except OSError as error:
        if error.errno is None and reading.compression:  # from the content, not the system
            raise DataError(
                f"{name} is not a complete {reading.compression} file", why=str(error)
            ) from None
        raise translate_os_error(error, name) from error


def _read(
    stream: IO[bytes], source: Path, options: ReadingOptions, name: Path, reading: Reading
) -> Iterator[Chunk]:
    raw = stream.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
    suffix = _suffix(source)
    is_parquet = source.suffix.lower() == ".parquet" or (
        raw.startswith(PARQUET) and not is_plain(raw)
    )
    if options.format == "parquet" or (options.format is None and is_parquet):
        reading.format = "parquet"
        rows = parquet_rows(_seekable(stream), name, options.field)
        yield from row_chunks(rows, options, name, reading)
        return
    inside = None
    if options.format in {None, *ARCHIVES} and raw.startswith(ZIPPED):
        stream = _seekable(stream, compressed=reading.compression is not None)
        inside = names_in_zip(stream)
        stream.seek(0)
    if (markup := options.format or markup_of(raw, suffix, inside)) in MARKUP:
        reading.format = markup
        text = io.BytesIO(text_of_markup(stream, options, name, markup))
        yield from _documents(read_blocks(text), options, reading)
        return
    if options.format is None and (kind := not_text(raw, suffix, inside)):
        raise refuse(kind, name)
    stream, offset = _as_text(stream, raw, options, name, reading)
    reading.format = options.format or _recognize(stream, suffix, options, reading)
    if reading.format == "text":
        blocks = _checked(read_blocks(stream), name, offset, zeros=options.encoding == UTF8)
        yield from _documents(blocks, options, reading)
        return
    rows = (
        json_rows(stream, name)
        if reading.format == "json"
        else table_rows(stream, name, "csv" if reading.format == "csv" else "tsv")
    )
    yield from row_chunks(rows, options, name, reading)


def _documents(
    blocks: Iterator[bytes], options: ReadingOptions, reading: Reading
) -> Iterator[Chunk]:
    """The documents in plain text."""
    separator = options.separator and options.separator.encode(errors="surrogateescape")
    return split_documents(
        blocks, options.document, separator or None,
        counts=reading.separators, began=reading.begin_on,
    )  # fmt: skip


def _as_text(
    stream: IO[bytes], head: bytes, options: ReadingOptions, name: Path, reading: Reading
) -> tuple[IO[bytes], int]:
    """The stream in UTF-8 after its byte order mark, and how many bytes of it came before."""
    found, mark = encoding_of(head)
    reading.encoding = options.encoding or found
    if options.encoding is not None and begins_as_utf8(head):
        reading.encoding = UTF8  # of a folder's files, some need the option, others would suffer
    if options.encoding is None or reading.encoding == UTF8:
        stream.read(mark)
    if reading.encoding == UTF8:
        return stream, mark
    may_be = head.isascii() and options.encoding is not None
    return as_utf8(stream, reading.encoding, name, reading.set_utf8 if may_be else None), 0


def _suffix(source: Path) -> str:
    """The suffix of a name in lower case, without that of a compression."""
    suffixes = [suffix.lower() for suffix in source.suffixes[-2:]]
    return next((each for each in reversed(suffixes) if each not in COMPRESSED), "")


def _recognize(stream: IO[bytes], suffix: str, options: ReadingOptions, reading: Reading) -> Format:
    """The format of a text, from how it begins."""
    raw = stream.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
    head = raw.decode(errors="replace")
    found = format_of(head, suffix=suffix, whole=len(raw) < HEAD)
    if found == "text" and suffix in JSON_LINES and head.strip():
        return "json"  # even where rows are bad
    if found == "text" and suffix == ".json" and head.split() in (["[]"], ["[", "]"]):
        return "json"  # without rows
    if found == "json" and suffix not in JSON_LINES and not options.field:
        return "json" if _holds_text(head, named=suffix == ".json") else "text"
    if found == "text":
        reading.resembles = resembles_table(head, whole=len(raw) < HEAD)
    return found


JSON_LINES = {".jsonl", ".ndjson"}
COMPRESSED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bzip2", ".xz": "xz"}


def _holds_text(head: str, *, named: bool) -> bool:
    """Whether a file is rows that are there for a text in them: several, and hardly a bad one.

    Args:
        named: whether its name says that it is JSON, so that only a single object is in doubt.

    """
    rows: list[Row] = []
    with contextlib.suppress(DataError):  # the head ends in the middle of one
        stream = _buffered(io.BytesIO(head.encode()))
        rows += itertools.islice(json_rows(stream, Path("head")), LOOKED_AT)
    if head.lstrip().startswith("{") and len(rows) < 2:
        return False  # settings, a package, a map
    if named or any(isinstance(row.value, str) for row in rows):
        return True
    values = [row.value for row in rows if isinstance(row.value, dict)]
    pairs = len(values) > 1 and find_pair_fields(values, DEFAULT) is not None
    return 20 * (len(rows) - len(values)) <= len(rows) and (pairs or hold_text(values))


def _by_suffix(source: Path) -> ReadingOptions:
    """See `ReadingOptions.by_suffix`."""
    if source.suffix == ".parquet":
        return ReadingOptions(format="parquet")
    name = source.name.removesuffix(".gz").removesuffix(".zst")
    if name.endswith((".jsonl", ".ndjson")):
        return ReadingOptions(format="json", field="text")
    return ReadingOptions(format="text", separator=NEVER.decode(errors="surrogateescape"))


def _checked(
    blocks: Iterator[bytes], name: Path, offset: int = 0, *, zeros: bool = True
) -> Iterator[bytes]:
    """The blocks of a file, which begin at an offset, once they are known to be text.

    Args:
        zeros: whether there may be many zero bytes.

    """
    for block in blocks:
        if not zeros and has_zeros(block):
            raise DataError(
                f"{name} is a binary file, not text",
                why=f"{block.count(0):,} of {len(block):,} bytes are zero",
                hint=f"tr -d '\\000' < {shlex.quote(str(name))} "
                f"> {shlex.quote(str(beside(name, '.txt')))}   # or --encoding utf-8",
            )
        check_utf8(block, name, offset)
        offset += len(block)
        yield block


def read_stdin() -> Iterator[bytes]:
    """Standard input as plain UTF-8 text, to the byte, in blocks.

    Raises:
        DataError: it is not UTF-8.

    """
    with _open_raw(STDIN) as stream:
        yield from _checked(read_blocks(stream), STANDARD_INPUT)


def read_lines(source: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed, without the newlines and a byte order mark.

    Raises:
        NotFoundError, InputOutputError: it cannot be opened or read.
        DataError: it is not a complete file of its compression.

    """
    reading = Reading()
    try:
        with _open(source, reading) as stream:
            for number, line in enumerate(stream, 1):
                line = line.removesuffix(b"\n")
                yield line.removeprefix(UTF8_BOM) if number == 1 else line
    except DAMAGED as error:
        raise DataError(
            f"{source} is not a complete {reading.compression} file", why=str(error)
        ) from None
    except OSError as error:
        raise translate_os_error(error, source) from error


def read_raw(source: Path) -> Iterator[bytes]:
    """Reads a source byte for byte, in blocks."""
    try:
        with _open_raw(source) as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        raise translate_os_error(error, source) from error


def _open(source: Path, reading: Reading) -> IO[bytes]:
    """Opens a source decompressed, and buffered so that its head can be looked at."""
    stream = _buffered(_open_raw(source))
    reading.compression = compression_of(stream.peek(8))  # type: ignore[attr-defined]
    if reading.compression is None:
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
        return stream
    try:
        return _buffered(decompress(stream, reading.compression, source), stream)
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


def _buffered(stream: IO[bytes], below: IO[bytes] | None = None) -> IO[bytes]:
    return io.BufferedReader(_Raw(stream, below), BLOCK)  # type: ignore[type-var]


def _seekable(stream: IO[bytes], *, compressed: bool = False) -> IO[bytes]:
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
