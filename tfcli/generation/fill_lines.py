"""Texts with gaps on lines: one on each, or a JSON object with options of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, TfcliError
from tfcli.generation.fill_request import FillRequest
from tfcli.generation.gaps import GappedText, parse_gaps
from tfcli.generation.json_lines import parse_object, require_string, returned
from tfcli.generation.request_lines import RequestLine, of_line, valid_line, with_options
from tfcli.options import options_of
from tfcli.text.encoding import decode_line
from tfcli.text.escapes import unescape

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[FillRequest], None]  # raises where the model cannot answer a request

EXAMPLE = '{"text": "Once [] a time", "temperature": 0.5}'
TEXTS = ("text", "prefix", "suffix")
KEYS = sorted({*TEXTS, "id", *options_of(FillRequest)})


def parse_plain_line(
    line: bytes, number: int, default: FillRequest, check: Check
) -> RequestLine[FillRequest]:
    r"""A line that is a text, with newlines as `\n`, which is how texts are written."""
    try:
        text = parse_gaps(unescape(decode_line(line, number).removesuffix("\r")))
        request = replace(default, text=text)
        check(request)
        return RequestLine(number, request)
    except TfcliError as error:
        return RequestLine(number, None, of_line(error, number))


def parse_json_line(
    line: bytes, number: int, default: FillRequest, check: Check
) -> RequestLine[FillRequest]:
    """A line of JSON: `text`, or `prefix` and `suffix`; `id` and options by their names.

    Those that are left out are as in `default`.
    """
    given: Any = None
    try:
        given = parse_object(line, number, EXAMPLE)
        request = with_options(default, given, number, KEYS)
        request = replace(request, text=_text(given, number))
        check(request)
        return valid_line(number, request, given)
    except TfcliError as error:
        return RequestLine(number, None, of_line(error, number), returned(given))


def _text(given: dict[str, Any], number: int) -> GappedText:
    """The text of a JSON object: with gaps, or with one between a prefix and a suffix.

    Raises:
        DataError: it has none, or both.
        UsageError: the text has no gap.

    """
    for key in TEXTS:
        require_string(given, key, number)
    around = (given.get("prefix", ""), given.get("suffix", ""))
    if "text" not in given and not any(around):
        raise DataError(f"line {number}: no text to fill", hint=f"for example {EXAMPLE}")
    if "text" not in given:
        return GappedText(around, (None,))
    if any(key in given for key in TEXTS[1:]):
        raise DataError(f"line {number}: text cannot be combined with prefix or suffix")
    return parse_gaps(given["text"])
