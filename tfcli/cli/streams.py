"""The three streams of a command: what may go where, and what happens when one of them ends.

stdout carries the result and nothing else; everything that is said goes to stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tfcli.errors import (
    DataError,
    InputOutputError,
    NotFoundError,
    OutputClosedError,
    TfcliError,
)
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 1.0  # seconds of silence on stdin after which we say what we wait for
STYLES = {"error": "\033[1;31m", "note": "\033[2m", "next": "\033[1;32m"}
RESET = "\033[0m"


# --- saying something ---------------------------------------------------------------------------


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person sits at the other end."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def wants_color(stream: TextIO | None = None) -> bool:
    """Whether a stream, else stderr, is a terminal that shows colours, and nobody asked for none.

    See no-color.org.
    """
    return (
        is_terminal(stream or sys.stderr)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def say(text: str, *, style: str | None = None) -> None:
    """One line on stderr; a stderr that is gone is nobody's fault."""
    if style != "next" and is_terminal(sys.stderr):  # a command is to be copied as it is
        text = _wrapped(text)
    if style and wants_color():
        text = f"{STYLES[style]}{text}{RESET}"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)


def _wrapped(text: str) -> str:
    """Breaks lines between words where the terminal would break them anywhere."""
    import textwrap

    columns = shutil.get_terminal_size().columns
    if columns < 20 or text.startswith("  try:"):
        return text
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    lines = textwrap.wrap(
        text, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines)


class Reporter:
    """What a command says beside its result; nothing at all when it is to be quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.warned = False

    def note(self, text: str) -> None:
        """A fact worth knowing."""
        if not self.quiet:
            say(make_visible(text))

    def warn(self, error: TfcliError) -> None:
        """Something that went wrong and was got over."""
        self.warned = True
        if not self.quiet:
            for line in describe(error, "warning"):
                say(line)

    def next(self, command: str) -> None:
        """The last line of a command: what to do with what it made."""
        if not self.quiet:
            say(f"Next: {make_visible(command)}", style="next")


def counted(number: int, noun: str) -> str:
    """`1 layer`, `2,000 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def describe(error: TfcliError, label: str = "error") -> list[str]:
    """An error in at most six lines: what, why, and how to mend it."""
    lines = [f"{label}: {_one_line(error.what)}"]
    if error.why:
        lines.append(f"  why: {_one_line(error.why)}")
    if error.hint:
        lines.append(f"  try: {_one_line(error.hint)}")
    return lines


def _one_line(text: str, limit: int = 400) -> str:
    text = make_visible(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def show_error(error: TfcliError) -> None:
    """Tells the user what went wrong."""
    first, *rest = describe(error)
    say(first, style="error")
    for line in rest:
        say(line)


# --- the result ---------------------------------------------------------------------------------


def write_result(data: bytes) -> None:
    """Writes to stdout, at once.

    Raises:
        ReaderGoneError: the pipe's other end was closed.
        InputOutputError: stdout is closed, or a file on a disk that is full.

    """
    if sys.stdout is None:
        raise InputOutputError("standard output is closed")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise OutputClosedError("the reader went away") from None
    except OSError as error:
        raise InputOutputError("standard output took no more", why=error.strerror) from None


def write_json_result(value: Mapping[str, object]) -> None:
    """Writes one JSON object on one line."""
    text = json.dumps(value, ensure_ascii=False) + "\n"
    write_result(text.encode(errors="backslashreplace"))  # some file names are not Unicode


def close_result() -> None:
    """Leaves nothing for the interpreter to flush into a closed pipe, and to complain about."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)


# --- the input ----------------------------------------------------------------------------------


def stdin_is_piped() -> bool:
    """Whether text may come through stdin: it is there and no terminal."""
    return sys.stdin is not None and not is_terminal(sys.stdin)


def read_piped_text(purpose: str) -> str:
    """Reads stdin to its end, as UTF-8.

    After a second of silence it says on stderr that it waits, and for what.

    Raises:
        DataError: not UTF-8; the message has the byte.
        InputOutputError: stdin cannot be read.

    """
    try:
        _mention_waiting(purpose)
        data = sys.stdin.buffer.read()
    except OSError as error:
        raise InputOutputError("standard input cannot be read", why=error.strerror) from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            "standard input is not text in UTF-8",
            why=f"byte {error.start:,} (0x{data[error.start]:02x}) begins no character",
        ) from None


def read_text_file(name: str) -> str:
    """The text of a file that an option names.

    Raises:
        NotFoundError: there is none.
        DataError: it is not UTF-8.
        InputOutputError: it cannot be read.

    """
    try:
        return Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not text in UTF-8", why=str(error)) from None
    except (OSError, ValueError) as error:
        raise InputOutputError(f"{name} cannot be read", why=str(error)) from None


def _mention_waiting(purpose: str) -> None:
    try:
        ready, _, _ = select.select([sys.stdin], [], [], PATIENCE)
    except (OSError, ValueError):  # Windows selects sockets alone
        return
    if not ready:
        say_waiting(purpose)


def say_waiting(purpose: str) -> None:
    """What the program is waiting for."""
    say(f"Waiting for {purpose} on standard input (Ctrl-D ends it) ...", style="note")


def draw_line(text: str) -> None:
    """A line on the terminal behind stderr that the next one takes the place of; empty: none."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
