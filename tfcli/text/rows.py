"""Texts of rows: JSON lines, JSON arrays, tables, parquet. Each row's text is a document.

A row without a usable text is bad. A few bad rows are skipped and counted; many are an error.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, closest_match
from tfcli.quantities import counted, percent
from tfcli.text.encoding import in_a_shell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

MAX_BAD = 0.01  # of all rows: more are an error
NAMED = 3  # bad rows that are named
LOOKED_AT = 100  # rows, to find the field of the texts
MIN_LABELED, MIN_ROWS_OF_LABEL = 4, 4  # rows, and of each label on average
LONGEST_LABEL = 40  # characters
NOT_UTF8 = "not UTF-8"
CONVERSATIONS = ("messages", "conversations")  # fields of lists of messages
NO_VALUE = "(none)"  # the group of rows without the field that they are grouped by
STANDARD = "text"  # the field that holds the text wherever it exists


@dataclass(frozen=True)
class Row:
    """A row, or why there is none.

    Attributes:
        number: counted from 1; in JSON lines, the number of the line.
        value: an object, or a string that is the text itself.
        problem: why it cannot be used; None if it can.
        whole: all of its fields, where `value` has only those that may hold text.

    """

    number: int
    value: Any = None
    problem: str | None = None
    whole: dict[str, Any] | None = None


@dataclass
class RowCounts:
    """What became of the rows of a file.

    Attributes:
        field: that the texts were in, with dots where it is nested.
        rows: how many there were.
        pairs: how many pairs they held, if they hold any.
        bad: how many of them were skipped.
        empty: how many of these had an empty text, or only white space, from which nothing can be
            learned; some collections have many of them.
        named: the first of these, as "row 17: text is null".
        number, value: of the row that was read last; the value has all of its fields that were
            read.
        label: another field with a few values that many rows share, as of a classification.

    """

    field: str | None = None
    rows: int = 0
    pairs: int = 0
    bad: int = 0
    empty: int = 0
    named: list[str] = dataclasses.field(default_factory=list)
    number: int = dataclasses.field(default=0, compare=False)
    label: str | None = None
    value: Any = dataclasses.field(default=None, compare=False, repr=False)

    def read(self, row: Row) -> None:
        """Counts a row."""
        self.rows += 1
        self.number, self.value = row.number, row.value if row.whole is None else row.whole

    def skip(self, row: Row, problem: str) -> None:
        """Counts a bad row."""
        self.bad += 1
        if len(self.named) < NAMED:
            self.named.append(f"row {row.number:,}: {problem}")


def read_texts(
    rows: Iterator[Row],
    name: Path,
    *,
    wanted: str | None,
    strict: bool,
    counts: RowCounts,
    is_table: bool = False,
) -> Iterator[bytes]:
    """The texts of rows, in UTF-8.

    Args:
        wanted: the field that holds them; None finds it.
        strict: whether a single bad row is an error.
        counts: takes what was found.
        is_table: whether they are those of CSV, TSV or parquet, and not JSON.

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
        counts.label = find_label(values, counts.field)
    path = (counts.field or "").split(".")
    for row in itertools.chain(first, rows):
        counts.read(row)
        problem, text = row.problem, row.value
        if problem is None and not (plain and isinstance(text, str)):
            problem, text = text_in(row.value, path)
        if problem is None:
            problem, data = encode_text(text)
            if problem is None:
                if text.strip():
                    yield data
                    continue
                only = "has only white space" if text else "is empty"
                problem = f"{counts.field or 'the text'} {only}"
                counts.empty += 1
        counts.skip(row, problem)
        if strict:
            break
    _check(counts, name, values, strict=strict, is_table=is_table)


def encode_text(text: str) -> tuple[str | None, bytes]:
    """What is wrong with a text, and the text in UTF-8."""
    try:
        return None, text.encode()
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        # bytes that are not UTF-8 were read as these
        if 0xDC80 <= code <= 0xDCFF:
            return f"{NOT_UTF8}: 0x{code - 0xDC00:02x} at {error.start:,}", b""
        return f"an unpaired surrogate (U+{code:04X}) at {error.start:,}", b""


def text_in(value: object, path: list[str], *, numbers: bool = False) -> tuple[str | None, Any]:
    """What is wrong with a row, and its text.

    Args:
        path: the names of fields that lead to it.
        numbers: whether a number counts as its digits.

    """
    if not isinstance(value, dict):
        return f"{_kind(value)} instead of an object", None
    inner: Any = value
    dotted = ".".join(path)
    if dotted in value:  # a key with a dot in it
        path = [dotted]
    for place, key in enumerate(path):
        where = ".".join(path[: place + 1])
        if not isinstance(inner, dict):
            outer = ".".join(path[:place])
            return f"no field {where}: {outer} is {_kind(inner)}, without fields", None
        if key not in inner:
            keys = ", ".join(map(str, inner))
            return f"no field {where}" + (f" (its fields: {keys[:60]})" if keys else ""), None
        inner = inner[key]
    if numbers and type(inner) in {int, float}:
        return None, json.dumps(inner)
    if not isinstance(inner, str):
        return f"{'.'.join(path)} is {_kind(inner)}", None
    return None, inner


