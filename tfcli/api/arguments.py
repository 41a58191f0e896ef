"""What arguments have to be; each error says what it is instead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import index
from typing import TYPE_CHECKING

from tfcli.errors import UsageError
from tfcli.options import OptionError
from tfcli.quantities import counted
from tfcli.text.pairs import find_pair_fields
from tfcli.text.reading_options import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable

PAIRS = 'run.eval([("2+2", "4")])'
MAX_TOP = 100  # alternatives of a token


def require_text(text: object) -> str:
    """Raises UsageError for what is not a string of characters."""
    if not isinstance(text, str):
        raise UsageError(f"a text must be a string, not {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the text is not valid Unicode", why=str(error)) from None
    return text


def require_texts(texts: Iterable[str], *, hint: str) -> list[str]:
    """Raises UsageError for a single string, which is a list of its characters, too."""
    if isinstance(texts, str):
        raise UsageError("texts must be a list of strings, not one string", hint=hint)
    return [require_text(text) for text in texts]


def require_prompts(prompts: Iterable[str], texts: int) -> list[str]:
    """Raises UsageError for prompts that are neither none nor one for each text."""
    found = require_texts(prompts, hint="run.score(text, prompt=prompt)")
    if found and len(found) != texts:
        raise UsageError(f"{counted(len(found), 'prompt')} for {counted(texts, 'text')}")
    return found


def require_pairs(pairs: Iterable[object]) -> list[tuple[str, str]]:
    """Prompts and answers, of pairs or of rows; see `tfcli.text.pairs.KNOWN_FIELDS`.

    Raises:
        UsageError: there are none, or one is something else.

    """
    if isinstance(pairs, str | bytes | Mapping):
        raise _no_pairs(pairs)
    found = [_require_pair(pair) for pair in pairs]
    if not found:
        raise UsageError("eval() takes pairs of prompt and answer, and there are none", hint=PAIRS)
    return found


def _require_pair(pair: object) -> tuple[str, str]:
    if isinstance(pair, Mapping):
        fields = find_pair_fields([dict(pair)], DEFAULT)
        if fields is None or fields.answer is None:
            raise UsageError(
                f"a row with the fields {', '.join(map(repr, pair))} is no pair that is known",
                hint='[(row["..."], row["..."]) for row in rows]   # its prompt and its answer',
            )
        parts = [require_text(_text_of(pair[name])) for name in fields.prompt if pair.get(name)]
        pair = ("\n".join(parts), _text_of(pair[fields.answer]))
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise _no_pairs(pair)
    prompt, answer = (require_text(text) for text in pair)
    return prompt, answer


def _text_of(value: object) -> object:
    """A number as training reads it: its digits."""
    return json.dumps(value) if type(value) in {int, float} else value


def _no_pairs(given: object) -> UsageError:
    shown = repr(given)
    return UsageError(
        "eval() takes pairs of prompt and answer",
        why=f"this is none: {shown if len(shown) <= 60 else f'{shown[:59]}…'}",
        hint=PAIRS,
    )


def require_ids(ids: Iterable[int], vocab_size: int, *, most: int | None = None) -> list[int]:
    """The ids as integers, whatever library they are of.

    Args:
        most: the context length, if they are for the model.

    Raises:
        UsageError: one is no integer, or there is no such token; or they are none or too many.

    """
    try:
        found = [index(token) for token in ids]
    except TypeError as error:
        raise UsageError("token ids must be integers", why=str(error)) from None
    for token in found:
        if not 0 <= token < vocab_size:
            raise UsageError(f"token ids must be between 0 and {vocab_size - 1:,}, not {token:,}")
    if most is not None and not 0 < len(found) <= most:
        raise UsageError(
            f"logits() takes 1 to {most:,} tokens, not {len(found):,}",
            hint="run.score(text) reads longer texts through a sliding window",
        )
    return found


def require_count(name: str, value: object) -> None:
    """Raises OptionError for what is not a whole number of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise OptionError(name, f"must be a whole number of at least 1, not {value!r}")


def require_top(count: object) -> None:
    """Raises OptionError for what is no number of alternatives of a token."""
    if type(count) is not int or not 0 <= count <= MAX_TOP:
        raise OptionError("top_logprobs", f"must be from 0 to {MAX_TOP}, not {count!r}")


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raises OptionError for what is not one of the choices."""
    if value not in choices:
        raise OptionError(name, f"must be one of {', '.join(choices)}, not {value!r}")
