"""Text that comes through standard input: whether there is any, and reading it to its end."""

from __future__ import annotations

import io
import os
import select
import stat
import sys
import time
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.errors import DataError, InputOutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

STDIN_DELAY = 1.0  # seconds of silence on stdin before we say what we are waiting for


def stdin_is_piped() -> bool:
    """Whether text may come through stdin: it is open and not a terminal."""
    return sys.stdin is not None and not streams.is_terminal(sys.stdin)


def stdin_is_in_use() -> bool:
    """Whether stdin is a file that somebody else is reading, as in a shell's `while read` loop.

    What was opened for this command alone is read from its start.
    """
    try:
        status = os.fstat(0)
        return stat.S_ISREG(status.st_mode) and os.lseek(0, 0, os.SEEK_CUR) > 0
    except OSError:
        return False


def require_no_other_input(file: str) -> None:
    """Raises UsageError where a file was named and another one is redirected to stdin.

    A pipe may be somebody else's, as in a loop over names.
    """
    try:
        status = os.fstat(0)
    except OSError:
        return
    if stat.S_ISREG(status.st_mode) and status.st_size and not stdin_is_in_use():
        raise UsageError(
            f"the requests are in {file} and on standard input",
            hint="name the file, or redirect it with <, not both",
        )


def read_piped_text(
    purpose: str,
    *,
    patience: float | None = None,
    hint: str | None = None,
    otherwise: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[str, float]:
    """Reads stdin to its end, as UTF-8, without a byte order mark.

    What is compressed is decompressed. Of a document of Word or LibreOffice, or of an EPUB book, it
    is what that says; a page of HTML stays as it is, which a model may go on with.

    After a second of silence it says on stderr what it is waiting for.

    Args:
        patience: seconds to wait for the first byte, and from then on for the end.
        hint: what to do if it does not come.
        otherwise: what else the user may have meant, for who waits.
        note: is told what the text was taken out of.

    Returns:
        The text, and when its first byte came, by `time.monotonic()`.

    Raises:
        DataError: not UTF-8, and the message has the byte; or it did not come.
        InputOutputError: stdin cannot be read.

    """
    parts: list[bytes] = []
    began = time.monotonic()
    deadline = None if patience is None else began + patience
    try:
        while True:
            if not parts:
                mention_waiting(purpose, deadline, otherwise)
            if not _is_ready(deadline):
                raise DataError(
                    f"{purpose} on standard input did not {'end' if parts else 'come'} in time",
                    why=f"--max-time is {patience:g} s, and the other end is still open",
                    hint=hint,
                )
            part = os.read(0, 1 << 16)
            if not part:
                break
            if not parts:
                began = time.monotonic()
                deadline = None if patience is None else began + patience
            parts.append(part)
    except OSError as error:
        raise InputOutputError("cannot read standard input", why=error.strerror) from None
    return _text_of(b"".join(parts), note), began


def _text_of(data: bytes, note: Callable[[str], None]) -> str:
    """What came through stdin as a text."""
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        from tfcli.text.compression import compression_of
        from tfcli.text.encoding import STANDARD_INPUT, conversion, invalid_at
        from tfcli.text.formats import PARQUET, ZIPPED, not_text, refuse

        if compression_of(data) or data.startswith((*ZIPPED, PARQUET)):  # a document of Word, ...
            from tfcli.text.byte_streams import STDIN
            from tfcli.text.readers import read_text
            from tfcli.text.reading import Reading
            from tfcli.text.reading_options import DEFAULT

            reading = Reading()
            opened = io.BytesIO(data)
            said = b"".join(read_text(STDIN, opened=opened, reading=reading, verbatim=True))
            for each in reading.notes(STDIN, DEFAULT):
                note(f"Note: {each}.")
            return said.decode().removeprefix("\ufeff")
        if kind := not_text(data, "", None):
            raise refuse(kind, STANDARD_INPUT) from None
        raise DataError(
            "standard input is not valid UTF-8",
            why=invalid_at(error),
            hint=conversion(data, error.start, None, option=False),
        ) from None


def without_last_newline(text: str) -> str:
    """A text from stdin without the newline that `echo` and editors put at its end; with one."""
    if text.endswith("\r\n"):
        return text[:-2]
    return text.removesuffix("\n")


def _is_ready(deadline: float | None) -> bool:
    """Waits until stdin has more or has ended; false if that is too late."""
    if deadline is None:
        return True
    try:
        return bool(select.select([0], [], [], max(0.0, deadline - time.monotonic()))[0])
    except (OSError, ValueError):  # on Windows select works for sockets only
        return True


def mention_waiting(
    purpose: str, deadline: float | None = None, otherwise: str | None = None
) -> None:
    """After a second of silence on stdin, says what the program is waiting for.

    Args:
        deadline: when nobody waits any longer, by `time.monotonic()`.
        otherwise: what else the user may have meant.

    """
    left = STDIN_DELAY if deadline is None else deadline - time.monotonic()
    try:
        ready, _, _ = select.select([0], [], [], max(0.0, min(left, STDIN_DELAY)))
    except (OSError, ValueError):  # on Windows select works for sockets only
        return
    if not ready:
        say_waiting(purpose, otherwise)


def say_waiting(purpose: str, otherwise: str | None = None) -> None:
    """Says what the program is waiting for."""
    if streams.is_terminal(sys.stdin):
        otherwise = "end with Ctrl-D"
    remark = f" ({otherwise})" if otherwise else ""
    streams.say(f"Waiting for {purpose} on standard input{remark} ...", style="note")
