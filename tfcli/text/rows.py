"""Texts of rows: JSON lines, JSON arrays, tables, parquet. Each row's text is a document.

A row without a usable text is bad. A few bad rows are skipped and counted; many are an error.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, closest_match
from tfcli.text.encoding import UTF8_BOM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import IO

MAX_ROW = 256 << 20  # bytes; a file that unpacks to one endless line is refused
MAX_BAD = 0.01  # of all rows: more are an error
NAMED = 3  # bad rows that are named
LOOKED_AT = 100  # rows, to find the field of the texts
STANDARD = "text"  # the field that holds the text wherever it exists


@dataclass(frozen=True)
class Row:
    """A row, or why there is none.

    Attributes:
        number: counted from 1; in JSON lines, the number of the line.
        value: an object, or a string that is the text itself.
        problem: why it cannot be used; None if it can.

    """

    number: int
    value: Any = None
    problem: str | None = None


@dataclass
class RowCounts:
    """What became of the rows of a file.

    Attributes:
        field: that the texts were in, with dots where it is nested.
        rows: how many there were.
        bad: how many of them were skipped.
        empty: how many of these had an empty text, which some collections have many of.
        named: the first of these, as "row 17: text is null".

    """

    field: str | None = None
    rows: int = 0
    bad: int = 0
    empty: int = 0
    named: list[str] = dataclasses.field(default_factory=list)

    def skip(self, row: Row, problem: str) -> None:
        """Counts a bad row."""
        self.bad += 1
        if len(self.named) < NAMED:
            self.named.append(f"row {row.number:,}: {problem}")


def read_texts(
    rows: Iterator[Row], name: Path, *, wanted: str | None, strict: bool, counts: RowCounts
) -> Iterator[bytes]:
    """The texts of rows, in UTF-8.

    Args:
        wanted: the field that holds them; None finds it.
        strict: whether a single bad row is an error.
        counts: takes what was found.

    Raises:
        DataError: which field to read is not clear, or too many rows are bad. The latter is known
            at the end.

    """
    first = list(itertools.islice(rows, LOOKED_AT))
    if not first:
        return
    values = [row.value for row in first if isinstance(row.value, dict)]
    plain = not values and any(isinstance(row.value, str) for row in first)
    if not plain:
        counts.field = wanted or find_field(values, name)
    path = (counts.field or "").split(".")
    for row in itertools.chain(first, rows):
        counts.rows += 1
        problem, text = row.problem, row.value
        if problem is None and not (plain and isinstance(text, str)):
            problem, text = _text_in(row.value, path)
        if problem is None:
            try:
                data = text.encode()
            except UnicodeEncodeError as error:
                code = ord(text[error.start])
                problem = f"half a character (the surrogate U+{code:04X}) at {error.start:,}"
            else:
                if data.strip():
                    yield data
                    continue
                problem = f"{counts.field or 'the text'} is empty"
                counts.empty += 1
        counts.skip(row, problem)
        if strict:
            break
    _check(counts, name, values, strict=strict)


def _text_in(value: object, path: list[str]) -> tuple[str | None, Any]:
    """What is wrong with a row, and its text."""
    if not isinstance(value, dict):
        return f"{_kind(value)} instead of an object", None
    inner: Any = value
    dotted = ".".join(path)
    if dotted in value:  # a key with a dot in it
        path = [dotted]
    for place, key in enumerate(path):
        if not isinstance(inner, dict) or key not in inner:
            keys = ", ".join(map(str, inner)) if isinstance(inner, dict) else ""
            where = ".".join(path[: place + 1])
            return f"no field {where}" + (f" (its fields: {keys[:60]})" if keys else ""), None
        inner = inner[key]
    if not isinstance(inner, str):
        return f"{'.'.join(path)} is {_kind(inner)}", None
    return None, inner


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
    return "an object"


def _check(counts: RowCounts, name: Path, values: list[Any], *, strict: bool) -> None:
    """Raises DataError where too many rows were bad."""
    if strict and counts.bad:
        raise DataError(
            f"{name} has a row without text",
            why=counts.named[0],
            hint="leave out --strict to skip a few of them",
        )
    few = counts.bad - counts.empty <= MAX_BAD * counts.rows
    if few:
        return
    used = counts.field or STANDARD
    others = [each for each in sorted(text_fields(values)) if each != used]
    if others:
        hint = f"--field {shlex.quote(closest_match(used, others) or others[0])}"
    else:
        hint = f"jq -c 'select(.{used} | strings)' {shlex.quote(str(name))} > good.jsonl"
    raise DataError(
        f"{counts.bad:,} of {counts.rows:,} rows of {name} have no text "
        f"({counts.bad / counts.rows:.0%})",
        why="; ".join(counts.named),
        hint=hint,
    )


# --- which field --------------------------------------------------------------------------------


def text_fields(values: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The fields that hold text, with dots where they are nested, and in how many rows they do.

    Text is a string with white space in it: identifiers and categories have none.
    """
    found: Counter[str] = Counter()
    for value in values:
        found.update({path for path, text in _strings(value) if re.search(r"\S\s+\S", text)})
    return dict(found)


def _strings(value: dict[str, Any], prefix: str = "", depth: int = 4) -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, str):
            yield f"{prefix}{key}", inner
        elif isinstance(inner, dict) and depth:
            yield from _strings(inner, f"{prefix}{key}.", depth - 1)


