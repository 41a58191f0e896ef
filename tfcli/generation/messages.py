"""The turns of a conversation, as programs exchange them: `[{"role": ..., "content": ...}]`."""

from __future__ import annotations

from typing import Any

from tfcli.errors import DataError
from tfcli.generation.json_lines import is_json, shown

EXAMPLE = '[{"role": "user", "content": "Hello"}]'
Messages = list[dict[str, Any]]


def check_messages(value: object) -> Messages:
    """The conversation that a JSON value is.

    Roles may be any, and contents anything that the template takes; `null` is as if it were not
    there.

    Raises:
        DataError: it is none.

    """
    if not isinstance(value, list) or not value:
        given = "an empty list" if value == [] else shown(value) if is_json(value) else "infinite"
        raise DataError(f"messages must be a list of messages, not {given}", hint=EXAMPLE)
    for number, message in enumerate(value, 1):
        if not isinstance(message, dict):
            raise DataError(f"message {number} must be an object", hint=EXAMPLE)
        if not isinstance(message.get("role"), str):
            raise DataError(f"message {number} has no role", hint=EXAMPLE)
        if not is_json(message):
            raise DataError(f"message {number} is not valid JSON")
        for text in texts_of(message):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise DataError(f"message {number} contains an unpaired surrogate") from None
    return value


def texts_of(value: Any) -> list[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts_of(part)]


def with_system(messages: Messages, system: str | None) -> Messages:
    """A conversation with a system prompt, unless it begins with its own."""
    if system is None or (messages and messages[0].get("role") == "system"):
        return messages
    return [{"role": "system", "content": system}, *messages]


def turn_starts(messages: Messages) -> list[int]:
    """Where the turns begin: each has what a person says, and what follows until the next."""
    return [place for place, each in enumerate(messages) if each.get("role") == "user"]


def without_oldest(messages: Messages, turns: int) -> Messages:
    """A conversation without its first turns; a system prompt in front of them stays."""
    starts = turn_starts(messages)
    head = [each for each in messages[: starts[0]] if each.get("role") == "system"]
    return head + messages[starts[turns] :]
