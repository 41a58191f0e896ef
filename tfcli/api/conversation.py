"""Conversations in Python: `run.chat(messages)`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tfcli.api.arguments import require_text
from tfcli.api.requests import make_request
from tfcli.errors import DataError, UsageError
from tfcli.generation.messages import check_messages, with_system

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from tfcli.generation.chat import Chat
    from tfcli.generation.messages import Messages
    from tfcli.generation.request import GenerationRequest


def as_messages(said: str | Iterable[Mapping[str, Any]], system: str | None) -> Messages:
    """A conversation; a string is one that begins with it.

    Raises:
        UsageError: it is none.

    """
    if isinstance(said, str):
        said = [{"role": "user", "content": require_text(said)}]
    try:
        messages = check_messages([dict(message) for message in said])
    except (TypeError, ValueError):
        raise UsageError(
            "a conversation is a string or a list of messages",
            hint='run.chat([{"role": "user", "content": "Hello"}])',
        ) from None
    except DataError as error:
        raise UsageError(error.what, hint=error.hint) from None
    return with_system(messages, system)


def make_turn(
    chat: Chat,
    said: str | Iterable[Mapping[str, Any]],
    system: str | None,
    options: Mapping[str, Any],
) -> GenerationRequest:
    """The request for the answer to a conversation; its length is that of `generate --chat`.

    Raises:
        UsageError: see `as_messages` and `make_request`.
        DataError: the template refuses the conversation.

    """
    request = make_request("", options)
    if request.special:
        raise UsageError("special cannot be used in a chat")
    if options.get("max_new_tokens") is None and options.get("max_tokens") is None:
        request = replace(request, max_new_tokens=chat.usual_length)
    return chat.request(as_messages(said, system), request)
