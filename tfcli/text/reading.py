"""What was found in a source while it was read, and what of it the user should know."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tfcli.quantities import counted
from tfcli.text.encoding import UTF8, shown_name
from tfcli.text.pairs import PairForm
from tfcli.text.reading_options import Format, ReadingOptions
from tfcli.text.rows import RowCounts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tfcli.text.compression import Compression

MARKUP: dict[Format, tuple[str, str]] = {
    "html": ("HTML", "pages"), "epub": ("EPUB", "books"), "docx": ("DOCX", "documents"),
    "odt": ("ODT", "documents"),
}  # fmt: skip
# Formats of rows, in words.
KINDS: dict[Format, str] = {"json": "JSON", "csv": "CSV", "tsv": "TSV", "parquet": "parquet"}
TRAINED = "trained on"  # what is done with a text, mostly


def describe_encoding(encoding: str, names: Sequence[Path]) -> str:
    """The note on files that are in another encoding than the one that was named."""
    if len(names) == 1:
        return f"{names[0]} is {encoding.upper()}, and is read as such"
    return f"{len(names):,} files are {encoding.upper()}, and are read as such"


def describe_markup(format: Format, names: Sequence[Path]) -> str:
    """The note on files whose text was taken out of their markup."""
    kind, many = MARKUP[format]
    if len(names) == 1:
        return f"{names[0]} is {kind}; only its text is read"
    return f"{len(names):,} {kind} {many}, such as {names[0]}; only their text is read"


@dataclass
class Reading:
    """What was found in a source; complete once all of its chunks have been read.

    Attributes:
        line: on which line of its text the chunk that was read last begins, from 1; of rows, `rows`
            has the number.
        rows: None in plain text.
        form: of the pairs in it; None: it holds texts.
        separators: how often each was found in plain text.
        resembles: the format and the columns that plain text would have as a table.

    """

    format: Format = "text"
    compression: Compression | None = None
    encoding: str = UTF8
    line: int = 1
    rows: RowCounts | None = None
    form: PairForm | None = None
    separators: dict[bytes, int] = field(default_factory=dict)
    resembles: tuple[Format, list[str]] | None = None

    @property
    def row(self) -> Any:
        """The row that was read last; None in plain text."""
        return self.rows.value if self.rows else None

    def begin_on(self, line: int) -> None:
        """Called before each chunk of plain text, with the line on which it begins."""
        self.line = line

    def set_utf8(self) -> None:
        """Called where a text turns out to be UTF-8 that was to be read otherwise."""
        self.encoding = UTF8

    def skipped(self, name: Path) -> list[str]:
        """The note on the rows that were skipped, if there are any."""
        if self.rows is None or not self.rows.bad:
            return []
        name = shown_name(name)
        more = ", ..." if self.rows.bad > len(self.rows.named) else ""
        listed = "; ".join(self.rows.named)
        what = "a pair" if self.form else "text"
        return [
            f"{name}: skipped {self.rows.bad:,} of {counted(self.rows.rows, 'row')} without {what} "
            f"({listed}{more})"
        ]

    def has_own_encoding(self, options: ReadingOptions) -> bool:
        """Whether it is in another encoding than the one that was named."""
        if options.encoding is None or self.format in MARKUP:
            return False
        return not self.encoding.startswith(options.encoding)  # utf-16-le is UTF-16

    def resemblance(self, name: Path) -> list[str]:
        """The note on plain text that is probably rows."""
        if self.resembles is None:
            return []
        name = shown_name(name)
        format, columns = self.resembles
        what = f"a table with the columns {', '.join(columns)[:100]}" if columns else "JSON"
        way = f"--format {format} reads its rows"
        return [f"{name} is read as plain text, but looks like {what} ({way})"]

    def notes(self, name: Path, options: ReadingOptions, read_as: str = TRAINED) -> list[str]:
        """What the user should know of it: what was recognized or skipped.

        Args:
            read_as: what is done with the text, where it is not trained on.

        """
        found = []
        options = options.of_file(name)
        name = shown_name(name)
        if self.format in MARKUP and options.format is None:
            found.append(describe_markup(self.format, [name]))
        if self.has_own_encoding(options):
            found.append(describe_encoding(self.encoding, [name]))
        if self.encoding != UTF8 and options.encoding is None:
            found.append(f"{name} is {self.encoding.upper()}")
        if self.rows is not None:
            kind = KINDS[self.format]
            where = f", text in {self.rows.field!r}" if self.rows.field else ""
            if self.form:
                where = f": {self.rows.field}"
                if self.form.kind == "messages":
                    where += f", {counted(self.rows.pairs, 'answer')}"
            if self.form or options.format is None or (self.rows.field and not options.field):
                found.append(f"{name}: {counted(self.rows.rows, 'row')} of {kind}{where}")
            if self.rows.label and not options.field:
                pair = (
                    f"; --prompt-field {shlex.quote(self.rows.field or '')} --answer-field "
                    f"{shlex.quote(self.rows.label)} trains {self.rows.label!r} as the answer to it"
                )
                found.append(
                    f"{name}: only {self.rows.field!r} is {read_as}"
                    + (pair if read_as == TRAINED else "")
                )
            if options.document != "file" or options.separator is not None:
                given = "--separator" if options.separator is not None else "--document"
                hint = "; the delimiter of columns is recognized" if kind == "CSV" else ""
                found.append(f"{name}: {given} has no effect on rows: each is a document{hint}")
            found += self.skipped(name)
        elif options.field:
            found.append(f"{name} is plain text: --field has no effect")
        found += self.resemblance(name)
        for separator, count in self.separators.items():
            if options.separator is None:
                mark = separator.decode()
                lines = counted(count, "line")
                found.append(f"{name}: documents are separated by {lines} with {mark}")
        return found
