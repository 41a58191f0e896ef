"""What a file is, told from its first bytes: its format, or that it is not text.

Names do not decide: `rows.jsonl` may be called `rows.json`, or come through a pipe. Only a table
without a column `text`, or columns of pairs, needs its suffix, or an option that names a column.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from tfcli.errors import DataError
from tfcli.text.chunks import character_boundary
from tfcli.text.encoding import STANDARD_INPUT, beside, in_a_shell
from tfcli.text.epub import CONTAINER
from tfcli.text.html import is_html
from tfcli.text.office import OPEN_DOCUMENT, WORD
from tfcli.text.pairs import are_pair_fields
from tfcli.text.reading_options import Format
from tfcli.text.row_formats import cells_of, find_delimiter, header_of
from tfcli.text.rows import STANDARD

if TYPE_CHECKING:
    from collections.abc import Collection

HEAD = 1 << 20  # bytes that are looked at

# --- what is not text ---------------------------------------------------------------------------


@dataclass(frozen=True)
class NotText:
    """A kind of file that holds no plain text.

    Attributes:
        name: as in "is a PDF".
        command: makes text of it, `{}` being the file; for what else is in it see `refuse`. None
            if nothing does.

    """

    name: str
    command: str | None = None


_OFFICE = "libreoffice --headless --convert-to {kind} --outdir {folder} {}"
_ZIPPED = (  # a name inside of a zip archive, and what that makes of it
    ("xl/workbook.xml", NotText("an Excel workbook", _OFFICE.replace("{kind}", "csv"))),
    ("ppt/presentation.xml", NotText("a PowerPoint presentation",
                                     _OFFICE.replace("{kind}", "pdf"))),
)  # fmt: skip
_BY_SUFFIX = {suffix: kind for suffix, (_, kind) in zip((".xlsx", ".pptx"), _ZIPPED, strict=True)}
_ZIP = NotText("a zip archive", "unzip {} -d {texts} && tfcli train {texts}")
_TAR = NotText("a tar archive",
               "mkdir {texts} && tar -xf {} -C {texts} && tfcli train {texts}")  # fmt: skip
_MHTML = NotText("a page saved as MHTML", "save it from the browser as HTML instead")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOCKED = NotText("an encrypted Office document", "save it without a password")
_MAGIC: tuple[tuple[bytes, NotText], ...] = (
    (b"%PDF-", NotText("a PDF", "pdftotext {} {text}")),
    (b"{\\rtf", NotText("an RTF document", "pandoc --wrap=none -f rtf -t plain {} -o {text}")),
    (_OLE, NotText("an old Office document", _OFFICE.replace("{kind}", "txt"))),
    (b"%!PS-Adobe", NotText("PostScript", "ps2ascii {} {text}")),
    (b"AT&TFORM", NotText("a DjVu document", "djvutxt {} {text}")),
    (b"7z\xbc\xaf\x27\x1c", NotText("a 7z archive", "7z x {} -o{texts} && tfcli train {texts}")),
    (b"Rar!\x1a\x07", NotText("a RAR archive", "unrar x {} {texts}/ && tfcli train {texts}")),
    (b"\x89PNG\r\n", NotText("an image", "tesseract {} {stem}")),
    (b"\xff\xd8\xff", NotText("an image", "tesseract {} {stem}")),
    (b"GIF8", NotText("an image", "tesseract {} {stem}")),
    (b"GGUF", NotText("a model (GGUF)")),
    (b"SQLite format 3\x00", NotText("a database")),
    (b"ARROW1", NotText("an Arrow file")),
    (b"\x93NUMPY", NotText("a numpy array")),
    (b"\x7fELF", NotText("a program")),
    (b"MZ\x90", NotText("a program")),
    (b"OggS", NotText("a sound")),
    (b"ID3", NotText("a sound")),
    (b"RIFF", NotText("a sound or a video")),
)  # fmt: skip


_MULTIPART = b"multipart/related"
_TEXTUAL = (b"%PDF-", b"{\\rtf", b"%!PS-Adobe")


def not_text(head: bytes, suffix: str, inside: frozenset[str] | None) -> NotText | None:
    """What kind of file begins like this, if it is one that holds no plain text.

    Args:
        suffix: of its name, which tells what kind of document a zip archive is.
        inside: the names in it, if it is a zip archive.

    """
    for magic, kind in _MAGIC:
        # prose may begin with RIFF or GIF8; what these stand for goes on with other bytes
        if head.startswith(magic) and (magic in _TEXTUAL or not is_plain(head)):
            locked = magic == _OLE and "EncryptedPackage".encode("utf-16-le") in head
            return _LOCKED if locked else kind
    if inside is not None:
        return _BY_SUFFIX.get(suffix) or next(
            (kind for name, kind in _ZIPPED if name in inside), _ZIP
        )
    if head[257:262] == b"ustar":
        return _TAR
    if re.match(rb"(From: [^\n]*\n)?(Snapshot-|MIME-Version:)", head) and _MULTIPART in head[:4096]:
        return _MHTML
    return None


def is_plain(head: bytes) -> bool:
    """Whether the beginning of a file is UTF-8 without zero bytes, as hardly any other file's."""
    try:
        head[:4096][: character_boundary(head[:4096])].decode()
    except UnicodeDecodeError:
        return False
    return 0 not in head[:4096]


