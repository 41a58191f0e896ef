"""Reads a source of text in any supported format, as a stream of chunks, in bounded memory.

A document is a file, a row of a JSON, CSV, TSV or parquet file, or what a separator ends.
"""

from __future__ import annotations

import contextlib
import io
import shlex
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tfcli.errors import DataError, InputOutputError
from tfcli.files import translate_os_error
from tfcli.text.byte_streams import COMPRESSED, STDIN, open_source, seekable
from tfcli.text.chunks import read_blocks
from tfcli.text.compression import DAMAGED
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
    shown_name,
)
from tfcli.text.formats import (
    ARCHIVES,
    HEAD,
    ZIPPED,
    is_parquet,
    markup_of,
    names_in_zip,
    not_text,
    refuse,
)
from tfcli.text.markup import text_of_markup
from tfcli.text.parquet import parquet_rows
from tfcli.text.reading import MARKUP, Reading
from tfcli.text.reading_options import DEFAULT, FormatOptions, ReadingOptions
from tfcli.text.recognition import recognize
from tfcli.text.row_chunks import row_chunks
from tfcli.text.row_formats import json_rows, table_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.text.chunks import Chunk
    from tfcli.text.rows import Row


def read_chunks(
    source: Path,
    options: ReadingOptions = DEFAULT,
    *,
    name: Path | None = None,
    opened: IO[bytes] | None = None,
    reading: Reading | None = None,
    whole_rows: bool = False,
) -> Iterator[Chunk]:
    """Reads one source.

    Args:
        source: a file, or `-` for standard input.
        name: what errors call it, if not by its path.
        opened: what is read in place of the source, which then is only its name.
        reading: takes what was found.
        whole_rows: whether rows have all of their fields in `reading`, also those without text.

    Raises:
        NotFoundError, InputOutputError: it cannot be opened or read.
        DataError: it is not text, or not what it seems; the message names the byte or the row.
        UsageError: it needs an extra that is not installed.

    """
    options = options.of_file(name or source)
    name = name or shown_name(source)
    reading = reading or Reading()
    if options.by_suffix:
        options = _by_suffix(source)
    with _opened(source, name, reading, opened) as stream:
        yield from _read(stream, source, options, name, reading, whole_rows=whole_rows)


def read_text(
    source: Path,
    wanted: FormatOptions | None = None,
    *,
    opened: IO[bytes] | None = None,
    reading: Reading | None = None,
    verbatim: bool = False,
) -> Iterator[bytes]:
    """The text of one source in blocks, in UTF-8: of a page, a book or a document what it says.

    It stays one text, as it is: nothing in it is taken for separators or for rows, which
    `reading.resembles` tells. What is UTF-8 keeps its byte order mark.

    Args:
        source: a file, or `-` for standard input.
        wanted: how it is read, if not as it begins: the format `text` leaves a page with its
            markup. None: nobody can say so, and no error suggests it.
        opened: what is read in place of the source, which then is only its name.
        reading: takes what was found.
        verbatim: whether a page keeps its markup, as in an editor; no editor shows that of a book.

    Raises:
        NotFoundError, InputOutputError: it cannot be opened or read.
        DataError: it is not text.
        UsageError: it needs an extra that is not installed.

    """
    name, reading = shown_name(source), reading or Reading()
    options = wanted.as_reading if wanted else DEFAULT
    with _opened(source, name, reading, opened) as stream:
        raw = _head(stream)
        if is_parquet(raw):
            raise DataError(
                f"{name} is a parquet table, and one text is wanted here",
                hint="tfcli text show < FILE   # its texts, to be piped in",
            )
        said = None
        if not verbatim or raw.startswith(ZIPPED):
            said = _text_of_markup(stream, raw, source, options, name, reading)
        if said is not None:
            yield from read_blocks(io.BytesIO(said))
            return
        stream, offset = _as_text(stream, raw, options, name, reading, keep_mark=True)
        if options.format is None:
            found = recognize(stream, name_suffix(source), DEFAULT, reading, name)
            reading.resembles = reading.resembles or (None if found == "text" else (found, []))
        yield from _checked(
            read_blocks(stream), name, offset, zeros=source == STDIN, option=wanted is not None
        )


