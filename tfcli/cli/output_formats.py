"""How generated texts are written: as they are, one per line, or as JSON; in order, and early."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tfcli.cli import streams
from tfcli.cli.surprisal import colored, legend
from tfcli.cli.word_wrap import WordWrap
from tfcli.generation.streaming import TextStream, make_visible
from tfcli.text.escapes import escape, escape_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.generation.chat import Chat
    from tfcli.generation.generate import Finished, TokenEvent
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.request_lines import RequestLine


def sample_heading(number: int, samples: int, *, numbered: bool = True) -> str:
    """The end of the sample before, and the line above this one; nothing where there is one."""
    if samples == 1:
        return ""
    return "\n" * bool(number) + f"--- {number + 1} ---\n" * numbered


def stdout_filter() -> Callable[[str], str]:
    """What makes of a text what stdout gets: on a terminal, visible control characters."""
    return make_visible if streams.is_terminal(sys.stdout) else str


def text_filter() -> Callable[[str], str]:
    """The same for running text, of which a terminal also gets no word cut in two."""
    if not streams.is_terminal(sys.stdout) or os.environ.get("TERM") == "dumb":
        return stdout_filter()
    wrap = WordWrap(shutil.get_terminal_size().columns)
    held = ""  # a carriage return, until it is clear whether it belongs to the end of a line

    def shown(text: str) -> str:
        nonlocal held
        text = held + text
        held = text[-1:] if text.endswith("\r") else ""
        return wrap.feed(make_visible(text.removesuffix("\r").replace("\r\n", "\n")))

    return shown


def end_line(last: str) -> None:
    """Ends the line on a terminal, so that the shell's prompt starts on a new one.

    Args:
        last: the last character written.

    """
    if streams.is_terminal(sys.stdout) and last != "\n":
        streams.write_result(b"\n")


class TextOut:
    """Model text on stdout: whole characters, at once; control characters shown on a terminal."""

    def __init__(self) -> None:
        self._stream = TextStream()
        self._shown = text_filter()
        self._last = ""

    def write(self, data: bytes) -> None:
        """Writes the characters that `data` completes."""
        text = self._stream.feed(data)
        if text:
            self._last = text[-1]  # first: Ctrl-C may come while it is written
            streams.write_result(self._shown(text).encode())

    def close(self) -> None:
        """Ends the line; see `end_line`."""
        streams.write_result(b"")  # what Ctrl-C left in the buffer comes before anything else
        end_line(self._last)


class OrderedWriter:
    """Bytes of several results, written in the order of the results, as early as possible.

    What belongs to the first incomplete result is written at once; the rest waits.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, bytearray] = {}
        self._ended: set[int] = set()
        self._turn = 0

    def add(self, number: int, data: bytes) -> None:
        """More bytes of a result; numbers count from 0."""
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
    """A text that is being generated, and what is known of it.

    Attributes:
        number: its place among all.
        votes: how many samples agreed on it; None: there was no vote.

    """

    number: int
    line: RequestLine[GenerationRequest]
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    stream: TextStream = field(default_factory=TextStream)
    votes: int | None = None


class OutputFormat(Protocol):
    """How results are written.

    Attributes:
        logprobs: whether it needs the log-probability of each token.

    """

    logprobs: bool

    def begin(self, result: Result) -> None:
        """A result begins, or has failed already."""

    def token(self, result: Result, event: TokenEvent) -> None:
        """It has one more token."""

    def finish(self, result: Result, finished: Finished | None) -> None:
        """It is complete; None: it has failed."""

    def close(self) -> None:
        """All are complete."""


class Plain:
    """Texts as they are; several are numbered.

    Args:
        ends_line: whether a newline follows the last text, also in a pipe. A single text has none:
            it may be continued. Numbered texts each have one, and so have values.

    """

    logprobs = False

    def __init__(
        self, *, echo: bool, samples: int = 1, ends_line: bool = False, numbered: bool = True
    ) -> None:
        self._numbered = numbered
        self._echo, self._samples, self._out = echo, samples, OrderedWriter()
        self._ends_line = ends_line
        self._shown: dict[int, Callable[[str], str]] = {}  # each text has lines of its own
        self._last = ""

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        self._shown[result.number] = text_filter()
        heading = sample_heading(result.number, self._samples, numbered=self._numbered)
        self._out.add(result.number, heading.encode())
        if self._echo and result.line.request:
            self._show(result, result.line.request.prompt)

    def token(self, result: Result, event: TokenEvent) -> None:
        """See `OutputFormat`."""
        self._add(result, event.data)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        if finished:
            self._add(result, finished.data)
        self._out.end(result.number)
        del self._shown[result.number]

    def close(self) -> None:
        """Ends the line; see `end_line`."""
        if self._ends_line and not streams.is_terminal(sys.stdout):
            streams.write_result(b"\n")
        else:
            end_line(self._last)

    def _add(self, result: Result, data: bytes) -> None:
        self._show(result, result.stream.feed(data))

    def _show(self, result: Result, text: str, style: str = "") -> None:
        if text:
            shown = self._shown[result.number](text)
            shown = f"{style}{shown}{streams.RESET}" if style else shown
            self._out.add(result.number, shown.encode())
            self._last = text[-1]