def refuse(kind: NotText, name: Path) -> DataError:
    """The error for a file that is not text; what its command makes is put beside the file."""
    if kind.command is None:
        return DataError(f"{name} is {kind.name}, not text")
    text = beside(name, ".txt")
    places = {
        "text": text,
        "stem": text.with_suffix(""),
        "texts": text.with_name(f"{text.stem}-texts"),
        "folder": name.parent,
    }
    quoted = {key: shlex.quote(str(place)) for key, place in places.items()}
    hint = kind.command.format(in_a_shell(name), **quoted)
    if name in {STANDARD_INPUT, Path("-")}:
        hint += "   # FILE: what was piped, as a file"
    return DataError(f"{name} is {kind.name}, not text", hint=hint)


# --- books and pages, which text is made of -----------------------------------------------------

ARCHIVES: tuple[Format, ...] = ("epub", "docx", "odt")
_MAIN_FILE: dict[Format, str] = {"epub": CONTAINER, "docx": WORD, "odt": OPEN_DOCUMENT}
_BY_DOCUMENT_SUFFIX: dict[str, Format] = {f".{format}": format for format in ARCHIVES}
ZIPPED = (b"PK\x03\x04", b"PK\x05\x06")  # how a zip archive begins


def names_in_zip(archive: IO[bytes]) -> frozenset[str]:
    """The names of the files in a zip archive; none if it is damaged."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return frozenset(opened.namelist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return frozenset()


def markup_of(head: bytes, suffix: str, inside: frozenset[str] | None) -> Format | None:
    """Whether a file that begins like this is a page, a book or a document.

    Args:
        suffix: of its name, in lower case, without that of a compression.
        inside: the names in it, if it is a zip archive.

    """
    if inside is not None:
        if suffix in _BY_DOCUMENT_SUFFIX or suffix in _BY_SUFFIX:
            return _BY_DOCUMENT_SUFFIX.get(suffix)
        return next((format for format in ARCHIVES if _MAIN_FILE[format] in inside), None)
    return "html" if is_html(head, suffix) else None


# --- the format of text -------------------------------------------------------------------------

PARQUET = b"PAR1"  # the first and last bytes of a parquet file
_CELL = re.compile(r"[\w .#/()-]{1,40}")  # of a header


def is_parquet(head: bytes) -> bool:
    """Whether a file that begins like this is parquet, and no prose."""
    return head.startswith(PARQUET) and not is_plain(head)


def format_of(head: str, *, suffix: str = "", whole: bool, columns: Collection[str] = ()) -> Format:
    """The format of a file whose text begins like this.

    Args:
        suffix: of its name, in lower case, without that of a compression.
        whole: whether this is all of it.
        columns: that the user named; a header with all of them is that of a table.

    """
    start = head.lstrip()
    if start.startswith(("{", "[")) and _is_json(start, whole=whole):
        return "json"
    if suffix in {".csv", ".tsv"}:
        return cast("Format", suffix[1:])
    header = head.split("\n", 1)[0].rstrip("\r")
    cells = header_of(header)
    if _is_header(cells) or (columns and {*columns} <= {*cells}):
        return "tsv" if find_delimiter(header) == "\t" else "csv"
    return "text"


def _is_json(start: str, *, whole: bool) -> bool:
    """Whether text is JSON: objects one after another, or an array of objects or strings."""
    if start.startswith("["):
        inside = start[1:].lstrip()
        if whole and inside.startswith('"') and not _are_arrays(start):
            return False  # a sentence may begin with a list of words
        if not inside.startswith(("{", '"')):
            return False
        value = _first_value(inside, whole=whole)
        return value is _CUT or (
            value is not None and isinstance(value[0], dict | str) and value[1][:1] in {",", "]"}
        )
    value = _first_value(start, whole=whole)
    return value is _CUT or (
        value is not None and isinstance(value[0], dict) and value[1][:1] in {"", "{"}
    )


def _are_arrays(text: str) -> bool:
    """Whether text is JSON arrays, and nothing else."""
    while text.startswith("["):
        try:
            _, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return False
        text = text[end:].lstrip()
    return not text


_CUT = (None, "")  # a value that goes on after the head


def _first_value(text: str, *, whole: bool) -> tuple[object, str] | None:
    """The first JSON value and what follows it after white space; None if it is not JSON."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError) as error:
        # an unfinished value that is right so far: a large row
        at_end = isinstance(error, json.JSONDecodeError) and (
            error.pos >= len(text) - 1 or error.msg.startswith("Unterminated string")
        )
        return _CUT if at_end and not whole else None
    return value, text[end:].lstrip()


