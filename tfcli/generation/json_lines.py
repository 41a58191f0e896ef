"""JSON objects on lines: how they are read, and what is wrong with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, closest_match
from tfcli.generation.other_keys import meant_key
from tfcli.text.encoding import decode_line
from tfcli.text.row_formats import json_problem

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_object(line: bytes, number: int, example: str) -> dict[str, Any]:
    """The object on a line.

    Args:
        number: of the line, from 1.
        example: of such an object, for the hint.

    Raises:
        DataError: there is none.

    """
    try:
        given = json.loads(decode_line(line, number), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        problem = json_problem(error)
        if line.lstrip()[:1] in {b"{", b"["}:  # it begins here, and may go on below
            problem += "; jq -c . puts each object on one line"
        raise DataError(f"line {number} is not valid JSON", why=problem) from None
    if not isinstance(given, dict):
        raise DataError(f"line {number} is not a JSON object", hint=f"for example {example}")
    return given


def require_string(given: dict[str, Any], key: str, number: int) -> None:
    """Raises DataError where a key is there, and is no text."""
    value = given.get(key, "")
    if not isinstance(value, str):
        raise DataError(f"line {number}: {key} must be a string, not {shown(value)}")
    require_unicode(value, key, number)


def require_unicode(value: str, key: str, number: int) -> None:
    """Raises DataError where a string is no text.

    JSON can hold halves of a character beyond U+FFFF, which no text in UTF-8 has.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        surrogate = ord(value[error.start])
        raise DataError(
            f"line {number}: {key} contains an unpaired surrogate (U+{surrogate:04X})"
        ) from None


def require_json(given: dict[str, Any], key: str, number: int) -> None:
    """Raises DataError where a value could not be returned."""
    if not is_json(given.get(key)):
        raise DataError(f"line {number}: {key} must be valid JSON, not {shown(given[key])}")


def returned(given: object) -> dict[str, Any]:
    """What of a row is returned with its answer: its `id`, if it has one that can be."""
    if isinstance(given, dict) and "id" in given and is_json(given["id"]):
        return {"id": given["id"]}
    return {}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def unknown_key(key: str, number: int, known: Sequence[str]) -> DataError:
    """The error for a key that means nothing: its place is in `id`, which comes back."""
    similar = closest_match(key, known)
    text, command = ("prompt", "generate") if "prompt" in known else ("text", "fill")
    keep = f"jq -c '{{{text}, id: .}}' FILE | tfcli {command} --jsonl   # an answer has its id"
    hint = f"did you mean {similar!r}?" if similar else keep
    return DataError(f"line {number}: unknown key {key!r}", hint=meant_key(key) or hint)


def is_json(value: object) -> bool:
    """Whether a value can be returned: 1e999 was read as infinity, which JSON does not have."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):  # TypeError: a date of parquet
        return False
    return True


def shown(value: object) -> str:
    """A value for a message."""
    return (repr(value) if isinstance(value, str) else json.dumps(value, default=str))[:60]
