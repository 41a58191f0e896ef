"""The text of a document of Word (DOCX) or of LibreOffice (ODT), as one would copy it from there.

What both formats have in common is a few roles of their elements: paragraphs, cells, rows, notes,
and what is no text. ECMA-376 (Office Open XML, part 1, chapter 17) and OpenDocument 1.3 (part 3,
chapters 5 to 9) define them.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Literal
from xml.parsers import expat

from tfcli.errors import DataError
from tfcli.text.zipped_xml import ZippedXml, open_zipped_xml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_DOCUMENT = 256 << 20  # bytes of one of its files, decompressed; a long novel has a tenth
MAX_LIST = 16 << 20  # bytes of a file that lists others

WORD, OPEN_DOCUMENT = "word/document.xml", "content.xml"
OPEN_TEXT = "application/vnd.oasis.opendocument.text"
RELATIONS, MANIFEST = "_rels/.rels", "META-INF/manifest.xml"

_ODF = "urn:oasis:names:tc:opendocument:xmlns:"
_PREFIX = {  # of namespaces; those of Word in both conformance classes
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://www.w3.org/XML/1998/namespace": "xml",
    f"{_ODF}text:1.0": "text",
    f"{_ODF}table:1.0": "table",
    f"{_ODF}office:1.0": "office",
    f"{_ODF}svg-compatible:1.0": "svg",
}
Role = Literal["paragraph", "letters", "run", "row", "cell", "note", "part", "skipped"]
_ROLE: dict[str, Role] = {
    "w:p": "paragraph", "text:p": "paragraph", "text:h": "paragraph",
    "w:t": "letters", "m:t": "letters", "w:r": "run",
    "w:tr": "row", "table:table-row": "row",
    "w:tc": "cell", "table:table-cell": "cell", "table:covered-table-cell": "cell",
    "text:note-body": "note", "w:sdt": "part",
    # properties, text that was deleted or is there twice, the readings over ruby characters
    "w:pPr": "skipped", "w:moveFrom": "skipped", "w:del": "skipped", "mc:Fallback": "skipped",
    "w:rt": "skipped", "text:tracked-changes": "skipped", "text:ruby-text": "skipped",
    # tables of contents and indexes, remarks, descriptions of images
    "text:index-body": "skipped", "text:note-citation": "skipped", "office:annotation": "skipped",
    "svg:title": "skipped", "svg:desc": "skipped", "office:forms": "skipped",
}  # fmt: skip
_CHARACTER = {
    "w:tab": "\t", "w:ptab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-",
    "text:tab": "\t", "text:line-break": "\n",
}  # fmt: skip
CONTENTS = "Table of Contents"  # as Word's galleries call it
_SEPARATORS = {"separator", "continuationSeparator", "continuationNotice"}  # lines above notes
_USUAL = str.maketrans({"\xa0": " ", "\xad": None})  # as in pages of HTML
MAX_SPACES = 1000  # that one element stands for


def word_text(stream: IO[bytes], name: Path) -> bytes:
    """The text of a Word document, in UTF-8; empty, or ending with a newline.

    A paragraph is a line, a row of a table too, with tabs between its cells. Footnotes and endnotes
    come after the text, a line each. What was deleted, hidden text, remarks, headers and footers,
    and tables of contents are left out.

    Args:
        stream: can be read at any position.
        name: what errors call the file.

    Raises:
        DataError: it is damaged, encrypted, or too large.

    """
    with open_zipped_xml(stream, name, "DOCX") as document:
        main = _main_part(document)
        lines = _lines(document, main)
        for notes in ("footnotes.xml", "endnotes.xml"):
            path = posixpath.join(posixpath.dirname(main), notes)
            if path in document.files and (found := _lines(document, path)):
                lines += ["", *found]
    return _joined(lines)


def open_document_text(stream: IO[bytes], name: Path) -> bytes:
    """The text of an OpenDocument text (ODT): see `word_text`."""
    with open_zipped_xml(stream, name, "ODT") as document:
        if (kind := _mimetype(document)) and not kind.startswith(OPEN_TEXT):
            raise DataError(f"{name} is {kind[:80]}, not text", hint="save its text as TXT or CSV")
        if MANIFEST in document.files and any(
            tag == "encryption-data" for tag, _ in document.elements(MANIFEST, MAX_LIST)
        ):
            raise DataError(f"{name} is encrypted", why="it needs a password")
        return _joined(_lines(document, OPEN_DOCUMENT))


def _main_part(document: ZippedXml) -> str:
    """The name of the file with the text of a Word document."""
    if WORD in document.files or RELATIONS not in document.files:
        return WORD
    for tag, found in document.elements(RELATIONS, MAX_LIST):
        if tag == "Relationship" and found.get("Type", "").endswith("/officeDocument"):
            return found.get("Target", WORD).lstrip("/")
    return WORD


def _mimetype(document: ZippedXml) -> str:
    """What an OpenDocument file says that it is; empty if it does not."""
    info = document.files.get("mimetype")
    if info is None or info.file_size > 1000:
        return ""
    return document.archive.read(info).decode(errors="replace").strip()


def _lines(document: ZippedXml, path: str) -> list[str]:
    """The lines of one of a document's files, without empty ones around them."""
    found = _Text(of_word=path != OPEN_DOCUMENT)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = found.start
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.letters
    document.parse(path, parser, MAX_DOCUMENT)
    lines = found.lines
    if found.notes:
        lines += ["", *found.notes]
    return "\n".join(lines).strip("\n").split("\n") if any(lines) else []


