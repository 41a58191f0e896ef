"""The rows of JSON lines and of tables as they are written, compared by one of their fields."""

from __future__ import annotations

import csv
import itertools
import json
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, closest_match
from tfcli.insight.repeats import TextUnit, lines_of
from tfcli.text.encoding import UTF8_BOM
from tfcli.text.row_formats import MAX_ROW, find_delimiter, header_of
from tfcli.text.rows import LOOKED_AT, string_fields, text_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def row_pieces(
    blocks: Iterable[bytes], field: str, note: Callable[[str], None] = lambda _: None
) -> Iterator[TextUnit]:
    """Each row; the header of a table, and rows without the field, are compared with nothing.

    Args:
        blocks: JSON lines, CSV or TSV in UTF-8, cut anywhere.
        field: or column; dots lead into objects.
        note: is told at the end what rows of a table are without the field.

    Raises:
        DataError: none of the first rows has the field, or these are no such rows.

    """
    rest = (line + newline for line, newline in lines_of(blocks))
    first = next((line for line in rest if line.strip()), b"")
    begin, lines = first.removeprefix(UTF8_BOM).lstrip(), itertools.chain([first], rest)
    if begin.startswith(b"["):
        raise DataError(
            "--field reads a row on each line, and this is an array",
            hint=f"jq -c '.[]' FILE | tfcli text dedup --field {field}",
        )
    if begin:
        if begin.startswith(b"{"):
            yield from _json_pieces(lines, field)
        else:
            yield from _table_pieces(lines, field, note)


def _json_pieces(lines: Iterator[bytes], field: str) -> Iterator[TextUnit]:
    first = list(itertools.islice(lines, LOOKED_AT))
    rows = [_object_of(line) for line in first]
    if not any(_text(row, field) for row in rows):
        strings = dict.fromkeys(path for row in rows for path, _ in string_fields(row))
        raise _no_field(field, strings or next((row for row in rows if row), {}))
    for line in itertools.chain(first, lines):
        yield TextUnit(line, _text(_object_of(line), field))


def _object_of(line: bytes) -> dict[str, Any]:
    """The object on a line; an empty one where there is none, which stays as it is."""
    try:
        value = json.loads(line.removeprefix(UTF8_BOM))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(row: dict[str, Any], field: str) -> bytes:
    problem, text = text_in(row, field.split("."), numbers=True)
    return b"" if problem else text.strip().encode(errors="surrogatepass")


def _table_pieces(
    lines: Iterator[bytes], field: str, note: Callable[[str], None]
) -> Iterator[TextUnit]:
    read: list[bytes] = []  # the lines of the row that is read

    def texts() -> Iterator[str]:
        for line in lines:
            read.append(line)
            yield line.decode()

    csv.field_size_limit(MAX_ROW)
    header = next(lines)
    names = header.decode().removeprefix("\ufeff")
    columns = header_of(names)
    if field not in columns:
        raise _no_field(field, columns)
    column = columns.index(field)
    yield TextUnit(header, b"")
    ragged: list[int] = []  # numbers of rows that have more or fewer cells: which is whose?
    try:
        rows = csv.reader(texts(), delimiter=find_delimiter(names), strict=True)
        for number, cells in enumerate(rows, 1):
            whole = len(cells) == len(columns)
            if cells and not whole:
                ragged.append(number)
            yield TextUnit(b"".join(read), cells[column].strip().encode() if whole else b"")
            read.clear()
    except csv.Error as error:
        raise DataError("the table is not valid CSV", why=str(error)) from None
    if ragged:
        note(
            f"{len(ragged):,} of {number:,} rows have more or fewer cells than the header, and are "
            f"kept (the first: row {ragged[0]:,})"
        )


def _no_field(field: str, fields: Iterable[str]) -> DataError:
    known = list(fields)
    inside = [each for each in known if each.startswith(f"{field}.")]
    similar = inside[0] if inside else closest_match(field, known)
    return DataError(
        f"no row has text in the field {field!r}",
        why=f"its fields: {', '.join(known)[:300]}" if known else "these are no rows",
        hint=f"did you mean {similar!r}?" if similar else None,
    )
