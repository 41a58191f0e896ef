"""How the answers of a chat are written, apart from what the model thinks before."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.output_formats import EscapedLines, Plain, TextOut
from tfcli.generation.streaming import TextStream
from tfcli.generation.thinking import join_answer

if TYPE_CHECKING:
    from tfcli.cli.output_formats import Result
    from tfcli.generation.chat import Chat
    from tfcli.generation.generate import Finished
    from tfcli.generation.thinking import Answer, Said, ThinkingFilter

BETWEEN = "\n\n"  # what a terminal gets between thoughts and the answer


class PlainAnswers(Plain):
    """Answers as they are; on a terminal, what is thought stands before them, dim.

    Elsewhere it is left out: `--jsonl` has it.
    """

    def __init__(self, chat: Chat, *, echo: bool, samples: int) -> None:
        super().__init__(echo=echo, samples=samples, ends_line=True)
        self._chat = chat
        self._thinking: dict[int, ThinkingFilter] = {}
        self._shows_thoughts = streams.is_terminal(sys.stdout)
        self._dim = streams.STYLES["note"] if streams.wants_color(sys.stdout) else ""
        self._thought: set[int] = set()  # those that have shown thoughts, and no answer yet

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        self._thinking[result.number] = self._chat.thinking_filter(result.line.request)
        super().begin(result)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        if finished:
            self._add(result, finished.data)
        for said in self._thinking.pop(result.number).rest():
            self._say(result, said)
        self._thought.discard(result.number)
        super().finish(result, None)

    def _add(self, result: Result, data: bytes) -> None:
        for said in self._thinking[result.number].feed(result.stream.feed(data)):
            self._say(result, said)

    def _say(self, result: Result, said: Said) -> None:
        if said.thought:
            if self._shows_thoughts:
                self._thought.add(result.number)
                self._show(result, said.text, self._dim)
            return
        if result.number in self._thought:
            self._thought.discard(result.number)
            self._show(result, BETWEEN)
        self._show(result, said.text)


class EscapedAnswers(EscapedLines):
    """One line per answer, without what is thought."""

    def __init__(self, chat: Chat, *, echo: bool) -> None:
        super().__init__(echo=echo)
        self._chat = chat
        self._thinking: dict[int, ThinkingFilter] = {}

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        self._thinking[result.number] = self._chat.thinking_filter(result.line.request)
        super().begin(result)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        if finished:
            self._add(result, finished.data)
            self._say(result, self._thinking[result.number].rest())
            finished = replace(finished, data=b"")
        super().finish(result, finished)
        del self._thinking[result.number]

    def _add(self, result: Result, data: bytes) -> None:
        self._say(result, self._thinking[result.number].feed(result.stream.feed(data)))

    def _say(self, result: Result, said: list[Said]) -> None:
        self._show(result, "".join(piece.text for piece in said if not piece.thought))


class AnswerOut:
    """An answer on a terminal, in the color of the model; what is thought before is dim.

    Without colors, the name of the model stands in front.
    """

    def __init__(self, thinking: ThinkingFilter, *, name: str) -> None:
        self._thinking, self._stream = thinking, TextStream()
        self._colored = streams.wants_color(sys.stdout)
        self._out = TextOut()
        self._thought: bool | None = None  # what was shown last
        self._said: list[Said] = []
        if name and not self._colored:
            self._out.write(f"{name}: ".encode())

    def write(self, data: bytes) -> None:
        """Writes what is clear after some more bytes."""
        for said in self._thinking.feed(self._stream.feed(data)):
            self._say(said)

    @property
    def answer(self) -> Answer:
        """What was written so far."""
        return join_answer(self._said)

    def _say(self, said: Said) -> None:
        self._said.append(said)
        if self._thought and not said.thought:
            self._out.write(BETWEEN.encode())
        if self._colored and said.thought is not self._thought:
            style = streams.STYLES["note" if said.thought else "model"]
            streams.write_result((streams.RESET + style).encode())
        self._thought = said.thought
        self._out.write(said.text.encode())

    def close(self) -> None:
        """Ends the line, and the color."""
        for said in self._thinking.rest():
            self._say(said)
        if self._colored:
            streams.write_result(streams.RESET.encode())
        self._out.close()
