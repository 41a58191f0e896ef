"""The requests of a session, as the generator takes them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tfcli.cli.output_formats import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.cli.output_formats import OutputFormat
    from tfcli.cli.stdin_lines import ArrivingLines
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.request_lines import RequestLine


class RequestFeed:
    """The requests of a session as the generator takes them; invalid lines are answered at once.

    Args:
        samples: of each line.
        arriving: what the lines are made from, where they come one by one.
        deadline: after which none is taken.

    """

    def __init__(
        self,
        lines: Iterator[RequestLine],
        output: OutputFormat,
        *,
        samples: int,
        arriving: ArrivingLines | None = None,
        deadline: float | None = None,
    ) -> None:
        self._lines, self._output, self._samples = lines, output, samples
        self._arriving, self._deadline = arriving, deadline
        self.many = arriving is not None
        self.taken: dict[int, Result] = {}
        self._waiting: Iterator[RequestLine] = iter(())  # samples of the line that was taken last
        self.cut = False  # whether the time was over before all lines were taken
        self._indices = 0
        self.lines = self.failures = 0  # lines taken, and the invalid ones among them
        self.count = self.complete = 0  # samples

    def take(self, *, wait: bool) -> GenerationRequest | None:
        """See `tfcli.generation.generate.Requests`."""
        while (line := next(self._waiting, None) or self._next(wait)) is not None:
            result = Result(self.count, line)
            self.count += 1
            self._output.begin(result)
            if line.request is not None:
                self.taken[self._indices] = result
                self._indices += 1
                return line.request
            self.failures += 1
            self._output.finish(result, None)
        return None

    def _next(self, wait: bool) -> RequestLine | None:
        """The first sample of the next line, if there is one; or if it is to be waited for."""
        from tfcli.generation.request_lines import repeat

        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.cut = self._arriving is not None and self._arriving.has_more()
            return None
        if self._arriving and not wait and not self._arriving.has_line():
            return None
        line = next(self._lines, None)
        if line is None:
            return None
        self.lines += 1
        self._waiting = repeat(line, self._samples, self.count)
        return next(self._waiting)

    def finished(self, index: int) -> None:
        """A text is complete: it is forgotten."""
        del self.taken[index]
        self.complete += 1
