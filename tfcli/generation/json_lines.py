"""JSON objects on lines: how they are read, and what is wrong with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, closest_match
from tfcli.text.encoding import decode_line

if TYPE_CHECKING:
    from collections.abc import Sequence


def parse_object(line: bytes, number: int, example: str) -> dict[str, Any]:
    """The object on a line.

    Raises:
        DataError: there is none.

    """
    try:
        given = json.loads(decode_line(line, number), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {number} is not valid JSON", why=str(error)) from None
    if not isinstance(given, dict):
        raise DataError(f"line {number} is not a JSON object", hint=example)
    return given


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def unknown_key(key: str, number: int, known: Sequence[str]) -> DataError:
    """The error for a key that means nothing."""
    similar = closest_match(key, known)
    return DataError(
        f"line {number}: unknown key {key!r}",
        hint=f"did you mean {similar!r}?" if similar else f"known: {', '.join(known)}",
    )


def is_json(value: object) -> bool:
    """Whether a value can be returned: 1e999 was read as infinity, which JSON does not have."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def shown(value: object) -> str:
    """A value for a message."""
    return repr(value)[:60]