def field_value(row: object, field: str) -> str | None:
    """The value of a field as a name, such as that of a group; None where there is none.

    Args:
        row: of a table or of JSON.
        field: with dots where it is nested.

    """
    inner: Any = row
    for key in [field] if isinstance(row, dict) and field in row else field.split("."):
        inner = inner.get(key) if isinstance(inner, dict) else None
    if inner is None or inner == "":
        return None
    return inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False, default=str)


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


def _check(
    counts: RowCounts, name: Path, values: list[Any], *, strict: bool, is_table: bool
) -> None:
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
    if counts.named and (NOT_UTF8 in counts.named[0] or "utf-8" in counts.named[0]):
        raise DataError(
            f"{name} is not UTF-8",
            why="; ".join(counts.named),
            hint="--encoding NAME, such as cp1252, if you know which it is in",
        )
    used = counts.field or STANDARD
    if counts.bad == counts.rows and "," in used:  # which a name may hold, but this one does not
        raise DataError(
            f"{name} has no field {used!r}",
            why="--field names one field",
            hint=join_fields(used.split(","), in_a_shell(name)),
        )
    others = [each for each in sorted(text_fields(values)) if each != used]
    if others:
        hint = f"--field {shlex.quote(closest_match(used, others) or _largest(values, others))}"
    elif is_table:
        hint = "remove these rows first, or name another column: --field NAME"
    else:
        hint = keep_rows(used, in_a_shell(name))
    raise DataError(
        f"{counts.bad:,} of {counted(counts.rows, 'row')} of {name} have no text "
        f"({percent(counts.bad / counts.rows)})",
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
        found.update({path for path, text in string_fields(value) if re.search(r"\S\s+\S", text)})
    return dict(found)


def string_fields(
    value: dict[str, Any], prefix: str = "", depth: int = 4
) -> Iterator[tuple[str, str]]:
    """The strings of a row, each with its field; dots lead into objects."""
    for key, inner in value.items():
        if isinstance(inner, str):
            yield f"{prefix}{key}", inner
        elif isinstance(inner, dict) and depth:
            yield from string_fields(inner, f"{prefix}{key}.", depth - 1)


def find_field(values: list[dict[str, Any]], name: Path) -> str:
    """The field that holds the texts: `text`, or else the only one with text, or with strings.

    Raises:
        DataError: there are none or several.

    """
    if any(STANDARD in value for value in values):
        return STANDARD
    strings = sorted({path for value in values for path, _ in string_fields(value)})
    found = sorted(text_fields(values)) or strings
    if len(found) == 1:
        return found[0]
    if found:
        largest = _largest(values, found)
        first = next((each for each in found if each != largest), largest)
        raise DataError(
            f"{name} has {len(found)} fields with text",
            why=", ".join(found)[:300],
            hint=f"--field {shlex.quote(largest)}   # or, as pairs: --prompt-field "
            f"{shlex.quote(first)} --answer-field {shlex.quote(largest)}",
        )
    fields = sorted({key for value in values for key in value})
    raise DataError(
        f"no field of {name} holds text",
        why=f"its fields: {', '.join(fields)[:300]}" if fields else "it has no fields",
        hint=f"--field {shlex.quote(fields[0])}" if fields else "--format text reads it as it is",
    )


def find_label(values: Sequence[dict[str, Any]], text: str) -> str | None:
    """The field with the labels of texts: short, and a few of them in all rows together."""
    if len(values) < MIN_LABELED:
        return None
    for field in values[0]:
        labels = [value.get(field) for value in values]
        if field == text or not all(type(label) in {str, int} for label in labels):
            continue
        few = 1 < len({*labels}) <= max(2, len(labels) // MIN_ROWS_OF_LABEL)
        if few and all(0 < len(str(label)) <= LONGEST_LABEL for label in labels):
            return field
    return None


def hold_text(values: Sequence[dict[str, Any]]) -> bool:
    """Whether rows are there for a text in them, so that what is around it is only wrapping."""
    standard = any(STANDARD in value for value in values)
    return standard or (len(values) > 1 and bool(text_fields(values)))


def keep_rows(field: str, rows: str) -> str:
    """The command line that keeps the JSON rows with a text, and drops those that are no JSON.

    Args:
        rows: the name of their file, quoted.

    """
    inside = "".join(f".{json.dumps(key, ensure_ascii=False)}?" for key in field.split("."))
    program = f"fromjson? | objects | select({inside} | strings)"
    return f"jq -cR {shlex.quote(program)} {rows} > good.jsonl"


def join_fields(fields: Sequence[str], rows: str) -> str:
    """The command line that makes one text of several fields of JSON rows.

    Args:
        rows: the name of their file, quoted.

    """
    paths = ", ".join(
        f".{field}" if re.fullmatch(r"[a-z_][\w.]*", field, re.ASCII | re.I) else f'."{field}"'
        for field in map(str.strip, fields)
    )
    program = f'{{text: [{paths}] | join("\\n")}}'
    return f"jq -c {shlex.quote(program)} {rows} > joined.jsonl"


def _largest(values: list[dict[str, Any]], fields: list[str]) -> str:
    """The field with the most text in it."""
    sizes = Counter(dict.fromkeys(fields, 0))
    for value in values:
        for path, text in string_fields(value):
            if path in sizes:
                sizes[path] += len(text)
    return sizes.most_common(1)[0][0]
