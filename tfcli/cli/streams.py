"""The three standard streams: what goes where, and what happens when one of them ends.

stdout carries the result and nothing else; messages go to stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from typing import TYPE_CHECKING, TextIO

from tfcli.errors import SHELL_COMMANDS, InputOutputError, OutputClosedError, TfcliError
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRESS_DELAY = 2.0  # seconds before progress is shown
STYLES = {"error": "\033[1;31m", "note": "\033[2m", "next": "\033[1;32m", "model": "\033[36m"}
RESET = "\033[0m"
COMMAND = re.compile(rf"(Next: |  try: )((?:{'|'.join(SHELL_COMMANDS)}) .*)")
WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*"|['"])+""")  # of a command line in a shell


# --- messages -----------------------------------------------------------------------------------


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person is at the other end."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def wants_color(stream: TextIO | None = None) -> bool:
    """Whether a stream (stderr if None) is a terminal that shows colors, and NO_COLOR is not set.

    See no-color.org.
    """
    return (
        is_terminal(stream or sys.stderr)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def say(text: str, *, style: str | None = None) -> None:
    """One line on stderr; a closed stderr is not an error."""
    if is_terminal(sys.stderr):
        text = _wrapped(text)
    else:
        begin_line()
    if style and wants_color():
        text = f"{STYLES[style]}{text}{RESET}"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)


def _wrapped(text: str) -> str:
    """Wraps each line at spaces, where the terminal would break words.

    A command goes on after a backslash, so that it can be copied.
    """
    import textwrap

    columns = shutil.get_terminal_size().columns
    if columns < 20:
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        if command := COMMAND.match(line):
            lines += _continued(command[1], command[2], columns)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        lines += textwrap.wrap(
            line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]
    return "\n".join(lines)


def _continued(label: str, command: str, columns: int) -> list[str]:
    """The lines of a command, cut between its words; a word that is too long stays whole."""
    if len(label) + len(command) <= columns:
        return [label + command]
    command, *comment = re.split(r"\s+(?=# )", command, maxsplit=1)
    first, *words = WORD.findall(command)
    lines = [label + first]
    for word in words:
        if len(f"{lines[-1]} {word} \\") <= columns:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {word}")
    return lines + [f"    {each}" for each in comment]


class Reporter:
    """The messages of a command; none where it is quiet."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def note(self, text: str) -> None:
        """A fact worth knowing."""
        if not self.quiet:
            say(make_visible(text))

    def warn(self, error: TfcliError) -> None:
        """Something that went wrong without ending the command."""
        if not self.quiet:
            for line in describe(error, "warning"):
                say(line)

    def next(self, command: str) -> None:
        """The last line of a command: what to run next."""
        if not self.quiet:
            say(f"Next: {make_visible(command)}", style="next")


class ResultReporter(Reporter):
    """For a command whose result is in sentences: they go to stdout, also where it is quiet."""

    def note(self, text: str) -> None:
        """A line of the result, or a note beside it."""
        if text.startswith("Note: "):
            super().note(text)
            return
        text = make_visible(text)
        write_result(f"{_wrapped(text) if is_terminal(sys.stdout) else text}\n".encode())


class DeferredNotes:
    """Notes about a text, held back where they would appear in the middle of it."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._waiting: list[str] = []

    def __call__(self, text: str) -> None:
        """Prints a note, or keeps it where text and notes go to the same place."""
        self._waiting.append(text)
        if not _same_place():
            self.release()

    def release(self) -> None:
        """Prints what was held back."""
        while self._waiting:
            self._reporter.note(f"Note: {self._waiting.pop(0)}.")


def describe(error: TfcliError, label: str = "error") -> list[str]:
    """An error in at most six lines: what, why, and what to do about it."""
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
    """Prints an error on stderr."""
    first, *rest = describe(error)
    say(first, style="error")
    for line in rest:
        say(line)


# --- the result ---------------------------------------------------------------------------------


class _Written:
    """What stdout got last."""

    end = b"\n"


def begin_line() -> None:
    """Ends the line on stderr that a result left open, where both go to the same place (2>&1)."""
    if _Written.end != b"\n" and _same_place():
        _Written.end = b"\n"
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(file=sys.stderr, flush=True)


def _same_place() -> bool:
    """Whether stdout and stderr lead to the same terminal, file or pipe, as after `2>&1`."""
    if is_terminal(sys.stdout) and is_terminal(sys.stderr):
        return True
    try:
        return os.path.sameopenfile(1, 2)
    except OSError:  # one is closed
        return False


def write_result(data: bytes) -> None:
    """Writes to stdout, at once.

    Raises:
        OutputClosedError: the other end of the pipe was closed.
        InputOutputError: stdout is closed, or is a file on a full disk.

    """
    if sys.stdout is None:
        raise InputOutputError("standard output is closed")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        _Written.end = data[-1:] or _Written.end
    except BrokenPipeError:
        raise OutputClosedError("broken pipe") from None
    except OSError as error:
        raise InputOutputError("cannot write to standard output", why=error.strerror) from None


def write_json_result(value: Mapping[str, object]) -> None:
    """Writes one JSON object on one line."""
    text = json.dumps(value, ensure_ascii=False) + "\n"
    write_result(text.encode(errors="backslashreplace"))  # some file names are not Unicode


def close_result() -> None:
    """Leaves nothing for the interpreter to flush into a closed pipe and complain about."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)


def draw_line(text: str) -> None:
    """A line on the terminal that the next one replaces; empty removes it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