class EscapedLines:
    """One line per text, with newlines escaped; as a prompt of `--lines`, it is read back."""

    logprobs = False

    def __init__(self, *, echo: bool) -> None:
        self._echo, self._out = echo, OrderedWriter()
        self._shown = stdout_filter()

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        if self._echo and result.line.request:
            self._show(result, result.line.request.prompt)

    def token(self, result: Result, event: TokenEvent) -> None:
        """See `OutputFormat`."""
        self._add(result, event.data)

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        if finished:
            self._add(result, finished.data)
        elif result.line.error:
            streams.show_error(result.line.error)
        self._out.add(result.number, b"\n")
        self._out.end(result.number)

    def close(self) -> None:
        """See `OutputFormat`."""

    def _add(self, result: Result, data: bytes) -> None:
        self._show(result, result.stream.feed(data))

    def _show(self, result: Result, text: str) -> None:
        if text:
            self._out.add(result.number, self._shown(escape(text)).encode())


class Surprisal:
    """Each token with its surprisal: as a color on a terminal, as a row of a table elsewhere."""

    logprobs = True

    def __init__(self, *, samples: int = 1) -> None:
        self._samples, self._out = samples, OrderedWriter()
        self._shown = stdout_filter()
        self._colored = streams.wants_color(sys.stdout)
        self._pending: dict[int, deque[tuple[float, bytes]]] = {}
        self._released: dict[int, int] = {}

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""
        heading = sample_heading(result.number, self._samples)
        heading = heading if self._colored else heading.lstrip()  # there, every line ends
        self._out.add(result.number, heading.encode())
        self._pending[result.number] = deque()
        self._released[result.number] = 0

    def token(self, result: Result, event: TokenEvent) -> None:
        """See `OutputFormat`."""
        self._pending[result.number].append((-(event.logprob or 0.0), event.spelled))
        self._release(result, len(event.data))

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        self._release(result, len(finished.data) if finished else 0)
        left = self._released.pop(result.number)
        pending = self._pending.pop(result.number)
        if left and pending:  # the text ends within a token
            surprisal, spelled = pending[0]
            self._add(result, surprisal, spelled[:left])
        self._out.end(result.number)

    def _release(self, result: Result, count: int) -> None:
        """Shows the tokens that are complete, now that `count` more bytes belong to the text."""
        pending, left = self._pending[result.number], self._released[result.number] + count
        while pending and len(pending[0][1]) <= left:
            surprisal, spelled = pending.popleft()
            left -= len(spelled)
            self._add(result, surprisal, spelled)
        self._released[result.number] = left

    def _add(self, result: Result, surprisal: float, spelled: bytes) -> None:
        if not self._colored:
            line = f"{surprisal:z.4f}\t{self._shown(escape_bytes(spelled))}\n"
            self._out.add(result.number, line.encode())
            return
        text = make_visible(result.stream.feed(spelled))
        self._out.add(result.number, colored(text, surprisal).encode())

    def close(self) -> None:
        """See `OutputFormat`."""
        if self._colored:
            streams.write_result(b"\n")
            streams.say(legend())


def write_object(
    out: OrderedWriter, number: int, line: RequestLine[Any], value: dict[str, Any]
) -> None:
    """Writes a result as a line of JSON: its row and a value, or what is wrong with the row."""
    value = {"row": line.number, "sample": line.sample} | line.returned | value
    if line.error:
        value["error"] = line.error.in_one_line
    text = json.dumps(value, ensure_ascii=False) + "\n"
    out.add(number, text.encode(errors="backslashreplace"))
    out.end(number)


class JsonLines:
    """One JSON object per text.

    `row` (of the input, from 1), `sample` (of that row, from 0), `id` if one was given, `text`,
    `tokens`, `finish_reason`, `logprobs` and `seed` (`score` instead, after a beam search), and
    `format_probability` of structured output; `message` in a chat; or `row`, `sample`, `id` and
    `error`.
    """

    logprobs = True

    def __init__(self, *, echo: bool, chat: Chat | None = None) -> None:
        self._echo, self._chat, self._out = echo, chat, OrderedWriter()

    def begin(self, result: Result) -> None:
        """See `OutputFormat`."""

    def token(self, result: Result, event: TokenEvent) -> None:
        """See `OutputFormat`."""
        result.tokens.append(event.token)
        result.text += result.stream.feed(event.data)
        if event.logprob is not None:
            result.logprobs.append(round(event.logprob, 6))

    def finish(self, result: Result, finished: Finished | None) -> None:
        """See `OutputFormat`."""
        line, value = result.line, dict[str, Any]()
        if finished and line.request:
            text = result.text + result.stream.feed(finished.data)
            value |= {
                "text": line.request.prompt + text if self._echo else text,
                "tokens": result.tokens,
                "finish_reason": finished.reason,
            }
            if self._chat:
                value["message"] = self._chat.split(text, line.request).to_message()
            if result.votes is not None:
                value["votes"] = result.votes
            if finished.fit is not None:
                value["format_probability"] = float(f"{finished.fit.probability:.4g}")
            if finished.score is None:
                value |= {"logprobs": result.logprobs, "seed": line.request.seed}
            else:
                value["score"] = finished.score
        write_object(self._out, result.number, line, value)

    def close(self) -> None:
        """See `OutputFormat`."""
