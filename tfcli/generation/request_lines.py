"""Many requests: one prompt a line, or one JSON object a line, each with options of its own.

A line that makes no sense does not stop the others: it is answered with what is wrong with it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import DataError, TfcliError, closest_match
from tfcli.generation.request import GenerationRequest
from tfcli.generation.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLING = {field.name for field in fields(Sampling)}
PENALTIES = {
    "repetition_penalty": "repetition",
    "presence_penalty": "presence",
    "frequency_penalty": "frequency",
    "no_repeat_ngram": "no_repeat_ngram",
    "dry": "dry",
    "logit_bias": "bias",
}
OTHERS = {"prompt", "max_new_tokens", "stop", "seed", "greedy", "id"}
KEYS = sorted(SAMPLING | PENALTIES.keys() | OTHERS)
WHOLE = {"top_k", "max_new_tokens", "seed", "no_repeat_ngram"}  # numbers without a fraction


@dataclass(frozen=True)
class RequestLine:
    """A line of input: what is asked for, or what is wrong with it.

    Attributes:
        number: of the line, from 1.
        id: whatever the user put there, to be given back.

    """

    number: int
    request: GenerationRequest | None
    error: TfcliError | None = None
    id: Any = None


def repeat(row: RequestLine, samples: int, first: int) -> Iterator[RequestLine]:
    """A row so many times, with random numbers of its own each; `first` is the first's number."""
    if row.request is None:
        yield row
        return
    for place in range(samples):
        yield replace(row, request=replace(row.request, row=first + place))


def parse_plain_line(line: bytes, number: int, default: GenerationRequest) -> RequestLine:
    """A row whose line is its prompt."""
    try:
        return RequestLine(number, replace(default, prompt=_text(line, number).rstrip("\r\n")))
    except TfcliError as error:
        return RequestLine(number, None, error)


def parse_json_line(
    line: bytes, number: int, default: GenerationRequest, vocab_size: int
) -> RequestLine:
    """A row of JSON: `prompt`, and the options by their names; what is left out is `default`."""
    given: Any = None
    try:
        given = _parse(line, number)
        request = _request(given, number, default)
        check_bias(request, vocab_size, f"row {number}: logit_bias")
        return RequestLine(number, request, id=given.get("id"))
    except TfcliError as error:
        return RequestLine(
            number, None, error, given.get("id") if isinstance(given, dict) else None
        )


def check_bias(request: GenerationRequest, vocab_size: int, where: str) -> None:
    """Raises DataError where a bias is for a token that there is not."""
    wrong = [token for token, _ in request.penalties.bias if token >= vocab_size]
    if wrong:
        raise DataError(f"{where} names token {wrong[0]}, and there are {vocab_size:,}")


def _text(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"row {number} is not text in UTF-8", why=str(error)) from None


def _parse(line: bytes, number: int) -> dict[str, Any]:
    try:
        given = json.loads(_text(line, number), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DataError(f"row {number} is not JSON", why=str(error)) from None
    if not isinstance(given, dict):
        raise DataError(
            f"row {number} is not a JSON object", hint='{"prompt": "Once", "temperature": 0.5}'
        )
    return given


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _request(given: dict[str, Any], number: int, default: GenerationRequest) -> GenerationRequest:
    """The request of a JSON object.

    Raises:
        DataError: a key that there is not, or a value of the wrong kind or out of its range.

    """
    for key, value in given.items():
        if key not in KEYS:
            similar = closest_match(key, KEYS)
            raise DataError(
                f"row {number} has a key {key!r} that means nothing here",
                hint=f"did you mean {similar} ?" if similar else f"known: {', '.join(KEYS)}",
            )
        if not _fits(key, value):
            raise DataError(f"row {number}: {key} cannot be {json.dumps(value)[:60]}")
    sampling = {name: given[name] for name in SAMPLING & given.keys()}
    if given.get("greedy"):
        sampling["temperature"] = 0.0
    elif "greedy" in given and default.sampling.temperature == 0:
        sampling.setdefault("temperature", Sampling().temperature)
    if sampling.get("top_k") == 0:
        sampling["top_k"] = None
    penalties = {PENALTIES[name]: given[name] for name in PENALTIES.keys() & given.keys()}
    if "bias" in penalties:
        penalties["bias"] = tuple(
            (int(token), float(value)) for token, value in penalties["bias"].items()
        )
    others: dict[str, Any] = {
        name: given[name] for name in ("prompt", "max_new_tokens", "seed") if name in given
    }
    if "stop" in given:
        stop = given["stop"]
        others["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    try:
        return replace(
            default,
            sampling=replace(default.sampling, **sampling),
            penalties=replace(default.penalties, **penalties),
            **others,
        )
    except TfcliError as error:
        what = re.sub(r"--([a-z-]+)", lambda match: match[1].replace("-", "_"), error.what)
        raise DataError(f"row {number}: {what}") from None


def _fits(key: str, value: object) -> bool:
    """Whether a value is of the kind that a key has."""
    if key == "id":
        return _is_json(value)
    if key == "prompt":
        return isinstance(value, str)
    if key == "greedy":
        return isinstance(value, bool)
    if key == "stop":
        several = isinstance(value, list) and all(isinstance(one, str) for one in value)
        return isinstance(value, str) or several
    if key == "logit_bias":
        return isinstance(value, dict) and all(
            re.fullmatch(r"[0-9]{1,9}", token) and _is_number(bias) for token, bias in value.items()
        )
    if key in WHOLE:
        return type(value) is int and value >= 0
    return _is_number(value)


def _is_json(value: object) -> bool:
    """Whether a value can be given back: 1e999 was read as infinity, which JSON has not."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and abs(value) < 1e18  # type: ignore[arg-type]
