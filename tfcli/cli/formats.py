"""Written texts on their way out: as they are, one a line, or as JSON; in order, and early."""

from __future__ import annotations

import json
import math
import re
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tfcli.cli import streams
from tfcli.generation.streaming import TextStream, make_visible

if TYPE_CHECKING:
    from tfcli.generation.generate import Finished, TokenEvent
    from tfcli.generation.request_lines import RequestLine

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
        score: of a beam search; see `tfcli.generation.beam`.

    """

    number: int
    row: RequestLine
    score: float | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    stream: TextStream = field(default_factory=TextStream)


class OutputFormat(Protocol):
    """How results look.

    Attributes:
        logprobs: whether it wants the log-probability of each token.

    """

    logprobs: bool

    def begin(self, result: Result) -> None:
        """A result is begun, or has failed already."""

    def piece(self, result: Result, piece: TokenEvent) -> None:
        """It has a token more."""

    def finish(self, result: Result, finished: Finished | None) -> None:
        """It is complete; None: it has failed."""

    def close(self) -> None:
        """All are."""


class Plain:
    """Texts as they are, with a line of dashes between."""

    logprobs = False

    def __init__(self, *, echo: bool) -> None:
        self._echo, self._out = echo, InOrder()
        self._shown = make_visible if streams.is_terminal(sys.stdout) else str
        self._last = ""

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        if result.number:
            self._out.add(result.number, BETWEEN.encode())
        if self._echo and result.row.request:
            self._add(result, result.row.request.prompt.encode())

    def piece(self, result: Result, piece: TokenEvent) -> None:
        """See `OutputFormat`."""
        self._add(result, piece.data)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
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


ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def escaped(text: str) -> str:
    """A text on one line; `printf '%b'` undoes it."""
    return text.translate(ESCAPES)


def escaped_bytes(data: bytes) -> str:
    """Bytes on one line, with escapes for those that are no text; `printf '%b'` undoes it."""
    text = data.decode(errors="surrogateescape").translate(ESCAPES)
    return re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text)


class EscapedLines:
    """A line for each text; newlines in it are escaped, as `printf '%b'` undoes it."""

    logprobs = False

    def __init__(self, *, echo: bool) -> None:
        self._echo, self._out = echo, InOrder()
        self._shown = make_visible if streams.is_terminal(sys.stdout) else str

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        if self._echo and result.row.request:
            self._add(result, result.row.request.prompt.encode())

    def piece(self, result: Result, piece: TokenEvent) -> None:
        """See `OutputFormat`."""
        self._add(result, piece.data)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        if finished:
            self._add(result, finished.data)
        elif result.row.error:
            streams.show_error(result.row.error)
        self._out.add(result.number, b"\n")
        self._out.end(result.number)

    def close(self) -> None:
        """See `OutputFormat`."""

    def _add(self, result: Result, data: bytes) -> None:
        text = escaped(result.stream.feed(data))
        if text:
            self._out.add(result.number, self._shown(text).encode())


# the surprise of a token in nats from which on it is shown so (background colours of 256)
SURPRISES = ((4.6, 210), (2.3, 216), (0.7, 229))


class Surprisal:
    """Each token with its surprise: as a colour on a terminal, as a line of a table elsewhere."""

    logprobs = True

    def __init__(self) -> None:
        self._out = InOrder()
        self._coloured = streams.wants_color(sys.stdout)
        self._shown = make_visible if streams.is_terminal(sys.stdout) else str
        self._pending: dict[int, deque[tuple[float, bytes]]] = {}
        self._released: dict[int, int] = {}

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        if result.number:
            between = BETWEEN if self._coloured else BETWEEN.lstrip()
            self._out.add(result.number, between.encode())
        self._pending[result.number] = deque()
        self._released[result.number] = 0

    def piece(self, result: Result, piece: TokenEvent) -> None:
        """See `OutputFormat`."""
        self._pending[result.number].append((-(piece.logprob or 0.0), piece.spelled))
        self._release(result, len(piece.data))

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        self._release(result, len(finished.data) if finished else 0)
        left = self._released.pop(result.number)
        pending = self._pending.pop(result.number)
        if left and pending:  # the end of the text lies within a token
            surprise, spelled = pending[0]
            self._add(result, surprise, spelled[:left])
        self._out.end(result.number)

    def _release(self, result: Result, count: int) -> None:
        """So many bytes more are sure to belong to the text: shows the tokens that are whole."""
        pending, left = self._pending[result.number], self._released[result.number] + count
        while pending and len(pending[0][1]) <= left:
            surprise, spelled = pending.popleft()
            left -= len(spelled)
            self._add(result, surprise, spelled)
        self._released[result.number] = left

    def _add(self, result: Result, surprise: float, spelled: bytes) -> None:
        if not self._coloured:
            line = f"{surprise:.4f}\t{self._shown(escaped_bytes(spelled))}\n"
            self._out.add(result.number, line.encode())
            return
        text = make_visible(result.stream.feed(spelled))
        colour = next((code for least, code in SURPRISES if surprise >= least), None)
        if colour is not None and text:
            lines = text.split("\n")  # a colour that runs over the end of a line fills it
            text = "\n".join(_on_colour(line, colour) if line else "" for line in lines)
        self._out.add(result.number, text.encode())

    def close(self) -> None:
        """See `OutputFormat`."""
        if self._coloured:
            parts = [_on_colour(f" 1 in {math.exp(least):.0f} ", code) for least, code in SURPRISES]
            streams.write_result(b"\n")
            streams.say(f"Less likely than {' '.join(reversed(parts))}")


def _on_colour(text: str, code: int) -> str:
    return f"\033[30;48;5;{code}m{text}\033[0m"


class JsonLines:
    """A JSON object for each text.

    `row` (of the input, from 1), `id` where one was given, `text`, `tokens`, `finish_reason`,
    `logprobs` and `seed` (after a beam search `score` instead); or `row`, `id` and `error`.
    """

    logprobs = True

    def __init__(self, *, echo: bool) -> None:
        self._echo, self._out = echo, InOrder()

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""

    def piece(self, result: Result, piece: TokenEvent) -> None:
        """See `OutputFormat`."""
        result.tokens.append(piece.token)
        result.text += result.stream.feed(piece.data)
        if piece.logprob is not None:
            result.logprobs.append(round(piece.logprob, 6))

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        row = result.row
        value: dict[str, Any] = {"row": row.number}
        if row.id is not None:
            value["id"] = row.id
        if finished and row.request:
            text = result.text + result.stream.feed(finished.data)
            value |= {
                "text": row.request.prompt + text if self._echo else text,
                "tokens": result.tokens,
                "finish_reason": finished.reason,
            }
            if result.score is None:
                value |= {"logprobs": result.logprobs, "seed": row.request.seed}
            else:
                value["score"] = result.score
        elif row.error:
            value["error"] = ": ".join(filter(None, (row.error.what, row.error.why)))
        line = json.dumps(value, ensure_ascii=False) + "\n"
        self._out.add(result.number, line.encode(errors="backslashreplace"))
        self._out.end(result.number)

    def close(self) -> None:
        """See `OutputFormat`."""
