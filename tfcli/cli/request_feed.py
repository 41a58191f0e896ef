"""The requests of a session, as the generator takes them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from tfcli.text.encoding import UTF8_BOM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.cli.stdin_lines import ArrivingLines
    from tfcli.generation.request import BaseRequest
    from tfcli.generation.request_lines import RequestLine

Request = TypeVar("Request", bound="BaseRequest")
Result = TypeVar("Result")
Result_contra = TypeVar("Result_contra", contravariant=True)


class Output(Protocol[Result_contra]):
    """What is told of the results that begin."""

    def begin(self, result: Result_contra) -> None:
        """A result begins, or has failed already."""

    def finish(self, result: Result_contra, finished: None) -> None:
        """It has failed."""


def parse_lines(
    lines: ArrivingLines, parse: Callable[[bytes, int], RequestLine[Request]], *, json: bool
) -> Iterator[RequestLine[Request]]:
    """The requests on lines, numbered from 1; a line of JSON may be blank."""
    for number, line in enumerate(lines, 1):
        data = line.removeprefix(UTF8_BOM) if number == 1 else line
        if not json or data.strip():
            yield parse(data, number)


class RequestFeed(Generic[Request, Result]):
    """The requests of a session as a generator takes them; invalid lines are answered at once.

    Args:
        make_result: a result of its place in the output and a line.
        samples: of each line.
        arriving: what the lines are made from, where they come one by one.
        deadline: after which none is taken.

    """

    def __init__(
        self,
        lines: Iterator[RequestLine[Request]],
        output: Output[Result],
        make_result: Callable[[int, RequestLine[Request]], Result],
        *,
        samples: int,
        arriving: ArrivingLines | None = None,
        deadline: float | None = None,
    ) -> None:
        self._lines, self._output, self._samples = lines, output, samples
        self._make_result = make_result
        self._arriving, self._deadline = arriving, deadline
        self.many = arriving is not None
        self.taken: dict[int, Result] = {}
        self._waiting: Iterator[RequestLine[Request]] = iter(())  # samples of the last line
        self.cut = False  # whether the time was over before all lines were taken
        self._indices = 0
        self.lines = self.failures = 0  # lines taken, and the invalid ones among them
        self.count = self.complete = 0  # samples

    def take(self, *, wait: bool) -> Request | None:
        """See `tfcli.generation.generate.Requests`."""
        while (line := next(self._waiting, None) or self._next(wait)) is not None:
            result = self._make_result(self.count, line)
            self.count += 1
            self._output.begin(result)
            if line.request is not None:
                self.taken[self._indices] = result
                self._indices += 1
                return line.request
            self.failures += 1
            self._output.finish(result, None)
        return None

    def _next(self, wait: bool) -> RequestLine[Request] | None:
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
