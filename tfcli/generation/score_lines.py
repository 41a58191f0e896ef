"""Texts to score on lines of JSON: `text`, and `prompt` and `id` if there are any.

An invalid line does not stop the others: it is answered with an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcli.errors import DataError
from tfcli.generation.json_lines import (
    is_json,
    parse_object,
    require_json,
    require_string,
    unknown_key,
)

KEYS = ("id", "prompt", "text")
EXAMPLE = '{"id": 1, "prompt": "Once upon", "text": " a time"}'


@dataclass(frozen=True)
class ScoreLine:
    """A line of input: what is to be scored, or what is wrong with it.

    Attributes:
        number: of the line, from 1.
        prompt: what comes before the text and is not scored.
        id: whatever the user put there, to be returned.

    """

    number: int
    text: str = ""
    prompt: str = ""
    id: Any = None
    error: DataError | None = None


def parse_score_line(line: bytes, number: int) -> ScoreLine:
    """What a line asks for."""
    given: dict[str, Any] = {}
    try:
        given = parse_object(line, number, EXAMPLE)
        return _score_line(given, number)
    except DataError as error:
        id = given.get("id")
        return ScoreLine(number, id=id if is_json(id) else None, error=error)


def _score_line(given: dict[str, Any], number: int) -> ScoreLine:
    for key in given:
        if key not in KEYS:
            raise unknown_key(key, number, KEYS)
    require_json(given, "id", number)
    require_string(given, "prompt", number)
    require_string(given, "text", number)
    if "text" not in given:
        raise DataError(f"line {number} has no text", hint=f"for example {EXAMPLE}")
    return ScoreLine(number, given["text"], given.get("prompt", ""), given.get("id"))
