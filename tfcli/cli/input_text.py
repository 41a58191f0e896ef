"""The text that a command looks at: of a file or of stdin, in any format that has a text."""

from __future__ import annotations

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
) -> Iterator[bytes]:
    """The text of a file, or of stdin without one, in blocks of UTF-8; see `readers.read_text`.

    A note names what the text was taken out of. After a second of silence on stdin it is said what
    is waited for.

    Args:
        hint: how text comes in, where none does.
        wanted: how it is read, if the command has options for that.
        verbatim: whether a page keeps its markup.

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


def _report(
    source: Path, reading: Reading, wanted: FormatOptions | None, reporter: streams.Reporter
) -> None:
    """Says what the text was taken out of."""
    from tfcli.text.reading_options import ReadingOptions

    options = ReadingOptions()
    if wanted:
        options = ReadingOptions(format=wanted.format, encoding=wanted.encoding)
    for note in reading.notes(source, options):
        whole = " (--format text: with its markup)" if reading.format == "html" else ""
        reporter.note(f"Note: {note}{whole}.")
