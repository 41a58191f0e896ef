"""The conversation of an interactive chat: its messages, and the file that they belong to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tfcli.cli.draft import Draft
from tfcli.errors import DataError, UsageError
from tfcli.generation.messages import EXAMPLE, check_messages, with_system

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.generation.messages import Messages
    from tfcli.generation.thinking import Answer


class Dialogue(Draft):
    """A conversation that grows turn by turn, as a draft whose text is JSON.

    Attributes:
        system: the system prompt, if there is one; what is undone leaves it as it is.
        turns: the messages after it.

    """

    def __init__(self, system: str | None = None) -> None:
        self.system, self._usual_system = system, system
        self.turns: Messages = []
        super().__init__()

    @property
    def messages(self) -> Messages:
        """All of them."""
        return with_system(self.turns, self.system)

    @property
    def text(self) -> str:
        """The messages as they are saved: indented JSON."""
        if not self.messages:
            return ""
        return json.dumps(self.messages, ensure_ascii=False, indent=2) + "\n"

    @text.setter
    def text(self, text: str) -> None:
        self.turns = _split(text)[1]

    @property
    def _last_newline(self) -> str:
        """None of its own: the JSON ends with one."""
        return ""

    @property
    def unsaved(self) -> bool:
        """Whether it differs from the file it belongs to, however that is written."""
        if self.path is None:
            return False
        system, turns = _split(self._on_disk.get(self.path.resolve(), b"").decode())
        return self.messages != with_system(turns, system)

    def take_turn(self, line: str) -> None:
        """Adds what the person says."""
        super()._remember(line)
        self.turns.append({"role": "user", "content": line})

    def add_answer(self, answer: Answer) -> None:
        """Adds what the model answers, or how it goes on."""
        if self.is_answered:
            last = self.turns[-1]
            self.turns[-1] = {**last, "content": last["content"] + answer.content}
        else:
            self.turns.append(answer.to_message())

    @property
    def is_answered(self) -> bool:
        """Whether the last message is an answer."""
        return bool(self.turns) and self.turns[-1]["role"] == "assistant"

    def back_to_last_line(self) -> None:
        """Takes the conversation back to what the person said last.

        Raises:
            UsageError: nothing was said.

        """
        while self.turns and self.turns[-1]["role"] != "user":
            self.turns.pop()
        if not self.turns:
            raise UsageError("nothing to retry")

    def undo(self) -> None:
        """Takes the last turn back, or the conversation that was begun or loaded."""
        turn = self.last_turn
        super().undo()
        if turn and turn.line is None:
            self.system = _split(turn.before)[0]

    def begin(self, text: str, path: Path | None = None) -> None:
        """Begins another conversation, of another file or of none; one that is new keeps `system`.

        Raises:
            DataError: it is none.

        """
        system, _ = _split(text, path)
        super().begin(text, path)
        if path is not None:
            self.system = self._usual_system if system is None else system


def _split(text: str, path: Path | None = None) -> tuple[str | None, Messages]:
    """The system prompt and the other messages of a file."""
    if not text:
        return None, []
    try:
        messages = check_messages(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a conversation", why=str(error), hint=EXAMPLE) from None
    except DataError as error:
        raise DataError(f"{path} is not a conversation", why=error.what, hint=EXAMPLE) from None
    first = messages[0]
    if first["role"] == "system" and isinstance(first.get("content"), str):
        return first["content"], messages[1:]
    return None, messages
