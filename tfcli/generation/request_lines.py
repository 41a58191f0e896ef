"""Requests on lines: a prompt on each, or a JSON object with options of its own.

An invalid line does not stop the others: it is answered with an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tfcli.errors import DataError, TfcliError
from tfcli.generation.json_lines import (
    parse_object,
    require_json,
    require_string,
    returned,
    unknown_key,
)
from tfcli.generation.messages import check_messages
from tfcli.generation.request import BaseRequest, GenerationRequest
from tfcli.options import OptionError, find_option, options_of, update_options
from tfcli.text.encoding import decode_line
from tfcli.text.escapes import unescape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.generation.messages import Messages

    Check = Callable[[GenerationRequest], None]  # raises where the model cannot answer a request
    # makes the request for the answer to a conversation; None stands for the prompt
    Turn = Callable[[Messages | None, GenerationRequest], GenerationRequest]

EXAMPLE = '{"prompt": "Once", "temperature": 0.5}'

KEYS = sorted({"prompt", "messages", "id", *options_of(GenerationRequest)})

Request = TypeVar("Request", bound=BaseRequest)


@dataclass(frozen=True)
class RequestLine(Generic[Request]):
    """A line of input: what it asks for, or what is wrong with it.

    Attributes:
        number: of the line, from 1.
        returned: the `id` of the row, if it has one: whatever the user put there.
        sample: which of several texts for this line, from 0.
        seeded: whether it has a seed of its own.

    """

    number: int
    request: Request | None
    error: TfcliError | None = None
    returned: dict[str, Any] = field(default_factory=dict)
    sample: int = 0
    seeded: bool = False


def repeat(line: RequestLine[Request], samples: int, first: int) -> Iterator[RequestLine[Request]]:
    """A line once for each sample, each with the seed that gives it alone.

    Args:
        first: how many texts there are before it; they have used up as many seeds, unless this line
            has one of its own.

    """
    if line.request is None:
        yield line
        return
    for place in range(samples):
        request = line.request.with_next_seed(place if line.seeded else first + place)
        yield replace(line, request=request, sample=place)


def parse_plain_line(
    line: bytes, number: int, default: GenerationRequest, turn: Turn | None = None
) -> RequestLine[GenerationRequest]:
    r"""A line that is a prompt, with newlines as `\n`, which is how answers are written.

    Its end is that of a word.
    """
    try:
        prompt = unescape(decode_line(line, number).removesuffix("\r"))
        request = replace(default, prompt=prompt, ends_word=True)
        return RequestLine(number, turn(None, request) if turn else request)
    except TfcliError as error:
        return RequestLine(number, None, error)


def parse_json_line(
    line: bytes,
    number: int,
    default: GenerationRequest,
    check: Check = lambda _: None,
    turn: Turn | None = None,
) -> RequestLine[GenerationRequest]:
    """A line of JSON: `prompt`, `id` and options by their names.

    Those that are left out are as in `default`, and so is null where it is not a value itself.

    Args:
        turn: of a chat, in which there may be `messages` in place of `prompt`.

    """
    given: Any = None
    try:
        given = parse_object(line, number, EXAMPLE)
        request = _request(given, number, default)
        messages = _messages(given, number, in_chat=turn is not None)
        request = turn(messages, request) if turn else request
        check(request)
        return valid_line(number, request, given)
    except TfcliError as error:
        return RequestLine(number, None, of_line(error, number), returned(given))


def valid_line(number: int, request: Request, given: dict[str, Any]) -> RequestLine[Request]:
    """A line of JSON with nothing wrong with it."""
    seeded = given.get("seed") is not None
    return RequestLine(number, request, returned=returned(given), seeded=seeded)


def of_line(error: TfcliError, number: int) -> DataError:
    """An error that says which line it is about."""
    if isinstance(error, DataError):
        return error
    return DataError(f"line {number}: {error.what}", why=error.why, hint=error.hint)


def _messages(given: dict[str, Any], number: int, *, in_chat: bool) -> Messages | None:
    """The conversation of a JSON object, if it has one.

    Raises:
        DataError: it is none, has a prompt beside it, or this is no chat.

    """
    if given.get("messages") is None:
        return None
    if not in_chat:
        what = f"line {number}: messages need --chat"
        raise DataError(what, hint="tfcli generate --chat --jsonl")
    if "prompt" in given:
        raise DataError(f"line {number}: prompt cannot be combined with messages")
    try:
        return check_messages(given["messages"])
    except DataError as error:
        raise DataError(f"line {number}: {error.what}", hint=error.hint) from None


def _request(given: dict[str, Any], number: int, default: GenerationRequest) -> GenerationRequest:
    """The request of a JSON object."""
    require_string(given, "prompt", number)
    request = with_options(default, given, number, KEYS)
    return replace(request, prompt=given.get("prompt", default.prompt))


def with_options(
    default: Request, given: dict[str, Any], number: int, known: Sequence[str]
) -> Request:
    """A request with the options of a JSON object.

    Args:
        known: all keys that it may have.

    Raises:
        DataError: there is no such key.
        UsageError: a value is of the wrong type or out of range, or two exclude each other.

    """
    require_json(given, "id", number)
    values: dict[str, Any] = {}
    names: dict[str, str] = {}  # by which each was given
    for key, value in given.items():
        if found := find_option(type(default), key):
            if value is None and not found.optional:
                continue
            if found.name in names:
                raise OptionError(
                    found.name, f"was given twice: as {names[found.name]!r} and {key!r}"
                )
            names[found.name] = key
            values[found.name] = found.parse_json(value)
        elif key not in known:
            raise unknown_key(key, number, known)
    return update_options(default, values)
