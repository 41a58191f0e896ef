"""The text that a command looks at: of a file or of stdin, in any format that has a text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.cli import piped_text
from tfcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.cli import streams
    from tfcli.text.reading import Reading
    from tfcli.text.reading_options import FormatOptions

BOM = "\ufeff"


def read_input(
    file: Path | None,
    reporter: streams.Reporter,
    *,
    hint: str,
    purpose: str = "the text",
    wanted: FormatOptions | None = None,
    verbatim: bool = False,
    by_lines: bool = False,
) -> Iterator[bytes]:
    """The text of a file, or of stdin without one, in blocks of UTF-8; see `readers.read_text`.

    A note names what the text was taken out of. After a second of silence on stdin it is said what
    is waited for.

    Args:
        hint: how text comes in, where none does.
        wanted: how it is read, if the command has options for that.
        verbatim: whether a page keeps its markup.
        by_lines: whether the lines of rows are what is wanted, of which others get a note.

    Raises:
        UsageError: stdin is a terminal.
        NotFoundError, InputOutputError, DataError: as of `read_text`.

    """
    from tfcli.text.byte_streams import STDIN
    from tfcli.text.readers import read_text
    from tfcli.text.reading import Reading

    if file is None:
        if not piped_text.stdin_is_piped():
            raise UsageError(f"no text{purpose.removeprefix('the text')}", hint=hint)
        piped_text.mention_waiting(purpose)
    source, reading = file or STDIN, Reading()
    said = False
    for block in read_text(source, wanted, reading=reading, verbatim=verbatim):
        if not said:
            said = True
            if not by_lines:
                _report_rows(source, reading, reporter)
            _report(source, reading, wanted, reporter)
        yield block


def read_whole_input(
    file: Path | None,
    reporter: streams.Reporter,
    *,
    hint: str,
    purpose: str = "the text",
    wanted: FormatOptions | None = None,
    verbatim: bool = False,
) -> str:
    """All of the text, without a byte order mark; see `read_input`."""
    blocks = read_input(
        file, reporter, hint=hint, purpose=purpose, wanted=wanted, verbatim=verbatim
    )
    return b"".join(blocks).decode().removeprefix(BOM)


def _report_rows(source: Path, reading: Reading, reporter: streams.Reporter) -> None:
    """Says where rows are taken as one text."""
    from tfcli.text.byte_streams import STDIN
    from tfcli.text.encoding import in_a_shell, shown_name
    from tfcli.text.reading import KINDS

    if reading.resembles:
        name, file = shown_name(source), in_a_shell(source)
        file = f"< {file}" if source == STDIN else file
        reporter.note(
            f"Note: {name} looks like rows of {KINDS[reading.resembles[0]]}, and is taken as one "
            f"text, as it is; tfcli text show {file} writes their texts."
        )


def _report(
    source: Path, reading: Reading, wanted: FormatOptions | None, reporter: streams.Reporter
) -> None:
    """Says what the text was taken out of."""
    from tfcli.text.reading_options import DEFAULT

    reading = replace(reading, resembles=None)
    for note in reading.notes(source, wanted.as_reading if wanted else DEFAULT):
        whole = " (--format text: with its markup)" if reading.format == "html" else ""
        reporter.note(f"Note: {note}{whole}.")
