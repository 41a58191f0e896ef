"""Lines that arrive through stdin while something else is being done."""

from __future__ import annotations

import os
import queue
import threading
from itertools import islice
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.errors import InputOutputError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ArrivingLines:
    """The lines of stdin, read by a thread, so that work goes on while the next is awaited.

    Args:
        purpose: what is waited for, to be said after a second of silence.

    """

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._queue: queue.Queue[bytes | OSError | None] = queue.Queue(maxsize=1024)
        self._came = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        rest = b""
        try:
            # not by way of sys.stdin, whose lock would be held when the program ends
            while data := os.read(0, 1 << 16):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._queue.put(line)
            if rest:
                self._queue.put(rest)
            self._queue.put(None)
        except OSError as error:
            self._queue.put(error)

    def has_line(self) -> bool:
        """Whether the next one, or the end, is there."""
        return not self._queue.empty()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            line = self._queue.get(timeout=None if self._came else streams.PATIENCE)
        except queue.Empty:
            streams.say_waiting(self._purpose)
            line = self._queue.get()
        self._came = True
        if line is None:
            self._queue.put(None)  # for whoever asks again
            raise StopIteration
        if isinstance(line, OSError):
            raise InputOutputError("standard input cannot be read", why=line.strerror)
        return line

    def some(self, most: int) -> list[bytes]:
        """The lines that are there, one at least, and `most` at most; none at the end."""
        lines = list(islice(self, 1))
        while lines and len(lines) < most and self.has_line():
            more = list(islice(self, 1))
            if not more:
                break
            lines += more
        return lines
