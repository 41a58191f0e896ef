"""What is scored: documents, lines or rows, of files or of standard input."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypeVar, cast

from tfcli.cli import piped_text
from tfcli.cli.stdin_lines import StdinLines, WholeStdin, read_head
from tfcli.cli.training_notes import report_left_out
from tfcli.errors import DataError, NotFoundError, UsageError
from tfcli.text.documents import KNOWN_SEPARATORS
from tfcli.text.encoding import UTF8, UTF8_BOM, decode_line, encoding_of, shown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Literal

    from tfcli.cli import streams
    from tfcli.generation.score_lines import ScoreLine
    from tfcli.text.pairs import PairForm
    from tfcli.text.reading_options import ReadingOptions
    from tfcli.text.rows import Row
    from tfcli.text.sources import Sources

    RowFormat = Literal["csv", "tsv", "json", "parquet"]

LINES = 256  # scored together
Item = TypeVar("Item")
ARRAY = re.compile(r"\s*\[\s*\{")  # how a JSON array of rows begins
PLAIN = {"", ".txt", ".md", ".jsonl", ".ndjson"}  # whose size is that of their lines


class Document(NamedTuple):
    """What is scored on its own.

    Attributes:
        prompt: of a pair, framed: what comes before the text, and is not scored.

    """

    text: str
    prompt: str = ""
    is_row: bool = False


@dataclass(frozen=True)
class ScoreInput:
    """The argument of `tfcli score`.

    Attributes:
        file: a name, a folder, a pattern, or `-` for stdin.
        form: of the pairs that the run was trained on; None: it was on text.

    """

    file: str
    reading: ReadingOptions
    reporter: streams.Reporter
    form: PairForm | None = None

    @property
    def size(self) -> int | None:
        """The bytes of the lines of a file, or of stdin; None if not known."""
        try:
            status = os.fstat(0) if self._is_stdin else Path(self.file).stat()
        except (OSError, ValueError):
            return None
        plain = self._is_stdin or Path(self.file).suffix.lower() in PLAIN
        return status.st_size if plain and stat.S_ISREG(status.st_mode) else None

    def whole(self, progress: Callable[[int], None]) -> list[Document]:
        """The documents that are scored as one text; see `piped_text.without_last_newline`.

        Args:
            progress: is told how many bytes were read.

        """
        found = list(self._documents(progress=progress))
        if self._is_stdin and found and not found[-1].is_row:
            last = piped_text.without_last_newline(found.pop().text)
            found += [Document(last)] if last else []
        self._note_without_prompt(found)
        return found

    def lines(self) -> Iterator[list[Document]]:
        """The lines in groups; those of stdin as they arrive. The text of a row counts as one.

        What begins as rows, a page or an archive is read to its end first, to know what it is.
        """
        groups = self._groups_of_lines()
        if (first := next(groups, None)) is not None:
            self._note_without_prompt(first)
            yield first
        yield from groups

    def _groups_of_lines(self) -> Iterator[list[Document]]:
        from tfcli.text.reading_options import DEFAULT, ReadingOptions

        head = b""
        if self._is_stdin:
            _require_stdin()
            head = read_head("lines")
            plain = self.reading == DEFAULT and _begins_as_lines(head)
            if plain or self.reading == ReadingOptions(format="text"):
                for numbered in _numbered(_arriving(head, "lines")):
                    for group in _decoded(numbered):
                        yield list(map(Document, group))
                return
        yield from _grouped(self._lines_of_documents(head))

    def _note_without_prompt(self, documents: Sequence[Document]) -> None:
        """Says where a model of pairs is given a text, which is none."""
        if self.form and documents and not documents[0].prompt:
            self.reporter.note(
                "Note: this run was trained on pairs; a text is scored without a prompt. For "
                "pairs: --prompt-field A --field B."
            )

    def rows(self) -> Iterator[list[tuple[int, ScoreLine]]]:
        """Rows in groups, each with its bytes: lines of JSON as they arrive, or rows of a table.

        `--answer-field` names the field of the text as `--field` does, and `--prompt-field` those
        of what comes before it, framed as the run read it.
        """
        from tfcli.text.compression import compression_of
        from tfcli.text.formats import HEAD
        from tfcli.text.readers import open_rows

        path, opened, head = Path("-"), None, b""
        if self._is_stdin:
            _require_stdin()
            head = read_head("rows")
            opened = cast("IO[bytes]", WholeStdin(head))
            if not compression_of(head):
                yield from self._rows_in(path, head, opened, _arriving(head, "rows"))
                return
        else:
            path = self._only_file()
        with open_rows(path, opened) as (stream, _):  # once: it may be a pipe
            lines = (line.removesuffix(b"\n") for line in stream)
            head = stream.peek(HEAD)[:HEAD]  # type: ignore[attr-defined]
            yield from self._rows_in(path, head, stream, _grouped(lines))

    def _rows_in(
        self, path: Path, head: bytes, opened: IO[bytes], lines: Iterator[list[bytes]]
    ) -> Iterator[list[tuple[int, ScoreLine]]]:
        """See `rows`.

        Args:
            head: how it begins.
            opened: what has the rows of a table, decompressed or not.
            lines: what has those of JSON lines.

        """
        from tfcli.generation.score_lines import parse_score_line, parse_score_row
        from tfcli.text.rows import STANDARD

        field = self.reading.field or self.reading.answer_field or STANDARD
        prompt = self.reading.prompt_field or ()
        if table := self._table(path, head):
            for rows in _grouped(self._rows_of(path, table, opened)):
                yield [(_size_of(row.value), parse_score_row(row, field, prompt)) for row in rows]
            return
        for group in _numbered(lines):
            yield [
                (len(line), parse_score_line(line, number, field, prompt))
                for number, line in group
                if line.strip()
            ]

    def _table(self, path: Path, head: bytes) -> RowFormat | None:
        """How rows are read that are no lines: as it was said, by the name, or as it begins.

        Raises:
            DataError: it is a table, and it is not clear which column is the text.

        """
        from tfcli.text.formats import PARQUET, format_of, header_in
        from tfcli.text.readers import name_suffix
        from tfcli.text.recognition import require_columns
        from tfcli.text.row_formats import parses

        if head.startswith(PARQUET):
            return "parquet"
        encoding, mark = encoding_of(head)
        text = head[mark:].decode(encoding, errors="replace")
        found = self.reading.format or format_of(
            text, suffix=name_suffix(path), whole=False, columns=self.reading.named_fields
        )
        if found in {"csv", "tsv"}:
            return cast("RowFormat", found)
        if found == "text" and (columns := header_in(text)):
            name = shown_name(path)
            require_columns(self.reading.named_fields, columns, name)
            raise DataError(
                f"{name} is a table, not JSON lines",
                why=f"its columns: {', '.join(columns)[:200]}",
                hint="--field NAME, the column of the text",
            )
        pretty = found == "json" and not parses(text.lstrip().split("\n", 1)[0].encode())
        return "json" if pretty or ARRAY.match(text) else None

    def _rows_of(self, path: Path, format: RowFormat, opened: IO[bytes]) -> Iterator[Row]:
        """The rows of a table, of parquet or of a JSON array."""
        from tfcli.text.byte_streams import seekable
        from tfcli.text.parquet import parquet_rows
        from tfcli.text.readers import open_rows, read_table
        from tfcli.text.row_formats import json_rows, table_rows

        if format == "parquet":
            with open_rows(path, opened) as (stream, name):
                for row in parquet_rows(seekable(stream), name, every=True):
                    yield replace(row, value=row.whole)
            return
        rows = json_rows if format == "json" else partial(table_rows, format=format)
        yield from read_table(path, rows, opened=opened)

    @property
    def _is_stdin(self) -> bool:
        return self.file == "-"

    # --- documents ------------------------------------------------------------------------------

    def _documents(
        self, head: bytes | None = None, progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[Document]:
        """The documents; of pairs, the answers with their prompts.

        Args:
            head: what was read of stdin; None: nothing.
            progress: is told how many bytes were read.

        Raises:
            DataError: it is not text.

        """
        from tfcli.text.readers import read_chunks
        from tfcli.text.reading import Reading

        opened = None
        if self._is_stdin:
            _require_stdin()
            if head is None:
                head = read_head("the text")
            opened = cast("IO[bytes]", WholeStdin(head))
        sources = self._sources()
        self.reading.require_named(sources.met)
        report_left_out(sources, (), self.reporter)
        size = 0
        reading = self.reading
        if self.form:
            reading = replace(reading, pair_separator=self.form.separator)
        for path in sources.files:
            found = Reading()
            text, prompt = b"", b""
            try:
                for chunk in read_chunks(path, reading, opened=opened, reading=found):
                    if chunk.role == "prompt":
                        prompt += chunk.data
                    else:
                        text += chunk.data
                    size += len(chunk.data)
                    progress(size)
                    if chunk.last:
                        yield Document(text.decode(), prompt.decode(), found.rows is not None)
                        text, prompt = b"", b""
            except DataError as error:
                if path not in sources.found:
                    raise
                self.reporter.note(f"Note: left out: {error.what}.")  # as `train` does
            for note in found.notes(path, self.reading, "scored"):
                self.reporter.note(f"Note: {note}.")

    def _lines_of_documents(self, head: bytes) -> Iterator[Document]:
        first = True
        for document in self._documents(head):
            if document.is_row:
                yield document
            else:
                for line in document.text.removesuffix("\n").split("\n"):
                    if first and self.reading.format is None and _is_object(line):
                        self.reporter.note(
                            "Note: the input looks like JSON lines and is scored verbatim; "
                            "--format json scores the text field."
                        )
                    first = False
                    yield Document(line.removesuffix("\r"))

    # --- files ----------------------------------------------------------------------------------

    def _sources(self) -> Sources:
        """What the argument stands for.

        Raises:
            NotFoundError: there is none; of a sentence, with the command that scores it.

        """
        from tfcli.text.sources import find_sources

        try:
            return find_sources([self.file])
        except NotFoundError as error:
            if " " in self.file and error.hint is None:
                error.hint = f"echo {shlex.quote(self.file)} | tfcli score   # if it is the text"
            raise

    def _only_file(self) -> Path:
        """The file with rows."""
        paths = self._sources().files
        if len(paths) != 1:
            raise UsageError(
                f"--jsonl reads one file; {self.file} matches {len(paths):,}",
                hint="cat FILES | tfcli score --jsonl",
            )
        piped_text.require_no_other_input(self.file)
        return paths[0]


def _begins_as_lines(head: bytes) -> bool:
    """Whether what begins like this is plain lines, and nothing that has to be read whole."""
    from tfcli.text.compression import compression_of
    from tfcli.text.formats import (
        ZIPPED,
        format_of,
        markup_of,
        not_text,
        resembles_table,
    )

    other = head.startswith(ZIPPED) or compression_of(head) or encoding_of(head)[0] != UTF8
    if other or markup_of(head, "", None) or not_text(head, "", None):
        return False
    text = head.decode(errors="replace")
    return format_of(text, whole=False) == "text" and not resembles_table(text, whole=False)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _size_of(row: object) -> int:
    """About as many bytes as a row of a table has in its file."""
    return sum(len(str(cell).encode()) + 1 for cell in row.values()) if isinstance(row, dict) else 0


def _require_stdin() -> None:
    if not piped_text.stdin_is_piped():
        raise UsageError("no text to score", hint="tfcli score FILE   # or pipe it in")


# --- groups of lines ----------------------------------------------------------------------------


def _grouped(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    return iter(lambda: list(islice(iterator, LINES)), [])


def _arriving(head: bytes, what: str) -> Iterator[list[bytes]]:
    """Lines of stdin, as many as have arrived."""
    if not head:
        return
    arriving = StdinLines(what, head=head)
    yield from iter(lambda: arriving.read_available(LINES), [])


def _numbered(groups: Iterator[list[bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers, without a byte order mark."""
    number = 0
    for group in groups:
        if number == 0:
            group[0] = group[0].removeprefix(UTF8_BOM)
        yield list(enumerate(group, number + 1))
        number += len(group)


def _decoded(numbered: list[tuple[int, bytes]]) -> Iterator[list[str]]:
    """A group of lines as text; those before an invalid one are there all the same.

    A line that separates documents belongs to none of them, as in a file.
    """
    group: list[str] = []
    try:
        for number, line in numbered:
            if line.rstrip() not in KNOWN_SEPARATORS:
                group.append(decode_line(line, number).removesuffix("\r"))
    finally:
        yield group
