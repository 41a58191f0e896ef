"""How texts with filled gaps are written: as they are, one per line, or as JSON; and early."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tfcli.cli import streams
from tfcli.cli.output_formats import (
    OrderedWriter,
    end_line,
    sample_heading,
    stdout_filter,
    write_object,
)
from tfcli.text.escapes import escape

if TYPE_CHECKING:
    from tfcli.generation.fill_request import FillRequest
    from tfcli.generation.filling import FillJob, MiddleEvent
    from tfcli.generation.request_lines import RequestLine


@dataclass(frozen=True)
class FillResult:
    """A text that is being filled, or what is wrong with it.

    Attributes:
        number: its place in the output, from 0.

    """

    number: int
    line: RequestLine[FillRequest]


class FillFormat(Protocol):
    """How texts are written."""

    def begin(self, result: FillResult) -> None:
        """A text begins, or has failed already."""

    def add(self, result: FillResult, event: MiddleEvent) -> None:
        """A gap has more characters, or is filled."""

    def finish(self, result: FillResult, finished: FillJob | None) -> None:
        """All gaps of a text are filled; None: it has failed."""

    def close(self) -> None:
        """All texts are written."""


class PlainFill:
    """Texts as they are; several are numbered.

    Args:
        only: whether only what fills the gaps is written, each on a line if there are several.

    """

    def __init__(self, *, only: bool, samples: int) -> None:
        self._only, self._samples, self._out = only, samples, OrderedWriter()
        self._shown = stdout_filter()
        self._colored = streams.wants_color(sys.stdout) and not only
        self._last = ""

    def begin(self, result: FillResult) -> None:
        """See `FillFormat`."""
        heading = sample_heading(result.number, self._samples)
        self._out.add(result.number, heading.lstrip().encode())
        if result.line.request and not self._only:
            self._write(result, result.line.request.text.parts[0])

    def add(self, result: FillResult, event: MiddleEvent) -> None:
        """See `FillFormat`."""
        color = streams.STYLES["model"] if self._colored and event.text else ""
        self._write(result, event.text, color)
        job = event.job
        if event.ended and not self._only:
            self._write(result, _after_last_gap(job))
        elif event.ended and not job.complete:
            self._write(result, "\n")

    def finish(self, result: FillResult, finished: FillJob | None) -> None:  # noqa: ARG002
        """See `FillFormat`."""
        if self._samples > 1 and self._last != "\n":
            self._write(result, "\n")
        self._out.end(result.number)

    def close(self) -> None:
        """Ends the line on a terminal."""
        end_line(self._last)

    def _write(self, result: FillResult, text: str, color: str = "") -> None:
        if text:
            shown = self._shown(text)
            shown = f"{color}{shown}{streams.RESET}" if color else shown
            self._out.add(result.number, shown.encode())
            self._last = text[-1]


class LateFill:
    """Begins a text only when there is something of it: until then it is shown on stderr."""

    def __init__(self, output: FillFormat) -> None:
        self._output = output
        self._waiting: list[FillResult] = []

    def begin(self, result: FillResult) -> None:
        """See `FillFormat`."""
        self._waiting.append(result)

    def add(self, result: FillResult, event: MiddleEvent) -> None:
        """See `FillFormat`."""
        for waiting in self._waiting:
            self._output.begin(waiting)
        self._waiting.clear()
        self._output.add(result, event)

    def finish(self, result: FillResult, finished: FillJob | None) -> None:
        """See `FillFormat`."""
        self._output.finish(result, finished)

    def close(self) -> None:
        """See `FillFormat`."""
        self._output.close()


class EscapedFill:
    r"""One line per text, with newlines as `\n`; of an invalid one, an empty line.

    Args:
        only: whether only what fills the gaps is written, with tabs in between.

    """

    def __init__(self, *, only: bool) -> None:
        self._only, self._out, self._shown = only, OrderedWriter(), stdout_filter()

    def begin(self, result: FillResult) -> None:
        """See `FillFormat`."""

    def add(self, result: FillResult, event: MiddleEvent) -> None:
        """See `FillFormat`."""

    def finish(self, result: FillResult, finished: FillJob | None) -> None:
        """See `FillFormat`."""
        if finished:
            middles = "\t".join(escape(gap.text) for gap in finished.gaps)
            text = middles if self._only else escape(_shown_text(finished))
            self._out.add(result.number, self._shown(text).encode())
        elif result.line.error:
            streams.show_error(result.line.error)
        self._out.add(result.number, b"\n")
        self._out.end(result.number)

    def close(self) -> None:
        """See `FillFormat`."""


def _after_last_gap(job: FillJob, count: int | None = None) -> str:
    """What follows the last gap, or the one of that number: after an empty one, no second space."""
    place = len(job.gaps) if count is None else count
    before, after = job.text.parts[place - 1], job.text.parts[place]
    empty = not job.gaps[place - 1].text
    return after[1:] if empty and before[-1:].isspace() and after[:1] == " " else after


def _shown_text(job: FillJob) -> str:
    """The whole text as a person reads it; that of JSON has its parts exactly."""
    filled = (
        gap.text + _after_last_gap(job, number) for number, gap in enumerate(job.gaps, start=1)
    )
    return job.text.parts[0] + "".join(filled)


class JsonFill:
    """One JSON object per text.

    `row` (of the input, from 1), `sample` (of that row, from 0), `id` if one was given, `text`,
    `gaps` (of each `text`, `tokens`, `logprobs` and `finish_reason`) and `seed`; or `row`,
    `sample`, `id` and `error`.
    """

    def __init__(self) -> None:
        self._out = OrderedWriter()

    def begin(self, result: FillResult) -> None:
        """See `FillFormat`."""

    def add(self, result: FillResult, event: MiddleEvent) -> None:
        """See `FillFormat`."""

    def finish(self, result: FillResult, finished: FillJob | None) -> None:
        """See `FillFormat`."""
        value: dict[str, Any] = {}
        if finished:
            gaps = [
                {
                    "text": gap.text,
                    "tokens": gap.tokens,
                    "logprobs": [round(logprob, 6) for logprob in gap.logprobs],
                    "finish_reason": gap.finish_reason,
                }
                for gap in finished.gaps
            ]
            value = {"text": finished.filled(), "gaps": gaps, "seed": finished.request.seed}
        write_object(self._out, result.number, result.line, value)

    def close(self) -> None:
        """See `FillFormat`."""
