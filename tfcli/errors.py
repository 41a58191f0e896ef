"""The tree of errors that a user can meet, each with the exit code of its branch.

    TfcliError                1   an internal error, or nothing more precise
    +-- UsageError            2   an invalid option, or options that cannot be combined
    +-- DataError            65   a text, a file or a run is invalid
    |   +-- DamagedError     65   its bytes are not those that were written
    +-- NotFoundError        66   no such file, run or tokenizer
    +-- ConflictError        73   it already exists, or another process is using it
    +-- InputOutputError     74   reading or writing failed
    +-- OutputClosedError   141   broken pipe: nobody reads our output (no message)

Codes 65 to 74 are those of sysexits.h; 141 is what a shell reports for SIGPIPE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class TfcliError(Exception):
    """Something to tell the user.

    Args:
        what: one sentence: what could not be done, and with which file, run or value.
        why: the reason, where `what` does not give it.
        hint: what to do about it, preferably a command that works as it stands.

    """

    exit_code = 1

    def __init__(self, what: str, *, why: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.hint = hint


class UsageError(TfcliError):
    """An invalid value of an option, or options that cannot be combined."""

    exit_code = 2


class DataError(TfcliError):
    """A text, a file or a run is invalid."""

    exit_code = 65


class DamagedError(DataError):
    """The bytes of a file are not those that were written."""


class NotFoundError(TfcliError):
    """There is no such file, run or tokenizer."""

    exit_code = 66


class ConflictError(TfcliError):
    """The name is taken, or another process is using it."""

    exit_code = 73


class InputOutputError(TfcliError):
    """Reading or writing failed."""

    exit_code = 74


class OutputClosedError(TfcliError):
    """Broken pipe: the process that read our output has exited."""

    exit_code = 141


def closest_match(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None where none is close: for "did you mean ...?"."""
    from difflib import get_close_matches  # only needed for errors

    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None
