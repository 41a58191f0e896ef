"""Standard input as its lines arrive, read in the background, or a file in its place."""

from __future__ import annotations

import io
import os
import queue
import sys
import threading
import time
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from tfcli.cli import piped_text
from tfcli.errors import InputOutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ArrivingLines(Protocol):
    """Lines that arrive one by one."""

    def has_line(self) -> bool:
        """Whether the next line, or the end, has arrived."""

    def has_more(self) -> bool:
        """Whether a line has arrived that is not the end."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __next__(self) -> bytes: ...


ARRIVING = 1 << 16  # bytes that are taken at once


def read_head(purpose: str) -> bytes:
    """What has arrived of stdin first, to see what it is; empty at its end.

    Raises:
        InputOutputError: stdin cannot be read.

    """
    if sys.stdin is None:
        raise InputOutputError("standard input is closed")
    piped_text.mention_waiting(purpose)
    try:
        return os.read(0, ARRIVING)
    except OSError as error:
        raise InputOutputError("cannot read standard input", why=error.strerror) from None


class WholeStdin(io.RawIOBase):
    """All of stdin as a stream, after some of it was read.

    Args:
        head: what was read.

    """

    def __init__(self, head: bytes) -> None:
        self._head = head

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        data = self._head[: len(buffer)] or os.read(0, len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


class FileLines:
    """The lines of a file, which have all arrived."""

    def __init__(self, path: Path) -> None:
        from tfcli.text.readers import read_lines

        self._lines = read_lines(path)
        self._next: bytes | None = next(self._lines, None)  # a file that is none is refused at once

    def has_line(self) -> bool:
        """See `ArrivingLines`."""
        return True

    def has_more(self) -> bool:
        """See `ArrivingLines`."""
        return self._next is not None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if (line := self._next) is None:
            raise StopIteration
        self._next = next(self._lines, None)
        return line


def open_lines(file: Path | None, purpose: str, deadline: float | None) -> ArrivingLines:
    """The lines of a file, or of stdin without one; see `StdinLines`."""
    return FileLines(file) if file else StdinLines(purpose, deadline)


class StdinLines:
    """The lines of stdin, read by a thread, so that work goes on until the next arrives.

    Args:
        purpose: what the lines are, for a message after a second of silence.
        deadline: a value of `time.monotonic()` after which it no longer waits.
        head: what was read of it already; see `read_head`.

    What is compressed is decompressed.

    Raises:
        InputOutputError: stdin is closed.

    """

    def __init__(self, purpose: str, deadline: float | None = None, head: bytes = b"") -> None:
        if sys.stdin is None:
            raise InputOutputError("standard input is closed")
        self._purpose, self._deadline = purpose, deadline
        self._queue: queue.Queue[bytes | Exception | None] = queue.Queue(maxsize=1024)
        self._head = head
        self._came = bool(head)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        parts: list[bytes] = []  # of an incomplete line
        try:
            for data in self._blocks():
                first, *others = data.split(b"\n")
                parts.append(first)
                for line in others:
                    self._queue.put(b"".join(parts))
                    parts = [line]
            if any(parts):
                self._queue.put(b"".join(parts))
            self._queue.put(None)
        except Exception as error:  # raised where the next line is taken
            self._queue.put(error)

    def _blocks(self) -> Iterator[bytes]:
        """What arrives, decompressed."""
        from tfcli.text.compression import compression_of

        # not through sys.stdin, whose lock would be held when the program ends
        data = self._head or os.read(0, ARRIVING)
        if compression_of(data):
            from tfcli.text.byte_streams import STDIN
            from tfcli.text.readers import open_rows

            with open_rows(STDIN, cast("IO[bytes]", WholeStdin(data))) as (stream, _):
                yield from iter(partial(stream.read, ARRIVING), b"")
            return
        while data:
            yield data
            data = os.read(0, ARRIVING)

    def has_line(self) -> bool:
        """Whether the next line, or the end, has arrived."""
        return not self._queue.empty()

    def has_more(self) -> bool:
        """Whether a line has arrived that is not the end."""
        with self._queue.mutex:
            return any(line is not None for line in self._queue.queue)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self._next()
        if line is None:
            self._queue.put(None)  # for the next call
            raise StopIteration
        if isinstance(line, OSError):
            raise InputOutputError("cannot read standard input", why=line.strerror)
        if isinstance(line, Exception):
            raise line
        return line

    def _next(self) -> bytes | Exception | None:
        """What comes next; None at the end, or at the deadline."""
        try:
            if not self._came:
                line = self._queue.get(timeout=self._timeout(piped_text.STDIN_DELAY))
                self._came = True
                return line
        except queue.Empty:
            piped_text.say_waiting(self._purpose)
            self._came = True
        try:
            return self._queue.get(timeout=self._timeout(None))
        except queue.Empty:
            return None

    def _timeout(self, most: float | None) -> float | None:
        """How long to wait, in seconds; None: for ever."""
        if self._deadline is None:
            return most
        left = max(0.0, self._deadline - time.monotonic())
        return left if most is None else min(most, left)

    def read_available(self, limit: int) -> list[bytes]:
        """The lines that have arrived, from 1 to `limit`; none at the end."""
        lines: list[bytes] = []
        for line in self:
            lines.append(line)
            if len(lines) == limit or not self.has_line():
                break
        return lines
