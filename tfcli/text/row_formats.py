"""Rows out of JSON lines, JSON arrays and tables; `parquet.py` has those of parquet."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.chunks import character_boundary, read_fully
from tfcli.text.encoding import UTF8_BOM
from tfcli.text.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO, Literal

MAX_ROW = 256 << 20  # bytes; a file that unpacks to one endless line is refused


def json_rows(stream: IO[bytes], name: Path) -> Iterator[Row]:
    """The rows of JSON lines, of an array, or of values that follow one another.

    Raises:
        DataError: the file ends in the middle of a row, or is not JSON where no line tells where
            the next row starts.

    """
    head = stream.peek(1 << 16)  # type: ignore[attr-defined]
    start = head.removeprefix(UTF8_BOM).lstrip()
    first_line = start.split(b"\n", 1)[0]
    if not start.startswith(b"[") and parses(first_line):
        return _json_lines(stream, name)
    return _json_values(stream, name)


def parses(line: bytes) -> bool:
    """Whether a line is JSON on its own."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        # a line longer than what was looked at is a row all the same
        return len(line) > 1 << 12
    return True


def _json_lines(stream: IO[bytes], name: Path) -> Iterator[Row]:
    for number, line in enumerate(iter(lambda: stream.readline(MAX_ROW + 1), b""), start=1):
        if len(line) > MAX_ROW:
            raise _too_long(number, name)
        if number == 1:
            line = line.removeprefix(UTF8_BOM)
        if not line.strip():
            continue
        try:
            yield Row(number, json.loads(line))
        except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
            yield Row(number, problem=f"not valid JSON ({json_problem(error)})")


def json_problem(error: Exception) -> str:
    """What is wrong with a line of JSON, without the number of the line, which is always 1."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error)[:80]


def _too_long(number: int, name: Path) -> DataError:
    return DataError(
        f"row {number:,} of {name} has more than {MAX_ROW:,} bytes",
        why="a row must fit into memory",
        hint="split the text into several rows, or use a plain text file",
    )


def _json_values(stream: IO[bytes], name: Path) -> Iterator[Row]:
    """Rows that no line ends: those of an array, or pretty-printed ones."""
    decoder = json.JSONDecoder()
    head = _read_text(stream).removeprefix("\ufeff")
    buffer = head.lstrip()
    start_line = head.count("\n", 0, len(head) - len(buffer))
    in_array = buffer.startswith("[")
    position, number, at_end, after = (1 if in_array else 0), 0, False, False
    lines = start_line  # of the file, until the buffer begins
    while True:
        while position < len(buffer) and buffer[position] in " \t\r\n,":
            position += 1
        if position == len(buffer) or (in_array and buffer[position] == "]"):
            if position < len(buffer):  # behind the array
                in_array, position = False, position + 1
                after = True
                continue
            if at_end and in_array:
                raise DataError(f"{name} ends in the middle", why="the array is not closed")
            if at_end:
                return
        elif after and buffer[position] == "[":
            in_array, after, position = True, False, position + 1
            continue
        elif after:
            raise DataError(
                f"{name} is not valid JSON", why=f"text follows the array of {number:,} rows"
            )
        else:
            try:
                value, end = decoder.raw_decode(buffer, position)
            except (ValueError, RecursionError) as error:
                if at_end:
                    problem = json_problem(error)
                    if isinstance(error, json.JSONDecodeError):
                        problem = f"line {lines + error.lineno:,}: {problem}"
                    raise DataError(
                        f"{name} is not valid JSON", why=f"row {number + 1:,}, {problem}"
                    ) from None
            else:
                if at_end or end < len(buffer):  # else a number may go on
                    number += 1
                    yield Row(number, value)
                    position = end
                    continue
        if len(buffer) - position > MAX_ROW:
            raise _too_long(number + 1, name)
        # as much again, so that a large row is not parsed again for each block of it
        more = _read_text(stream, max(1 << 20, len(buffer) - position))
        at_end = not more
        lines += buffer.count("\n", 0, position)
        buffer, position = buffer[position:] + more, 0


def _read_text(stream: IO[bytes], size: int = 1 << 20) -> str:
    """About as many bytes as UTF-8; invalid ones become surrogates, which rows are checked for."""
    data = read_fully(stream, size)
    while character_boundary(data) < len(data) and (byte := stream.read(1)):
        data += byte
    return data.decode(errors="surrogateescape")


def _lines(stream: IO[bytes], name: Path) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: stream.readline(MAX_ROW + 1), b""), start=1):
        if len(line) > MAX_ROW:
            raise _too_long(number, name)
        yield line.decode(errors="surrogateescape")


def find_delimiter(header: str) -> str:
    """What separates the columns of a CSV file; where a comma is decimal, a semicolon does."""

    def columns(delimiter: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=delimiter), []))
        except csv.Error:
            return 0

    return max(",;\t|", key=columns)  # the first of equals


def header_of(line: str) -> list[str]:
    """The names of the columns, if this is the first line of a table; none if it cannot be."""
    return [cell.strip() for cell in cells_of(line, find_delimiter(line))]


def cells_of(line: str, delimiter: str) -> list[str]:
    """The cells of a row on one line; none if it cannot be one."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def table_rows(stream: IO[bytes], name: Path, format: Literal["csv", "tsv"]) -> Iterator[Row]:
    """The rows of a table whose first row has the names of the columns.

    Raises:
        DataError: it has no header, or a quote is not closed.

    """
    lines = _lines(stream, name)
    csv.field_size_limit(MAX_ROW)
    first = next(lines, "")
    delimiter = find_delimiter(first) if format == "csv" else "\t"
    rows = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    begin = 1  # the line of the row that is read next
    try:
        header = [cell.strip() for cell in next(rows, [])]
        if not header:
            return
        header[0] = header[0].removeprefix("\ufeff")
        header = _told_apart(header)
        begin = rows.line_num + 1
        for number, cells in enumerate(rows, start=1):
            first_line, begin = begin, rows.line_num + 1
            if not cells:  # an empty line
                continue
            if len(cells) == len(header):
                yield Row(number, dict(zip(header, cells, strict=True)))
            else:
                yield Row(number, problem=_ragged(len(cells), len(header), first_line))
    except csv.Error as error:
        if "unexpected end" in str(error):  # far below the quote
            raise DataError(
                f"{name} is not valid {format.upper()}",
                why=f"a quote in the row that begins on line {begin:,} is never closed",
                hint="--format text reads it as plain text",
            ) from None
        raise DataError(
            f"{name} is not valid {format.upper()}",
            why=f"line {rows.line_num:,}: {error}",
            hint="--format text reads it as plain text",
        ) from None


def _ragged(found: int, expected: int, line: int) -> str:
    """What is wrong with a row that has more or fewer cells than the table has columns."""
    cells = f"{found} cell{'' if found == 1 else 's'} for {expected} columns"
    return f"{cells}, on line {line:,}"


def _told_apart(header: list[str]) -> list[str]:
    """The names of columns; those of the same name are numbered, so that none hides another."""
    seen: Counter[str] = Counter()
    names = []
    for name in header:
        seen[name] += 1
        names.append(f"{name} ({seen[name]})" if name and header.count(name) > 1 else name)
    return names
