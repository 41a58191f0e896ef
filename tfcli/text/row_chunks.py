"""From rows to chunks of documents, whether they hold texts or pairs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tfcli.errors import DataError
from tfcli.text.chunks import split_into_chunks
from tfcli.text.pairs import find_pair_fields, read_pairs
from tfcli.text.rows import LOOKED_AT, RowCounts, read_texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tfcli.text.chunks import Chunk
    from tfcli.text.reading import Reading
    from tfcli.text.reading_options import ReadingOptions
    from tfcli.text.rows import Row


def row_chunks(
    rows: Iterator[Row], options: ReadingOptions, name: Path, reading: Reading
) -> Iterator[Chunk]:
    """The chunks of rows, of which each is a text, or a pair of prompt and answer.

    Raises:
        DataError: which fields to read is not clear, or too many rows are bad.

    """
    reading.rows = RowCounts()
    first = list(itertools.islice(rows, LOOKED_AT))
    rows = itertools.chain(first, rows)
    values = [row.value for row in first if isinstance(row.value, dict)]
    if fields := find_pair_fields(values, options):
        reading.form = fields.form(options)
        yield from read_pairs(
            rows, name, fields, reading.form, strict=options.strict, counts=reading.rows
        )
        return
    texts = read_texts(
        rows, name, wanted=options.field, strict=options.strict, counts=reading.rows,
        is_table=reading.format != "json",
    )  # fmt: skip
    try:
        for text in texts:
            yield from split_into_chunks(text)
    except DataError as error:
        if options.document == "line" and not options.field and not reading.rows.rows:
            error.hint = f"--format text   # each line is a document; or {error.hint}"
        raise
