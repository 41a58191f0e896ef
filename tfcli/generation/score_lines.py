"""Texts to score on lines of JSON: `text`, and `prompt` and `id` if there are any.

A row may have other keys, and its text another name, as the rows of a data set do. An invalid line
does not stop the others: it is answered with an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, closest_match
from tfcli.generation.json_lines import (
    parse_object,
    require_json,
    require_string,
    require_unicode,
    returned,
)
from tfcli.text.rows import STANDARD, string_fields, text_in

if TYPE_CHECKING:
    from tfcli.text.rows import Row

EXAMPLE = '{"id": 1, "prompt": "Once upon", "text": " a time"}'
MISSPELLED = 0.85  # above this, a key is a misspelled `prompt`


@dataclass(frozen=True)
class ScoreLine:
    """A line of input: what is to be scored, or what is wrong with it.

    Attributes:
        number: of the line, from 1.
        prompt: what comes before the text and is not scored.
        returned: the `id` of the row, if it has one: whatever the user put there.

    """

    number: int
    text: str = ""
    prompt: str = ""
    returned: dict[str, Any] = field(default_factory=dict)
    error: DataError | None = None


def parse_score_line(line: bytes, number: int, field: str = STANDARD) -> ScoreLine:
    """What a line asks for.

    Args:
        field: that holds the text; dots lead into objects.

    """
    given: dict[str, Any] = {}
    try:
        given = parse_object(line, number, EXAMPLE)
        return _score_line(given, number, field)
    except DataError as error:
        return ScoreLine(number, returned=returned(given), error=error)


def parse_score_row(row: Row, field: str = STANDARD) -> ScoreLine:
    """What a row of a table asks for: its columns are the keys of a line of JSON."""
    if row.problem:
        return ScoreLine(row.number, error=DataError(f"row {row.number:,}: {row.problem}"))
    try:
        return _score_line(row.value, row.number, field)
    except DataError as error:
        return ScoreLine(row.number, returned=returned(row.value), error=error)


def _score_line(given: dict[str, Any], number: int, field: str) -> ScoreLine:
    require_json(given, "id", number)
    require_string(given, "prompt", number)
    for key, value in given.items():
        if "prompt" not in given and isinstance(value, str) and _means_prompt(key):
            raise DataError(f"line {number}: unknown key {key!r}", hint="did you mean 'prompt'?")
    if field in given:
        require_string(given, field, number)
    problem, text = text_in(given, field.split("."))
    if problem:
        raise DataError(f"line {number}: {problem}", hint=_other_field(given, field))
    require_unicode(text, field, number)
    return ScoreLine(number, text, given.get("prompt", ""), returned(given))


def _means_prompt(key: str) -> bool:
    return SequenceMatcher(None, key.lower(), "prompt").ratio() > MISSPELLED


def _other_field(given: dict[str, Any], field: str) -> str:
    """The field that was probably meant."""
    similar = closest_match(field, [path for path, _ in string_fields(given)])
    return f"did you mean {similar!r}?" if similar else "--field NAME names that of the text"
