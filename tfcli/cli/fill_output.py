"""How texts with filled gaps are written: as they are, one per line, or as JSON; and early."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tfcli.cli import streams
from tfcli.cli.output_formats import OrderedWriter, end_line, sample_heading, stdout_filter
from tfcli.text.escapes import escape

if TYPE_CHECKING:
    from tfcli.errors import TfcliError
    from tfcli.generation.filling import FillJob, MiddleEvent


@dataclass(frozen=True)
class FillRow:
    """A text to fill, or what is wrong with it.

    Attributes:
        number: its place in the output, from 0.
        line: of the input, from 1.
        sample: which of several for this line, from 0.

    """

    number: int
    line: int
    sample: int
    job: FillJob | None
    error: TfcliError | None = None


class FillFormat(Protocol):
    """How texts are written."""

    def begin(self, row: FillRow) -> None:
        """A text is taken, or was invalid."""

    def add(self, row: FillRow, event: MiddleEvent) -> None:
        """A gap has more characters, or is filled."""

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

    def begin(self, row: FillRow) -> None:
        """See `FillFormat`."""
        heading = sample_heading(row.number, self._samples)
        self._out.add(row.number, heading.lstrip().encode())
        if row.job and not self._only:
            self._write(row, row.job.text.parts[0])

    def add(self, row: FillRow, event: MiddleEvent) -> None:
        """See `FillFormat`."""
        color = streams.STYLES["model"] if self._colored and event.text else ""
        self._write(row, event.text, color)
        if not event.ended:
            return
        job = event.job
        if not self._only:
            self._write(row, job.text.parts[len(job.gaps)])
        elif not job.complete:
            self._write(row, "\n")
        if job.complete:
            if self._samples > 1 and self._last != "\n":
                self._write(row, "\n")
            self._out.end(row.number)

    def close(self) -> None:
        """Ends the line on a terminal."""
        end_line(self._last)

    def _write(self, row: FillRow, text: str, color: str = "") -> None:
        if text:
            shown = self._shown(text)
            shown = f"{color}{shown}{streams.RESET}" if color else shown
            self._out.add(row.number, shown.encode())
            self._last = text[-1]


class LateFill:
    """Begins a text only when there is something of it: until then it is shown on stderr."""

    def __init__(self, output: FillFormat) -> None:
        self._output = output
        self._waiting: list[FillRow] = []

    def begin(self, row: FillRow) -> None:
        """See `FillFormat`."""
        if row.error:
            self._output.begin(row)
        else:
            self._waiting.append(row)

    def add(self, row: FillRow, event: MiddleEvent) -> None:
        """See `FillFormat`."""
        for waiting in self._waiting:
            self._output.begin(waiting)
        self._waiting.clear()
        self._output.add(row, event)

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

    def begin(self, row: FillRow) -> None:
        """See `FillFormat`."""
        if row.error:
            streams.show_error(row.error)
            self._end(row)

    def add(self, row: FillRow, event: MiddleEvent) -> None:
        """See `FillFormat`."""
        job = event.job
        if event.ended and job.complete:
            middles = "\t".join(escape(gap.text) for gap in job.gaps)
            text = middles if self._only else escape(job.filled())
            self._out.add(row.number, self._shown(text).encode())
            self._end(row)

    def _end(self, row: FillRow) -> None:
        self._out.add(row.number, b"\n")
        self._out.end(row.number)

    def close(self) -> None:
        """See `FillFormat`."""


class JsonFill:
    """One JSON object per text.

    `row` (of the input, from 1), `sample` (of that row, from 0), `text`, `gaps` (of each `text`,
    `tokens`, `logprobs` and `finish_reason`) and `seed`; or `row`, `sample` and `error`.
    """

    def __init__(self) -> None:
        self._out = OrderedWriter()

    def begin(self, row: FillRow) -> None:
        """See `FillFormat`."""
        if row.error:
            why = row.error.why or row.error.hint
            self._end(row, {"error": ": ".join(filter(None, (row.error.what, why)))})

    def add(self, row: FillRow, event: MiddleEvent) -> None:
        """See `FillFormat`."""
        job = event.job
        if event.ended and job.complete:
            gaps = [
                {
                    "text": gap.text,
                    "tokens": gap.tokens,
                    "logprobs": [round(logprob, 6) for logprob in gap.logprobs],
                    "finish_reason": gap.finish_reason,
                }
                for gap in job.gaps
            ]
            seed = job.request.seed
            self._end(row, {"text": job.filled(), "gaps": gaps, "seed": seed})

    def _end(self, row: FillRow, value: dict[str, Any]) -> None:
        value = {"row": row.line, "sample": row.sample} | value
        text = json.dumps(value, ensure_ascii=False) + "\n"
        self._out.add(row.number, text.encode(errors="backslashreplace"))
        self._out.end(row.number)

    def close(self) -> None:
        """See `FillFormat`."""
