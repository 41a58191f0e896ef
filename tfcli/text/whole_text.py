"""The text of one file, to be looked at as it is: nothing is taken for markup or separators."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tfcli.text.documents import NEVER
from tfcli.text.formats import ZIPPED
from tfcli.text.readers import read_chunks
from tfcli.text.reading_options import ReadingOptions

if TYPE_CHECKING:
    from pathlib import Path


def read_whole_text(file: Path) -> bytes:
    """The text of a file in UTF-8; of a book or a document of Word or LibreOffice, what it says.

    Raises:
        DataError: it is no text.
        NotFoundError, InputOutputError: it cannot be read.

    """
    options = ReadingOptions(format="text", separator=NEVER.decode(errors="surrogateescape"))
    if _is_zipped(file):
        options = ReadingOptions()
    return b"".join(chunk.data for chunk in read_chunks(file, options))


def _is_zipped(file: Path) -> bool:
    if not file.is_file():
        return False
    with contextlib.suppress(OSError), file.open("rb") as opened:
        return opened.read(len(ZIPPED[0])).startswith(ZIPPED)
    return False
