"""Written texts on their way out: as they are, one a line, or as JSON; in order, and early."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tfcli.cli import streams
from tfcli.generation.streaming import TextStream, make_visible

if TYPE_CHECKING:
    from tfcli.generation.generate import Finished, Piece
    from tfcli.generation.rows import Row

BETWEEN = "\n---\n"  # samples of the same prompt


class TextOut:
    """Model text on stdout: whole characters, at once; made visible on a terminal."""

    def __init__(self) -> None:
        self._stream = TextStream()
        self._shown = make_visible if streams.is_terminal(sys.stdout) else str
        self._last = ""

    def write(self, data: bytes) -> None:
        """Writes the characters that `data` completes."""
        text = self._stream.feed(data)
        if text:
            streams.write_result(self._shown(text).encode())
            self._last = text[-1]

    def close(self) -> None:
        """Ends the line on a terminal, so that the shell's prompt stands on its own."""
        if streams.is_terminal(sys.stdout) and self._last != "\n":
            streams.write_result(b"\n")


class InOrder:
    """Bytes of several results, written in the order of the results and as soon as that allows.

    What belongs to the first unfinished one goes out at once, what belongs to a later one waits.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, bytearray] = {}
        self._ended: set[int] = set()
        self._turn = 0

    def add(self, number: int, data: bytes) -> None:
        """Some more bytes of a result; numbers count from 0."""
        if number == self._turn:
            streams.write_result(data)
        else:
            self._waiting.setdefault(number, bytearray()).extend(data)

    def end(self, number: int) -> None:
        """A result is complete."""
        self._ended.add(number)
        while self._turn in self._ended:
            self._ended.discard(self._turn)
            self._turn += 1
            if waiting := self._waiting.pop(self._turn, None):
                streams.write_result(bytes(waiting))


@dataclass
class Result:
    """A text on its way, and what is known of it.

    Attributes:
        number: its place among all.

    """

    number: int
    row: Row
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    stream: TextStream = field(default_factory=TextStream)


class Form(Protocol):
    """How results look."""

    def begin(self, result: Result) -> None:
        """A result is begun, or has failed already."""

    def piece(self, result: Result, piece: Piece) -> None:
        """It has a token more."""

    def finish(self, result: Result, finished: Finished | None) -> None:
        """It is complete; None: it has failed."""

    def close(self) -> None:
        """All are."""


class Separated:
    """Texts as they are, with a line of dashes between."""

    def __init__(self, *, echo: bool) -> None:
        self._echo, self._out = echo, InOrder()
        self._shown = make_visible if streams.is_terminal(sys.stdout) else str
        self._last = ""

    def begin(self, result: Result) -> None:
        """See `Form`."""
        if result.number:
            self._out.add(result.number, BETWEEN.encode())
        if self._echo and result.row.request:
            self._add(result, result.row.request.prompt.encode())

    def piece(self, result: Result, piece: Piece) -> None:
        """See `Form`."""
        self._add(result, piece.data)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `Form`."""
        if finished:
            self._add(result, finished.data)
        self._out.end(result.number)

    def close(self) -> None:
        """Ends the line on a terminal, so that the shell's prompt stands on its own."""
        if streams.is_terminal(sys.stdout) and self._last != "\n":
            streams.write_result(b"\n")

    def _add(self, result: Result, data: bytes) -> None:
        text = result.stream.feed(data)
        if text:
            self._out.add(result.number, self._shown(text).encode())
            self._last = text[-1]


ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


class OneALine:
    """A line for each text; newlines in it are escaped, as `printf '%b'` undoes it."""

    def __init__(self, *, echo: bool) -> None:
        self._echo, self._out = echo, InOrder()
        self._shown = make_visible if streams.is_terminal(sys.stdout) else str

    def begin(self, result: Result) -> None:
        """See `Form`."""
        if self._echo and result.row.request:
            self._add(result, result.row.request.prompt.encode())

    def piece(self, result: Result, piece: Piece) -> None:
        """See `Form`."""
        self._add(result, piece.data)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `Form`."""
        if finished:
            self._add(result, finished.data)
        elif result.row.error:
            streams.show_error(result.row.error)
        self._out.add(result.number, b"\n")
        self._out.end(result.number)

    def close(self) -> None:
        """See `Form`."""

    def _add(self, result: Result, data: bytes) -> None:
        text = result.stream.feed(data).translate(ESCAPES)
        if text:
            self._out.add(result.number, self._shown(text).encode())


class JsonLines:
    """A JSON object for each text.

    `row` (of the input, from 1), `id` where one was given, `text`, `tokens`, `logprobs`,
    `finish_reason`, `seed`; or `row`, `id` and `error`.
    """

    def __init__(self, *, echo: bool) -> None:
        self._echo, self._out = echo, InOrder()

    def begin(self, result: Result) -> None:
        """See `Form`."""

    def piece(self, result: Result, piece: Piece) -> None:
        """See `Form`."""
        result.tokens.append(piece.token)
        result.data += piece.data
        if piece.logprob is not None:
            result.logprobs.append(round(piece.logprob, 6))

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `Form`."""
        row = result.row
        value: dict[str, Any] = {"row": row.number}
        if row.id is not None:
            value["id"] = row.id
        if finished and row.request:
            result.data += finished.data
            text = result.data.decode(errors="replace")
            value |= {
                "text": row.request.prompt + text if self._echo else text,
                "tokens": result.tokens,
                "logprobs": result.logprobs,
                "finish_reason": finished.reason,
                "seed": row.request.seed,
            }
        elif row.error:
            value["error"] = " ".join(filter(None, (row.error.what, row.error.why)))
        line = json.dumps(value, ensure_ascii=False) + "\n"
        self._out.add(result.number, line.encode(errors="backslashreplace"))
        self._out.end(result.number)

    def close(self) -> None:
        """See `Form`."""