def _joined(lines: list[str]) -> bytes:
    text = "\n".join(lines).strip("\n").translate(_USUAL)
    return f"{text}\n".encode() if text.strip() else b""


@dataclass
class _Text:
    """Takes the elements of a document in their order, and has its lines in the end.

    Paragraphs are in boxes that are in paragraphs, tables in cells of tables: so what is open is
    kept in stacks.

    Attributes:
        of_word: whether it is a document of Word, where only some elements have letters in them.
        open: the role of each element that is open.
        paragraphs: the parts of each that is open.
        places: where lines go: the text itself, a cell, a note.
        rows: the cells so far, each of its lines, of each row that is open.
        runs: whether each of Word's runs that is open is hidden.
        parts: of each of Word's parts that is open: the number of lines before it, and whether it
            is a table of contents.
        word: the letters of a `w:t` so far; None outside of one.
        preserved: whether the spaces around them count.
        skipped: how many elements are open inside of one that is no text, and that one.

    """

    of_word: bool
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    open: list[Role | None] = field(default_factory=list)
    paragraphs: list[list[str]] = field(default_factory=list)
    places: list[list[str]] = field(default_factory=list)
    rows: list[list[list[str]]] = field(default_factory=list)
    runs: list[bool] = field(default_factory=list)
    parts: list[tuple[int, bool]] = field(default_factory=list)
    word: list[str] | None = None
    preserved: bool = False
    skipped: int = 0

    def __post_init__(self) -> None:
        self.places.append(self.lines)

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        if self.skipped:
            self.skipped += 1
            return
        name = _short(tag)
        found = {_short(key): value for key, value in attributes.items()}
        role = _ROLE.get(name)
        if found.get("w:type") in _SEPARATORS or found.get("text:display") == "none":
            role = "skipped"
        if role == "skipped":
            self.skipped = 1
            return
        self.open.append(role)
        match role:
            case "paragraph":
                self.paragraphs.append([])
            case "letters":
                self.word, self.preserved = [], found.get("xml:space") == "preserve"
            case "run":
                self.runs.append(False)
            case "row":
                self.rows.append([])
            case "cell" | "note":
                self.places.append([])
            case "part":
                self.parts.append((len(self.places[-1]), False))
            case _:
                self._character(name, found)

    def end(self, _tag: str) -> None:
        """The element that was begun last ends."""
        if self.skipped:
            self.skipped -= 1
            return
        match self.open.pop():
            case "paragraph":
                self.places[-1].append("".join(self.paragraphs.pop()).rstrip(" "))
            case "letters":
                word = re.sub(r"[\r\n]+", " ", "".join(self.word or ()))
                self.word = None
                self._add(word if self.preserved else word.strip(" \t"))
            case "run":
                self.runs.pop()
            case "row":
                self.places[-1] += _row(self.rows.pop())
            case "cell":
                cell = self.places.pop()
                if self.rows:
                    self.rows[-1].append(cell)
                else:
                    self.places[-1] += cell
            case "note":
                self.notes += self.places.pop()
            case "part":
                before, is_contents = self.parts.pop()
                if is_contents:
                    del self.places[-1][before:]

    def letters(self, data: str) -> None:
        """Character data: of Word what is in a `w:t`, of OpenDocument what is in a paragraph."""
        if self.skipped:
            return
        if self.word is not None:
            self.word.append(data)
        elif self.paragraphs and not self.of_word:
            data = re.sub(r"[ \t\r\n]+", " ", data)
            paragraph = self.paragraphs[-1]
            if not paragraph or paragraph[-1].endswith((" ", "\n", "\t")):
                data = data.removeprefix(" ")
            self._add(data)

    def _character(self, name: str, found: Mapping[str, str]) -> None:
        """An element that stands for characters, or says what the one around it is."""
        if name == "text:s":
            count = found.get("text:c", "1")
            self._add(" " * min(int(count), MAX_SPACES) if count.isdecimal() else " ")
        elif name in _CHARACTER:
            self._add(_CHARACTER[name])
        elif name == "w:vanish" and self.runs:
            self.runs[-1] = found.get("w:val", "1") not in {"0", "false", "off"}
        elif name == "w:docPartGallery" and found.get("w:val") == CONTENTS and self.parts:
            self.parts[-1] = (self.parts[-1][0], True)

    def _add(self, text: str) -> None:
        if text and self.paragraphs and not (self.runs and self.runs[-1]):
            self.paragraphs[-1].append(text)


def _row(cells: list[list[str]]) -> list[str]:
    """A row of a table as a line; that of a single cell is only a frame around its lines."""
    if len(cells) == 1:
        return cells[0]
    return ["\t".join(" ".join(filter(None, cell)) for cell in cells)]


def _short(tag: str) -> str:
    """`w:p` of a name with its namespace; nothing of one that has no part in this."""
    namespace, _, name = tag.rpartition(" ")
    prefix = _PREFIX.get(namespace)
    return f"{prefix}:{name}" if prefix else ""
