"""Documents of Word and LibreOffice: the text that a person would copy from them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DataError
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import DEFAULT, ReadingOptions

from .documents_of_offices import MC, W, odt, odt_of, run, word, word_of, zipped
from .helpers import documents, join, standard_input


def read(folder: Path, data: bytes, name: str, options: ReadingOptions = DEFAULT) -> str:
    path = folder / name
    path.write_bytes(data)
    return join(read_chunks(path, options)).decode()


def refused(folder: Path, data: bytes, name: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, data, name)
    return caught.value


def cell(*paragraphs: str) -> str:
    return f"<w:tc><w:tcPr/>{''.join(f'<w:p>{run(each)}</w:p>' for each in paragraphs)}</w:tc>"


P = f"<w:p>{run('One.')}</w:p>"
BOX = f"<w:txbxContent><w:p>{run('In a box.')}</w:p></w:txbxContent>"
CONTENTS = '<w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj>'
HIDDEN, SHOWN = "<w:vanish/>", '<w:vanish w:val="0"/>'
WORD = {
    "paragraphs": (f"{P}<w:p/><w:p>{run('Two ')}{run('halves.')}</w:p>", "One.\n\nTwo halves.\n"),
    "tabs and lines": (
        f"<w:p><w:pPr><w:tabs><w:tab w:val='left'/></w:tabs></w:pPr>{run('a')}"
        "<w:r><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t></w:r></w:p>",
        "a\tb\nc-d\n"),
    "spaces that are not kept": ("<w:p><w:r><w:t>\n  a\n  b </w:t></w:r></w:p>", "a   b\n"),
    "spaces that do not break": (
        "<w:p>" + run("«\xa0Oui\xa0» wör\xadter") + "</w:p>", "« Oui » wörter\n"),
    "what was inserted and deleted": (
        f"<w:p><w:ins>{run('new')}</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        f"<w:moveFrom>{run('moved')}</w:moveFrom></w:p>", "new\n"),
    "hidden": (f"<w:p>{run('a')}{run('b', HIDDEN)}{run('c', SHOWN)}</w:p>", "ac\n"),
    "fields": ("<w:p><w:r><w:instrText>PAGE</w:instrText></w:r>" + run("7") + "</w:p>", "7\n"),
    "a table": (
        f"<w:tbl><w:tr>{cell('a')}{cell('b', 'c')}</w:tr><w:tr>{cell('1')}{cell('2')}</w:tr>"
        "</w:tbl>", "a\tb c\n1\t2\n"),
    "a frame": (f"<w:tbl><w:tr>{cell('a', 'b')}</w:tr></w:tbl>", "a\nb\n"),
    "a box": (
        f"<w:p>{run('Around.')}<w:r><mc:AlternateContent><mc:Choice>{BOX}</mc:Choice>"
        f"<mc:Fallback>{BOX}</mc:Fallback></mc:AlternateContent></w:r></w:p>",
        "In a box.\nAround.\n"),
    "a table of contents": (
        f"<w:sdt><w:sdtPr>{CONTENTS}</w:sdtPr><w:sdtContent>{P}</w:sdtContent></w:sdt>"
        f"<w:sdt><w:sdtContent><w:p>{run('Two.')}</w:p></w:sdtContent></w:sdt>", "Two.\n"),
    "ruby": (f"<w:p><w:r><w:ruby><w:rt>{run('かんじ')}</w:rt><w:rubyBase>{run('漢字')}</w:rubyBase>"
             "</w:ruby></w:r></w:p>", "漢字\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WORD)
def test_text_of_a_word_document(tmp_path: Path, kind: str) -> None:
    body, text = WORD[kind]
    assert read(tmp_path, word(body), "a.docx") == text


def test_notes_come_after_the_text_and_remarks_and_headers_do_not(tmp_path: Path) -> None:
    notes = (
        f'<w:footnote w:type="separator"><w:p>{run("---")}</w:p></w:footnote>'
        f"<w:footnote><w:p>{run('A note.')}</w:p></w:footnote>"
    )
    others = f"<w:p>{run('No text.')}</w:p>"
    data = word(
        "<w:p>" + run("One.") + "<w:r><w:footnoteReference w:id='1'/></w:r></w:p>",
        footnotes=notes, endnotes=f"<w:p>{run('The end.')}</w:p>", comments=others, header1=others,
    )  # fmt: skip
    assert read(tmp_path, data, "a.docx") == "One.\n\nA note.\n\nThe end.\n"


ODT = {
    "paragraphs": (
        "<text:h>Title</text:h><text:p/><text:p>One <text:span>two</text:span>.</text:p>",
        "Title\n\nOne two.\n"),
    "white space": (
        "<text:p>\n  a\n  b<text:s text:c='3'/>c<text:tab/>d<text:line-break/> e </text:p>",
        "a b   c\td\ne\n"),
    "spaces without end": (
        "<text:p>a<text:s text:c='999999999999'/>b</text:p>", f"a{' ' * 1000}b\n"),
    "a note": (
        "<text:p>One<text:note><text:note-citation>1</text:note-citation><text:note-body>"
        "<text:p>A note.</text:p></text:note-body></text:note>.</text:p><text:p>Two.</text:p>",
        "One.\nTwo.\n\nA note.\n"),
    "a remark": ("<text:p>One<office:annotation><text:p>x</text:p></office:annotation>.</text:p>",
                 "One.\n"),
    "what was deleted": (
        "<text:tracked-changes><text:p>x</text:p></text:tracked-changes><text:p>One.</text:p>",
        "One.\n"),
    "an index": (
        "<text:table-of-content><text:index-body><text:p>One 1</text:p></text:index-body>"
        "</text:table-of-content><text:p>One.</text:p>", "One.\n"),
    "a hidden section": (
        "<text:section text:display='none'><text:p>x</text:p></text:section><text:p>One.</text:p>",
        "One.\n"),
    "a table": (
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
        "<table:table-cell><text:p>b</text:p><text:p>c</text:p></table:table-cell>"
        "</table:table-row></table:table>", "a\tb c\n"),
    "an image": (
        "<text:p>One.<draw:frame><svg:title>x</svg:title></draw:frame></text:p>", "One.\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODT)
def test_text_of_an_open_document(tmp_path: Path, kind: str) -> None:
    body, text = ODT[kind]
    assert read(tmp_path, odt(body), "a.odt") == text


LINES = ["El niño salió.", "", "<Sí> & «no».", "Fin."]
WHOLE = "".join(f"{line}\n" for line in LINES)
MADE = {"docx": word_of(LINES), "odt": odt_of(LINES)}


@pytest.mark.parametrize("format", MADE)
@pytest.mark.parametrize("name", ["novel", "novel.zip", "novel.{}"])
def test_document_is_known_by_its_content(tmp_path: Path, format: str, name: str) -> None:
    data, name = MADE[format], name.format(format)
    assert read(tmp_path, data, name) == WHOLE
    assert read(tmp_path, gzip.compress(data), f"{name}.gz") == WHOLE
    reading = Reading()
    with standard_input([data]):
        assert documents(read_chunks(Path("-"), reading=reading)) == [WHOLE.encode()]
    (note,) = reading.notes(Path("novel"), DEFAULT)
    assert note == f"novel is {format.upper()}; only its text is read"


@given(
    lines=st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1)
)
def test_any_text_comes_through(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("any")
    for made in (word_of(lines), odt_of(lines)):
        assert read(folder, made, "made") == "".join(f"{line}\n" for line in lines)


ENTITIES = '<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
DOCUMENT = f"<w:document {W} {MC}>{P}</w:document>"
BROKEN = {
    "cut short": ("a.docx", MADE["docx"][:-200], "not a valid DOCX"),
    "no archive": ("a.odt", b"PK\x03\x04" + b"nothing" * 9, "not a valid ODT"),
    "an archive of others": ("a.docx", zipped({"a.txt": "Text."}), "not a valid DOCX"),
    "no XML": ("a.docx", zipped({"word/document.xml": "<w:p"}), "not a valid DOCX"),
    "entities": ("a.docx", zipped({"word/document.xml": ENTITIES + DOCUMENT}), "not a valid DOCX"),
    "entities from outside": ("a.docx", zipped({"word/document.xml": (
        '<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + DOCUMENT)}), "not a valid DOCX"),
    "an unknown encoding": ("a.docx", zipped({"word/document.xml": (
        "<?xml version='1.0' encoding='nothing'?>" + DOCUMENT)}), "not a valid DOCX"),
    "no text": ("a.docx", word("<w:p/>"), "no text in"),
    "a password": (
        "a.odt", odt("x", **{"META-INF/manifest.xml": "<m><encryption-data/></m>"}), "encrypted"),
    "a password of Word": (
        "a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
        "is an encrypted Office document"),
    "a spreadsheet": (
        "a.ods", odt("<table:table/>", "spreadsheet"), "application/vnd.oasis.opendocument.spread"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_document_that_cannot_be_read_as_a_whole_is_refused(tmp_path: Path, kind: str) -> None:
    name, data, what = BROKEN[kind]
    assert what in refused(tmp_path, data, name).what


def test_document_that_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfcli.text.office.MAX_DOCUMENT", 1 << 20)
    error = refused(tmp_path, word(f"<w:p>{run(' ' * (2 << 20))}</w:p>"), "a.docx")
    assert "more than 1,048,576 bytes" in str(error.why)


def test_document_nested_thousands_deep_is_read(tmp_path: Path) -> None:
    deep = "<w:sdt>" * 20_000 + P + "</w:sdt>" * 20_000
    assert read(tmp_path, word(deep), "a.docx") == "One.\n"


@pytest.mark.parametrize("format", MADE)
@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_flipped_bit_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, format: str, place: int, bit: int
) -> None:
    data = bytearray(MADE[format])
    data[place % len(data)] ^= 1 << bit
    try:
        text = read(tmp_path_factory.mktemp("bit"), bytes(data), f"a.{format}")
    except DataError:
        return
    assert text == WHOLE
