"""Which format a text has that no name and no option tells for sure: prose, rows or a table."""

from __future__ import annotations

import contextlib
import io
import itertools
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tfcli.errors import DataError, closest_match
from tfcli.text.byte_streams import buffered
from tfcli.text.formats import HEAD, format_of, header_in, resembles_table
from tfcli.text.pairs import find_pair_fields
from tfcli.text.reading_options import DEFAULT
from tfcli.text.row_formats import json_rows
from tfcli.text.rows import LOOKED_AT, STANDARD, hold_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.text.reading import Reading
    from tfcli.text.reading_options import Format, ReadingOptions
    from tfcli.text.rows import Row

JSON_LINES = {".jsonl", ".ndjson"}


def recognize(
    stream: IO[bytes], suffix: str, options: ReadingOptions, reading: Reading, name: Path
) -> Format:
    """The format of a text, from how it begins.

    Args:
        suffix: of its name, in lower case, without that of a compression.
        reading: takes what plain text resembles.
        name: what errors call it.

    Raises:
        DataError: a column was named that is probably another one of a table.

    """
    raw = stream.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
    head = raw.decode(errors="replace")
    named = options.named_fields
    found = format_of(head, suffix=suffix, whole=len(raw) < HEAD, columns=named)
    if found == "text" and suffix in JSON_LINES and head.strip():
        return "json"  # even where rows are bad
    if found == "text" and suffix == ".json" and head.split() in (["[]"], ["[", "]"]):
        return "json"  # without rows
    if found == "json" and suffix not in JSON_LINES and not named:
        if _holds_text(head, named=suffix == ".json"):
            return "json"
        reading.resembles = ("json", []) if not suffix else None
        return "text"
    if found == "text":
        reading.resembles = resembles_table(head, whole=len(raw) < HEAD)
        require_columns(named, header_in(head), name)
    return found


def require_columns(named: Sequence[str], columns: Sequence[str], name: Path) -> None:
    """Raises DataError where one of the columns is probably meant by another name.

    A line of prose with a comma has columns of several words.
    """
    for each in named:
        alike = [column for column in columns if " " in each or " " not in column]
        if each not in columns and (meant := closest_match(each, alike)):
            raise DataError(
                f"{name} has no column {each!r}",
                why=f"its columns: {', '.join(columns)[:200]}",
                hint=f"did you mean {meant!r}?",
            )


def _holds_text(head: str, *, named: bool) -> bool:
    """Whether a file is rows that are there for a text in them: several, and hardly a bad one.

    Args:
        named: whether its name says that it is JSON, so that only a single object is in doubt.

    """
    rows: list[Row] = []
    with contextlib.suppress(DataError):  # the head ends in the middle of one
        stream = buffered(io.BytesIO(head.encode()))
        rows += itertools.islice(json_rows(stream, Path("head")), LOOKED_AT)
    if len(rows) > 1 and rows[-1].problem and not head.endswith("\n"):
        rows.pop()  # it may only be cut
    values = [row.value for row in rows if isinstance(row.value, dict)]
    pairs = bool(values) and find_pair_fields(values, DEFAULT) is not None
    if head.lstrip().startswith("{") and len(rows) < 2:
        # or settings, a package, a map
        return any(isinstance(value.get(STANDARD), str) for value in values) or (
            pairs and not named
        )
    if named or any(isinstance(row.value, str) for row in rows):
        return True
    return 20 * (len(rows) - len(values)) <= len(rows) and (pairs or hold_text(values))
