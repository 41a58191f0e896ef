"""Texts to score on lines of JSON: `text`, and `prompt` and `id` if there are any.

A row may have other keys, and its text another name, as the rows of a data set do; a pair of prompt
and answer is known by the names of its fields. An invalid line does not stop the others: it is
answered with an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, closest_match
from tfcli.generation.json_lines import (
    parse_object,
    require_json,
    require_unicode,
    returned,
    shown,
)
from tfcli.text.pairs import find_pair_fields
from tfcli.text.reading_options import DEFAULT
from tfcli.text.rows import STANDARD, string_fields, text_in

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def parse_score_line(
    line: bytes, number: int, field: str = STANDARD, prompt: Sequence[str] = ()
) -> ScoreLine:
    """What a line asks for.

    Args:
        field: that holds the text; dots lead into objects.
        prompt: the fields of what comes before it, joined by newlines, of which those after the
            first may be missing; none: `prompt`, if there is one.

    """
    given: dict[str, Any] = {}
    try:
        given = parse_object(line, number, EXAMPLE)
        return _score_line(given, number, field, prompt)
    except DataError as error:
        return ScoreLine(number, returned=returned(given), error=error)


def parse_score_row(row: Row, field: str = STANDARD, prompt: Sequence[str] = ()) -> ScoreLine:
    """What a row of a table or of an array asks for: its columns are the keys of a line of JSON."""
    if row.problem:
        return ScoreLine(row.number, error=DataError(f"row {row.number:,}: {row.problem}"))
    if not isinstance(row.value, dict):
        problem = DataError(f"row {row.number:,} is not a JSON object", hint=f"such as {EXAMPLE}")
        return ScoreLine(row.number, error=problem)
    try:
        return _score_line(row.value, row.number, field, prompt)
    except DataError as error:
        return ScoreLine(row.number, returned=returned(row.value), error=error)


def _score_line(given: dict[str, Any], number: int, field: str, prompt: Sequence[str]) -> ScoreLine:
    require_json(given, "id", number)
    if field == STANDARD and not prompt and (pair := find_pair_fields([given], DEFAULT)):
        field, prompt = pair.answer or field, pair.prompt if pair.answer else ()
    for key, value in given.items():
        misspelled = not prompt and "prompt" not in given and _means_prompt(key)
        if misspelled and isinstance(value, str):
            raise DataError(f"line {number}: unknown key {key!r}", hint="did you mean 'prompt'?")
    before = [
        _text(given, name, number)
        for place, name in enumerate(prompt)
        if not place or given.get(name) not in {None, ""}
    ]
    if not prompt and "prompt" in given:
        before = [_text(given, "prompt", number)]
    return ScoreLine(number, _text(given, field, number), "\n".join(before), returned(given))


def _text(given: dict[str, Any], field: str, number: int) -> str:
    """The text of a field; a number is its digits, as where a training reads pairs."""
    problem, text = text_in(given, field.split("."), numbers=True)
    if problem and field in given:
        raise DataError(f"line {number}: {field} must be a string, not {shown(given[field])}")
    if problem:
        raise DataError(f"line {number}: {problem}", hint=_other_field(given, field))
    require_unicode(text, field, number)
    return str(text)


def _means_prompt(key: str) -> bool:
    return SequenceMatcher(None, key.lower(), "prompt").ratio() > MISSPELLED


def _other_field(given: dict[str, Any], field: str) -> str:
    """The field that was probably meant."""
    similar = closest_match(field, [path for path, _ in string_fields(given)])
    return f"did you mean {similar!r}?" if similar else "--field NAME names that of the text"