def _is_header(cells: list[str]) -> bool:
    """Whether these are the names of columns, with `text` or a pair: others need the suffix.

    Glossaries, logs and chats have tabs and commas too, and their first line is no header.
    """
    known = STANDARD in cells or are_pair_fields(cells)
    return len(cells) > 1 and known and all(map(_CELL.fullmatch, cells))


MIN_ROWS, MAX_ROWS = 3, 200  # that are looked at
_NAME = re.compile(r"[^\W\d][\w .#/()-]{,39}")
_NUMBER = re.compile(r"\s*-?\d+(\.\d+)?\s*")


def header_in(head: str) -> list[str]:
    """The names on the first line, if the second has as many cells; none if that is no header."""
    first, _, rest = head.partition("\n")
    names = header_of(first.rstrip("\r"))
    cells = cells_of(rest.split("\n", 1)[0].rstrip("\r"), find_delimiter(first))
    same = len({*names}) == len(cells) > 1
    return names if same and all(map(_NAME.fullmatch, names)) else []


def resembles_table(head: str, *, whole: bool) -> tuple[Format, list[str]] | None:
    """The format and the columns that plain text would have as a table, if it is likely one.

    It only gets a note, but even that would be wrong beside lists, logs and verse. So all rows
    must have as many cells as the first, which must be names, and numbers or quotes must show that
    columns are meant.
    """
    lines = head.split("\n")
    lines = lines if whole else lines[:-1]  # the last one is cut
    for name, delimiter in (("csv", ","), ("tsv", "\t"), ("csv", ";"), ("csv", "|")):
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        rows: list[list[str]] = []
        try:
            rows += itertools.islice(filter(None, reader), MAX_ROWS)
        except csv.Error:
            if whole:
                continue
        if len(rows) <= MIN_ROWS:
            continue
        header, *body = rows
        width = len({*header})
        if width == 1 or not all(map(_NAME.fullmatch, header)) or {*map(len, rows)} != {width}:
            continue
        columns = [*zip(*body, strict=True)]
        numbers = any(all(map(_NUMBER.fullmatch, column)) for column in columns)
        quotes = sum(f'{delimiter}"' in line for line in lines[: reader.line_num]) * 2 >= len(body)
        if (numbers or quotes) and any(all(" " in c.strip() for c in column) for column in columns):
            return cast("Format", name), header
    return None
