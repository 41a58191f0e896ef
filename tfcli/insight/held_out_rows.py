"""What a run held out, as it came in: the rows of tables and JSON with all of their fields."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.rows import STANDARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.text.corpus import Corpus


def holds_rows(corpus: Corpus) -> bool:
    """Whether a corpus has rows, of which each is a document; else it is plain text."""
    for part in corpus.all_parts:
        for source in part.sources:
            reading = Reading()
            next(read_chunks(source, part.reading, reading=reading), None)
            if reading.rows is not None:
                return True
    return False


def held_out_rows(corpus: Corpus) -> Iterator[dict[str, Any]]:
    """The rows that are held out, each once; a document of plain text is a row with a `text`.

    Of a row so large that only its end is held out, there is the text of that end.
    """
    reading, place = Reading(), Path()

    def follow(source: Path, found: Reading) -> None:
        nonlocal reading, place
        reading, place = found, source

    for part in corpus.all_parts:
        text = b""
        begun = False  # whether the document began before what is held out of it
        written: tuple[Path, int] | None = None
        for chunk, held_out in part.split(follow):
            if not held_out:
                begun = not chunk.last
                continue
            text += chunk.data
            if not chunk.last:
                continue
            row, number = reading.row, reading.rows.number if reading.rows else 0
            if begun or not isinstance(row, dict):
                field = reading.rows.field if reading.rows else None
                yield {field or STANDARD: text.decode()}
            elif (place, number) != written:  # a conversation is a row of several answers
                written = place, number
                yield row
            text, begun = b"", False
