"""What arguments have to be; each error says what it is instead."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from tfcli.errors import UsageError
from tfcli.options import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        raise UsageError(f"{texts:,} texts have {len(found):,} prompts")
    return found


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