def find_field(values: list[dict[str, Any]], name: Path) -> str:
    """The field that holds the texts: `text`, or else the only one with text, or with strings.

    Raises:
        DataError: there are none or several.

    """
    if any(STANDARD in value for value in values):
        return STANDARD
    strings = sorted({path for value in values for path, _ in _strings(value)})
    found = sorted(text_fields(values)) or strings
    if len(found) == 1:
        return found[0]
    if is_chat(values):
        raise DataError(
            f"{name} holds conversations (messages), which cannot be trained on yet",
            why="supported are plain text and rows with one text each",
            hint="write each conversation as one text, or train on the JSON: --format text",
        )
    if found:
        raise DataError(
            f"{name} has {len(found)} fields with text",
            why=", ".join(found)[:300],
            hint=f"--field {shlex.quote(max(found, key=lambda each: _size(values, each)))}",
        )
    fields = sorted({key for value in values for key in value})
    raise DataError(
        f"no field of {name} holds text",
        why=f"its fields: {', '.join(fields)[:300]}" if fields else "it has no fields",
        hint=f"--field {shlex.quote(fields[0])}" if fields else "--format text reads it as it is",
    )


def is_chat(values: Iterable[dict[str, Any]]) -> bool:
    """Whether rows hold conversations."""
    return any(isinstance(value.get("messages"), list) for value in values)


def hold_text(values: Sequence[dict[str, Any]]) -> bool:
    """Whether rows are there for a text in them, so that what is around it is only wrapping."""
    standard = any(STANDARD in value for value in values)
    return standard or (len(values) > 1 and bool(text_fields(values) or is_chat(values)))


def _size(values: list[dict[str, Any]], field: str) -> int:
    return sum(len(text) for value in values for path, text in _strings(value) if path == field)


# --- rows of each format ------------------------------------------------------------------------


def json_rows(stream: IO[bytes], name: Path) -> Iterator[Row]:
    """The rows of JSON lines, of an array, or of values that follow one another.

    Raises:
        DataError: the file ends in the middle of a row, or is not JSON where no line tells where
            the next row starts.

    """
    head = stream.peek(1 << 16)  # type: ignore[attr-defined]
    start = head.removeprefix(UTF8_BOM).lstrip()
    first_line = start.split(b"\n", 1)[0]
    if not start.startswith(b"[") and _parses(first_line):
        return _json_lines(stream, name)
    return _json_values(stream, name)


def _parses(line: bytes) -> bool:
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
            yield Row(number, problem=f"not valid JSON ({str(error)[:80]})")


def _too_long(number: int, name: Path) -> DataError:
    return DataError(
        f"row {number:,} of {name} has more than {MAX_ROW:,} bytes",
        why="a row must fit into memory",
        hint="split the text into several rows, or use a plain text file",
    )


def _json_values(stream: IO[bytes], name: Path) -> Iterator[Row]:
    """Rows that no line ends: those of an array, or pretty-printed ones."""
    decoder = json.JSONDecoder()
    buffer = _read_text(stream).removeprefix("\ufeff").lstrip()
    in_array = buffer.startswith("[")
    position, number, at_end = (1 if in_array else 0), 0, False
    while True:
        while position < len(buffer) and buffer[position] in " \t\r\n,":
            position += 1
        if position == len(buffer) or (in_array and buffer[position] == "]"):
            if position < len(buffer) or (at_end and not in_array):
                return
            if at_end:
                raise DataError(f"{name} ends in the middle", why="the array is not closed")
        else:
            try:
                value, end = decoder.raw_decode(buffer, position)
            except (ValueError, RecursionError) as error:
                if at_end:
                    raise DataError(
                        f"{name} is not valid JSON", why=f"row {number + 1:,}: {str(error)[:200]}"
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
        buffer, position = buffer[position:] + more, 0


def _read_text(stream: IO[bytes], size: int = 1 << 20) -> str:
    """About as many bytes as UTF-8; invalid ones become surrogates, which rows are checked for."""
    data = stream.read(size)
    while data and len(data) < size and (part := stream.read(size - len(data))):
        data += part
    while data and _is_cut(data) and (byte := stream.read(1)):
        data += byte
    return data.decode(errors="surrogateescape")


def _is_cut(data: bytes) -> bool:
    """Whether the last character goes on."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return False
        if byte >= 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False


def table_rows(stream: IO[bytes], name: Path, delimiter: str) -> Iterator[Row]:
    """The rows of a table whose first row has the names of the columns.

    Raises:
        DataError: it has no header, or a quote is not closed.

    """
    lines = (line.decode(errors="surrogateescape") for line in stream)
    csv.field_size_limit(MAX_ROW)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        if not header:
            return
        header[0] = header[0].removeprefix("\ufeff")
        for number, cells in enumerate(rows, start=1):
            if not cells:  # an empty line
                continue
            if len(cells) == len(header):
                yield Row(number, dict(zip(header, cells, strict=True)))
            else:
                yield Row(number, problem=f"{len(cells)} cells for {len(header)} columns")
    except csv.Error as error:
        raise DataError(
            f"{name} is not valid {'CSV' if delimiter == ',' else 'TSV'}",
            why=f"line {rows.line_num:,}: {error}",
            hint="--format text reads it as plain text",
        ) from None
