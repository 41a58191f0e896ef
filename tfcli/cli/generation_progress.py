"""How fast texts are generated, and how many there are so far."""

from __future__ import annotations

import sys
import time

from tfcli.cli import streams
from tfcli.quantities import counted

FRAME = 0.25  # seconds between two updates


class Throughput:
    """How fast a session is."""

    def __init__(self, started: float, weight_bytes: int) -> None:
        self._started, self._weight_bytes = started, weight_bytes
        self.tokens = 0
        self._first = self._last = started

    def count(self) -> None:
        """A token was generated."""
        self._last = time.monotonic()
        if not self.tokens:
            self._first = self._last
        self.tokens += 1

    @property
    def per_second(self) -> float:
        """Tokens per second, after the first."""
        return (self.tokens - 1) / (self._last - self._first) if self.tokens > 1 else 0.0

    def report(self, *, single: bool) -> str:
        """For `--stats`; the bandwidth of the weights is known where there is a single text."""
        if not self.tokens:
            return "No tokens were generated."
        report = f"First token after {self._first - self._started:.2f} s"
        if self.tokens > 1:
            report += f", then {self.per_second:,.0f} tokens/s"
        if single and self.tokens > 1:
            from tfcli.generation.engines.bandwidth import memory_bandwidth

            read = self.per_second * self._weight_bytes / 1e9
            report += (
                f": {read:.1f} GB/s of weights read, of the {memory_bandwidth() / 1e9:.1f} GB/s "
                "of this machine's memory"
            )
        return f"{report}."


class Progress:
    """A line on stderr for a person, once many texts take long."""

    def __init__(self, throughput: Throughput, *, shown: bool) -> None:
        self._throughput = throughput
        on_terminal = streams.is_terminal(sys.stderr) and not streams.is_terminal(sys.stdout)
        self._shown = shown and on_terminal  # on a terminal with both it would overwrite text
        self._next = time.monotonic() + streams.PROGRESS_DELAY
        self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def show(self, complete: int) -> None:
        """Draws the line again, now and then; `complete` texts are done."""
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + FRAME
            self._drawn = True
            streams.draw_line(
                f"{counted(complete, 'text')}, {counted(self._throughput.tokens, 'token')}, "
                f"{self._throughput.per_second:,.0f} tokens/s"
            )

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            streams.draw_line("")


class ReadingProgress:
    """A line on stderr for a person while a prompt is read that takes long."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown and streams.is_terminal(sys.stderr)
        self._started = time.monotonic()
        self._next = self._started + streams.PROGRESS_DELAY

    def show(self, read: int, total: int) -> None:
        """Draws the line again, now and then, and removes it when all tokens are read."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        left = (now - self._started) * (total - read) / read
        streams.draw_line(
            f"Reading the prompt: {read:,} of {total:,} tokens, about {left:.0f} s left"
            if read < total
            else ""
        )

    def text_began(self) -> None:
        """From here on the line would overwrite text, if that goes to the terminal too."""
        self._shown = False