def read_lines(source: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed, without the newlines and a byte order mark.

    Raises:
        NotFoundError, InputOutputError: it cannot be opened or read.
        DataError: it is not a complete file of its compression.

    """
    with _opened(source, shown_name(source), Reading()) as stream:
        for number, line in enumerate(stream, 1):
            line = line.removesuffix(b"\n")
            yield line.removeprefix(UTF8_BOM) if number == 1 else line


def read_table(
    source: Path,
    rows: Callable[[IO[bytes], Path], Iterator[Row]],
    *,
    opened: IO[bytes] | None = None,
) -> Iterator[Row]:
    """The rows of a source that is known to be a table, decompressed and in UTF-8.

    Args:
        rows: makes them of a stream and of what errors call it.
        opened: what is read in place of the source, which then is only its name.

    """
    with open_rows(source, opened) as (stream, name):
        reading = Reading()
        text, _ = _as_text(stream, _head(stream), DEFAULT, name, reading)
        yield from rows(text, name)


@contextlib.contextmanager
def open_rows(source: Path, opened: IO[bytes] | None = None) -> Iterator[tuple[IO[bytes], Path]]:
    """A source, decompressed, and what errors call it."""
    name = shown_name(source)
    with _opened(source, name, Reading(), opened) as stream:
        yield stream, name


@contextlib.contextmanager
def _opened(
    source: Path, name: Path, reading: Reading, opened: IO[bytes] | None = None
) -> Iterator[IO[bytes]]:
    """A source, decompressed; what goes wrong while it is read is an error of ours."""
    try:
        stream, reading.compression = open_source(source, opened)
        with stream:
            yield stream
    except DAMAGED as error:
        raise DataError(
            f"{name} is not a complete {reading.compression} file", why=str(error)
        ) from None
    except IsADirectoryError:
        raise InputOutputError(f"{name} is a folder, not a file") from None
    except OSError as error:
        if error.errno is None and reading.compression:  # from the content, not the system
            raise DataError(
                f"{name} is not a complete {reading.compression} file", why=str(error)
            ) from None
        raise translate_os_error(error, name) from error


def _head(stream: IO[bytes]) -> bytes:
    return stream.peek(HEAD)[:HEAD]  # type: ignore[attr-defined,no-any-return]


def _read(
    stream: IO[bytes],
    source: Path,
    options: ReadingOptions,
    name: Path,
    reading: Reading,
    *,
    whole_rows: bool,
) -> Iterator[Chunk]:
    raw = _head(stream)
    parquet = source.suffix.lower() == ".parquet" or is_parquet(raw)
    if options.format == "parquet" or (options.format is None and parquet):
        reading.format = "parquet"
        rows = parquet_rows(seekable(stream), name, options.columns, every=whole_rows)
        yield from row_chunks(rows, options, name, reading)
        return
    if (said := _text_of_markup(stream, raw, source, options, name, reading)) is not None:
        yield from _documents(read_blocks(io.BytesIO(said)), options, reading)
        return
    stream, offset = _as_text(stream, raw, options, name, reading)
    suffix = name_suffix(source)
    reading.format = options.format or recognize(stream, suffix, options, reading, name)
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


def _text_of_markup(
    stream: IO[bytes],
    raw: bytes,
    source: Path,
    options: ReadingOptions,
    name: Path,
    reading: Reading,
) -> bytes | None:
    """What a page, a book or a document says; None: it is plain text, so far as its head tells.

    Raises:
        DataError: it is something else than text, or damaged.

    """
    inside, suffix = None, name_suffix(source)
    if options.format in {None, *ARCHIVES} and raw.startswith(ZIPPED):
        stream = seekable(stream, compressed=reading.compression is not None)
        inside = names_in_zip(stream)
        stream.seek(0)
    if (markup := options.format or markup_of(raw, suffix, inside)) in MARKUP:
        reading.format = markup
        return text_of_markup(stream, options, name, markup)
    if options.format is None and (kind := not_text(raw, suffix, inside)):
        raise refuse(kind, name)
    return None


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
    stream: IO[bytes],
    head: bytes,
    options: ReadingOptions,
    name: Path,
    reading: Reading,
    *,
    keep_mark: bool = False,
) -> tuple[IO[bytes], int]:
    """The stream in UTF-8 after its byte order mark, and how many bytes of it came before."""
    found, mark = encoding_of(head)
    reading.encoding = options.encoding or found
    # of a folder's files, some need the option, others would suffer
    if options.encoding is not None and begins_as_utf8(head):
        reading.encoding = UTF8
    elif options.encoding is not None and mark:
        reading.encoding = found  # its byte order mark says so
    if keep_mark and reading.encoding == UTF8:
        mark = 0
    if options.encoding is None or reading.encoding in {UTF8, found}:
        stream.read(mark)
    if reading.encoding == UTF8:
        return stream, mark
    may_be = head.isascii() and options.encoding is not None
    return as_utf8(stream, reading.encoding, name, reading.set_utf8 if may_be else None), 0


def name_suffix(source: Path) -> str:
    """The suffix of a name in lower case, without that of a compression."""
    suffixes = [suffix.lower() for suffix in source.suffixes[-2:]]
    return next((each for each in reversed(suffixes) if each not in COMPRESSED), "")


def _by_suffix(source: Path) -> ReadingOptions:
    """See `ReadingOptions.by_suffix`."""
    if source.suffix == ".parquet":
        return ReadingOptions(format="parquet")
    name = source.name.removesuffix(".gz").removesuffix(".zst")
    if name.endswith((".jsonl", ".ndjson")):
        return ReadingOptions(format="json", field="text")
    return ReadingOptions(format="text", separator=NEVER.decode(errors="surrogateescape"))


def _through(name: Path) -> str:
    """From where a command reads a file, and to where it writes what it makes of it."""
    if name == STANDARD_INPUT:
        return "< FILE | tfcli ..."
    return f"< {shlex.quote(str(name))} > {shlex.quote(str(beside(name, '.txt')))}"


def _checked(
    blocks: Iterator[bytes], name: Path, offset: int, *, zeros: bool, option: bool = True
) -> Iterator[bytes]:
    """The blocks of a file, which begin at an offset, once they are known to be text.

    Args:
        zeros: whether there may be many zero bytes.
        option: whether `--encoding` can be given.

    """
    for block in blocks:
        if not zeros and has_zeros(block):
            raise DataError(
                f"{name} is a binary file, not text",
                why=f"{block.count(0):,} of {len(block):,} bytes are zero",
                hint=f"tr -d '\\000' {_through(name)}"
                + ("   # or --encoding utf-8" if option else ""),
            )
        check_utf8(block, name, offset, option=option)
        offset += len(block)
        yield block
