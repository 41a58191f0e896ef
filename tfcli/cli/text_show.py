"""`tfcli text show`: what is read of any file, as training reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfcli.cli import piped_text, streams
from tfcli.cli.output_formats import TextOut
from tfcli.cli.training_notes import report_left_out
from tfcli.errors import DataError
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.text.chunks import Chunk
    from tfcli.text.reading_options import ReadingOptions

SEPARATOR = b"\n<|endoftext|>\n"  # what `train` knows as one: what is shown can be trained on


def show_texts(
    arguments: Sequence[str],
    options: ReadingOptions,
    reporter: streams.Reporter,
    *,
    limit: int | None,
    json: bool,
) -> None:
    """Writes the documents of files, folders or stdin, chunk by chunk.

    Args:
        limit: how many at most; None: all.
        json: whether each is an object on a line.

    Raises:
        DataError: there is none, or a file that was named is not text.

    """
    from tfcli.text.byte_streams import STDIN
    from tfcli.text.readers import read_chunks
    from tfcli.text.reading import Reading
    from tfcli.text.sources import find_sources

    if "-" in arguments:
        piped_text.mention_waiting("the text")
    sources = find_sources(arguments)
    options.require_named(sources.met)
    report_left_out(sources, (), reporter)
    shown = _Objects() if json else PlainDocuments()
    for path in sources.files:
        reading = Reading()
        shown.file = "stdin" if path == STDIN else str(path)
        try:
            for chunk in read_chunks(path, options, reading=reading):
                if shown.count == limit:
                    break
                shown.add(chunk)
        except DataError as error:
            if path not in sources.found:
                raise
            reporter.note(f"Note: left out: {error.what}.")  # as `train` does
        if shown.count == limit:
            field = reading.rows and reading.rows.field
            where = f", text in {field!r}" if field and not reading.form else ""
            first = counted(shown.count, "document")
            reporter.note(f"Note: only the first {first} (--limit){where}.")
            for note in reading.resemblance(path):
                reporter.note(f"Note: {note}.")
            break
        for note in reading.notes(path, options):
            reporter.note(f"Note: {note}.")
    shown.close()
    if not shown.count:
        raise DataError(f"no text in {', '.join(arguments)}")


@dataclass
class PlainDocuments:
    """Documents as they are, with a line between them.

    Attributes:
        file: that they come from.
        count: of those that were complete.

    """

    file: str = ""
    count: int = 0
    _out: TextOut = field(default_factory=TextOut)
    _begun: bool = False

    def add(self, chunk: Chunk) -> None:
        """The next chunk of a document."""
        if self.count and not self._begun:
            self._out.write(SEPARATOR)
        self._out.write(chunk.data)
        self._begun = not chunk.last
        self.count += chunk.last

    def close(self) -> None:
        """The end of all documents."""
        if self.count > 1:
            self._out.write(SEPARATOR)  # so that a newline before it belongs to the last one
        self._out.close()


@dataclass
class _Objects:
    """Documents as JSON lines; of pairs, the prompt as the model reads it, and the answer."""

    file: str = ""
    count: int = 0
    _parts: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, chunk: Chunk) -> None:
        """The next chunk of a document."""
        self._parts.setdefault(chunk.role, []).append(chunk.data)
        if chunk.last:
            self.count += 1
            texts = {role: b"".join(parts).decode() for role, parts in self._parts.items()}
            streams.write_json_result({"file": self.file, "document": self.count} | texts)
            self._parts = {}

    def close(self) -> None:
        """The end of all documents."""
