"""The tree of errors that a user can meet, each with the exit code of its branch.

    TfcliError                1   internal error, or nothing more specific
    +-- UsageError            2   options that cannot be combined, or a value out of range
    +-- DataError            65   invalid content of a text, a file or a run
    |   +-- DamagedError     65   content that is not what was written
    +-- NotFoundError        66   no such file, run or tokenizer
    +-- ConflictError        73   something already exists, or is used by another process
    +-- InputOutputError     74   error of a disk or a stream
    +-- OutputClosedError   141   broken pipe (shown to nobody)

Codes 65 to 74 are those of sysexits.h; 141 is what a shell reports for SIGPIPE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class TfcliError(Exception):
    """An error to show to the user.

    Args:
        what: one sentence: what failed, and with which file, run or value.
        why: the reason, if `what` does not say it.
        hint: what to do about it, preferably a command that works as it stands.

    """

    exit_code = 1

    def __init__(self, what: str, *, why: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint

    @property
    def in_one_line(self) -> str:
        """What, and why or the hint: for an object in the place of an answer."""
        return ": ".join(filter(None, (self.what, self.why or self.hint)))

    def __str__(self) -> str:
        """What, why and the hint on a line each: what Python shows where no command does."""
        lines = [self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.hint:
            lines.append(f"  {_for_python(self.hint)}")
        return "\n".join(lines)


SHELL_COMMANDS = (  # that hints begin with
    "tfcli", "echo", "iconv", "jq", "mkdir", "mv", "open", "pandoc", "pdftotext", "pip", "printf",
    "rm", "tensorboard", "torchrun", "xdg-open",
)  # fmt: skip


def _for_python(hint: str) -> str:
    """A hint for who calls functions: `stride=64` for `--stride 64`, and what is for a shell."""
    import re

    if hint.split(" ", 1)[0] in SHELL_COMMANDS:
        return f"try in a shell: {hint}"
    if re.fullmatch(r"(--[a-z][a-z0-9-]*( [^-\s]\S*)? ?)+", hint):
        options = re.findall(r"--(\S+)(?: ([^-\s]\S*))?", hint)
        given = [f"{name.replace('-', '_')}={_literal(value)}" for name, value in options]
        return f"try: {', '.join(given)}"
    return f"try: {hint}"


def _literal(value: str) -> str:
    """The value of an option as Python writes it; a flag is True."""
    return "True" if not value else value if value.isdecimal() else repr(value)


class UsageError(TfcliError):
    """Options cannot be combined, or a value is out of range."""

    exit_code = 2


class DataError(TfcliError):
    """The content of a text, a file or a run is invalid."""

    exit_code = 65


class DamagedError(DataError):
    """The content of a file is not what was written."""


class NotFoundError(TfcliError):
    """There is no such file, run or tokenizer."""

    exit_code = 66


class ConflictError(TfcliError):
    """Something already exists, or is used by another process."""

    exit_code = 73


class InputOutputError(TfcliError):
    """A disk or a stream reported an error."""

    exit_code = 74


class OutputClosedError(TfcliError):
    """Whoever read our output has closed it (a broken pipe)."""

    exit_code = 141


def closest_match(name: str, known: Iterable[str], *, cutoff: float = 0.65) -> str | None:
    """The known name most similar to `name`, or None if none is close: for "did you mean".

    Args:
        cutoff: how similar it has to be, from 0 to 1: 1 is the same.

    """
    from difflib import get_close_matches  # only needed in this rare case

    matches = get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None


def without_comma(number: str, read: Callable[[str], object], *, whole: bool) -> str | None:
    """How to write `0,5`, or `1,000` where it is a whole number; None if that is no mistake.

    Args:
        read: raises ValueError where the number cannot be read.

    """
    import re  # only needed in this rare case

    thousands = whole and re.fullmatch(r"\d{1,3}(,\d{3})+", number)
    other = number.replace(",", "" if thousands else ".")
    if not re.search(r"\d,\d", number):
        return None
    try:
        read(other)
    except ValueError:
        return None
    return f"{other}, without commas" if thousands else f"{other}, with a decimal point"


def share_meant(number: str, least: float | None, most: float | None) -> str | None:
    """How to write `50` or `50%` where a share of one is asked for; None if that is no mistake."""
    percent = number.removesuffix("%").strip()
    try:
        share = float(percent) / 100
    except ValueError:
        return None
    if most is None or most > 1 or (percent == number and share <= 0.01):
        return None
    return f"{share:g}, which is {percent} %" if (least or 0) <= share <= most else None
