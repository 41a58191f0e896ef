"""The format is told from the content: rows wherever they are, and no text for what it is."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfcli.errors import DataError
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import DEFAULT, Format, ReadingOptions
from tfcli.text.rows import RowCounts

from .helpers import any_text, documents

TEXTS = ["one text", "zwei\nZeilen", 'three, with "quotes"', "四 😀", " spaces "]
ROWS = [{"id": n, "text": text} for n, text in enumerate(TEXTS)]


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(rows: list[dict[str, object]], delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


WRITTEN: dict[str, str] = {
    "JSON lines": lines(ROWS),
    "an array": json.dumps(ROWS),
    "a pretty array": json.dumps(ROWS, indent=2, ensure_ascii=False),
    "pretty objects": "\n".join(json.dumps(row, indent=4) for row in ROWS),
    "an array of strings": json.dumps(TEXTS),
    "CSV": table(ROWS),
    "TSV": table(ROWS, "\t"),
}
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress,
}  # fmt: skip


def read(
    folder: Path, data: bytes, name: str = "data", options: ReadingOptions = DEFAULT
) -> tuple[list[bytes], Reading]:
    path = folder / name
    path.write_bytes(data)
    found = Reading()
    return documents(read_chunks(path, options, reading=found)), found


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("name", ["data", "rows.json", "ROWS.JSONL", "book.txt"])
def test_rows_are_the_same_documents_in_every_format_under_every_name(
    tmp_path: Path, written: str, compression: str, name: str
) -> None:
    data = COMPRESSED[compression](WRITTEN[written].encode())
    texts, _ = read(tmp_path, data, name)
    assert texts == [text.encode() for text in TEXTS]


@given(texts=st.lists(any_text.filter(str.strip), min_size=3, max_size=9))
def test_any_text_comes_through_every_format(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows: list[dict[str, object]] = [{"text": text} for text in texts]
    for data in (lines(rows), json.dumps(rows), "\n".join(json.dumps(r, indent=1) for r in rows)):
        assert read(folder, data.encode())[0] == [text.encode() for text in texts]
    if not any("\0" in text for text in texts):
        rows = [{"n": 1, "text": text} for text in texts]
        for name, delimiter in (("t.csv", ","), ("t.tsv", "\t")):
            written = read(folder, table(rows, delimiter).encode(), name)[0]
            assert written == [text.encode() for text in texts]


PROSE = {
    "prose with commas": "It was late, and cold\nand nobody came, and\nwe waited, long\nfor, him\n",
    "a stage direction": "[Enter HAMLET]\nTo be, or not to be.\n",
    "a quoted list": '["Hello," he said.\n',
    "a set": "{a, b, c} is a set.\n",
    "code": "{\n  int x = 1;\n}\n",
    "a chat": "alice\thello there\nbob\thi you\nalice\thow are you\n" * 20,
    "a glossary": "aardvark\tA nocturnal mammal\nabacus\tA frame with beads\n" * 20,
    "names": "Smith,John the elder\nDoe,Jane of York\n" * 20,
    "a list of words": '["Hello there", "you all"] are lists in Python.\nMore prose follows.\n',
    "a tutorial": '{"text": "a b"}\n{"text": "c d"}\n' + "And now some prose.\n" * 30,
    "something compressed": "BZhang wrote this.\n",
    "a container": "RIFF is a format, and so is OggS.\n",
    "a comment": "GIF87 and GIF89 are formats.\n",
    "one object": '{"name": "my package", "version": "1.0"}\n',
    "a poem by columns": "a,b\n",
    "rows without text": "".join(f'{{"city": "Lugo", "count": {n}}}\n' for n in range(9)),
}


@pytest.mark.parametrize("name", PROSE)
def test_what_only_looks_like_rows_is_plain_text(tmp_path: Path, name: str) -> None:
    data = PROSE[name].encode()
    texts, found = read(tmp_path, data, "book.txt")
    assert (texts, found.format) == ([data], "text")


@pytest.mark.parametrize(
    "value", [{"name": "my package", "deps": {"a": "1.0"}}, {"type": "a map", "features": [1, 2]}]
)
def test_a_single_object_is_plain_text(tmp_path: Path, value: dict[str, object]) -> None:
    """Settings, packages and maps have texts in them too; `.jsonl` says that it is a row."""
    data = json.dumps(value, indent=2).encode()
    assert read(tmp_path, data, "package.json")[0] == [data]
    row = json.dumps({"text": "one text"}).encode()
    assert read(tmp_path, row, "rows.jsonl")[0] == [b"one text"]


@pytest.mark.parametrize("size", [6_000, 100_000])
def test_large_rows_are_recognized_under_any_name(tmp_path: Path, size: int) -> None:
    text = "some words " * (size // 11)
    data = "".join(json.dumps({"id": n, "content": text}) + "\n" for n in range(5)).encode()
    assert read(tmp_path, data, "data")[0] == [text.encode()] * 5
    data = json.dumps([{"content": text}] * 5).encode()
    assert read(tmp_path, data, "data")[0] == [text.encode()] * 5


def test_arrays_after_one_another_are_all_read(tmp_path: Path) -> None:
    rows = json.dumps([{"text": "a b"}, {"text": "c d"}])
    assert read(tmp_path, f"{rows}\n{rows}".encode())[0] == [b"a b", b"c d"] * 2
    with pytest.raises(DataError) as caught:
        read(tmp_path, f"{rows} and more".encode(), "rows.json")
    assert "text follows the array" in (caught.value.why or "")


def test_rows_in_another_encoding_are_named_so(tmp_path: Path) -> None:
    rows = '{"text": "un niño"}\n'.encode("cp1252") * 3
    for data, name in ((rows, "rows.jsonl"), ("text\nun niño\n".encode("cp1252"), "t.csv")):
        with pytest.raises(DataError) as caught:
            read(tmp_path, data, name)
        assert "not UTF-8" in caught.value.what
        assert "--encoding" in (caught.value.hint or "")


@pytest.mark.parametrize("format", ["text", "json", "csv"])
def test_format_can_be_named(tmp_path: Path, format: Format) -> None:
    data = {
        "text": lines(ROWS),
        "json": '{"text": "one"}',
        "csv": "text\none\n",
    }[format].encode()
    texts, found = read(tmp_path, data, "data", ReadingOptions(format=format))
    assert found.format == format
    assert texts == [data if format == "text" else b"one"]


def archive(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(name, "text")
    return out.getvalue()


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.txt"))
    return out.getvalue()


NOT_TEXT = {
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "pdftotext"),
    "a zip archive": (archive("a.txt"), "unzip"),
    "an RTF document": (b"{\\rtf1\\ansi Hello}", "pandoc"),
    "a page saved as MHTML": (
        b"From: <Saved by Blink>\nSnapshot-Content-Location: https://example.org/\n"
        b'MIME-Version: 1.0\nContent-Type: multipart/related;\n\ttype="text/html";\n\n',
        "as HTML instead",
    ),
    "a tar archive": (tar(), "tar -xf"),
    "an image": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "tesseract"),
}


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("kind", NOT_TEXT)
def test_what_is_no_text_is_named_with_the_way_to_make_text_of_it(
    tmp_path: Path, kind: str, compression: str
) -> None:
    data, command = NOT_TEXT[kind]
    with pytest.raises(DataError) as caught:
        read(tmp_path, COMPRESSED[compression](data), "it's a file")
    assert f"is {kind}" in caught.value.what
    assert command in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("name", "data", "command"),
    [
        ("a book.pdf", b"%PDF-1.7\n", "pdftotext 'in/a book.pdf' 'in/a book.txt'"),
        ("v1.2.mobi.djvu", b"AT&TFORM\0\0", "djvutxt in/v1.2.mobi.djvu in/v1.2.mobi.txt"),
        ("letter.txt", b"%PDF-1.7\n", "pdftotext in/letter.txt in/letter-utf8.txt"),
        ("a.zip", archive("b.txt"), "unzip in/a.zip -d in/a-texts && tfcli train in/a-texts"),
    ],
)  # fmt: skip
def test_what_a_command_makes_is_put_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        list(read_chunks(Path("in") / name))
    assert caught.value.hint == command


TABLES = {
    "jokes": table([{"id": n, "joke": f'He said "no {n}", and left'} for n in range(9)]),
    "numbers": table([{"n": n, "comment": "a good one"} for n in range(9)], "\t"),
    "quotes": table([{"title": f"no-{n}", "body": "one, two\nand three"} for n in range(9)]),
    "large": table([{"id": n, "body": "many, many words " * 5000} for n in range(30)]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_table_that_is_read_as_text_is_said(tmp_path: Path, kind: str) -> None:
    data = TABLES[kind].encode()
    texts, found = read(tmp_path, data, "piped.txt")
    assert b"".join(texts) == data
    format = "tsv" if kind == "numbers" else "csv"
    (note,) = found.notes(Path("-"), DEFAULT)
    assert f"--format {format} reads its rows" in note
    assert read(tmp_path, data, f"piped.{format}")[1].resembles is None


LIKE_TABLES = {
    "a log": "date,level\n" + "2026-01-01,INFO it began\n" * 20 + "2026-01-01,at a, b\n",
    "a log without header": "12,a first line\n" * 20,
    "verse": "Tyger Tyger, burning bright\nIn the forests, of the night\n" * 9,
    "dialogue": '"No, you," he said\n"Not I, then," said she\n' * 9,
    "a list of numbers": "one,two\n" + "1,2\n" * 20,
    "a vocabulary": "hello,good day\n" * 20,
    "code": "def f(a, b):\n    return g(a, 1)\n" * 20,
    "a small table": "id,joke\n1,a b\n2,c d\n",
}


@pytest.mark.parametrize("kind", [*PROSE, *LIKE_TABLES])
def test_lists_and_verse_are_not_said_to_be_tables(tmp_path: Path, kind: str) -> None:
    data = (PROSE | LIKE_TABLES)[kind].encode()
    texts, found = read(tmp_path, data, "book.txt")
    assert (b"".join(texts), found.notes(tmp_path, DEFAULT)) == (data, [])


# --- which field, and rows without text ---------------------------------------------------------


def test_the_only_field_with_text_is_found_and_named(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": f"a{n}", "lang": "en", "content": text} for n, text in enumerate(TEXTS[:3])
    ]
    texts, found = read(tmp_path, lines(rows).encode())
    assert texts == [text.encode() for text in TEXTS[:3]]
    assert "3 rows of JSON, text in 'content'" in found.notes(tmp_path, DEFAULT)[0]


def test_nested_fields_are_reached_with_dots(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"doc": {"body": text, "by": "some one"}, "title": "a title"} for text in TEXTS
    ]
    texts, _ = read(tmp_path, lines(rows).encode(), options=ReadingOptions(field="doc.body"))
    assert texts == [text.encode() for text in TEXTS]
    rows = [{"doc.body": text} for text in TEXTS]
    texts, _ = read(tmp_path, lines(rows).encode(), options=ReadingOptions(field="doc.body"))
    assert texts == [text.encode() for text in TEXTS]


def test_several_fields_with_text_are_named(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"title": "a title", "body": "a longer body"}] * 3
    with pytest.raises(DataError) as caught:
        read(tmp_path, lines(rows).encode(), "rows.txt")
    assert "body, title" in (caught.value.why or "")
    hint = "--field body   # or, as pairs: --prompt-field title --answer-field body"
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["text", "body"])
def test_columns_of_one_name_are_told_apart(tmp_path: Path, name: str) -> None:
    data = f"{name},id,{name}\none text,1,another one\n".encode()
    with pytest.raises(DataError) as caught:
        read(tmp_path, data, "t.csv")
    assert f"{name} (1), {name} (2)" in (caught.value.why or "")
    hint = (caught.value.hint or "").partition("   #")[0].removeprefix("--field ").strip("'")
    assert read(tmp_path, data, "t.csv", ReadingOptions(field=hint))[0] == [b"another one"]
    with pytest.raises(DataError) as caught:
        read(tmp_path, data, "t.csv", ReadingOptions(field=name))
    assert f"no field {name}" in (caught.value.why or "")


def test_the_field_text_comes_first(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"title": "a title", "text": "x"}] * 3
    assert read(tmp_path, lines(rows).encode())[0] == [b"x"] * 3


def test_conversations_are_refused(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"messages": [{"role": "user", "content": "a b"}]}] * 3
    with pytest.raises(DataError) as caught:
        read(tmp_path, lines(rows).encode(), "chat.jsonl")
    assert "conversations" in caught.value.what


BAD = ['{"text": null}', '{"text": "\\ud800"}', '{"text": ""}', "{}", "{", "[1]"]


def test_a_few_bad_rows_are_skipped_and_the_first_named(tmp_path: Path) -> None:
    good = '{"text": "a good row"}\n'
    data = (good * 600 + "\n".join(BAD) + "\n" + good * 600).encode()
    texts, found = read(tmp_path, data)
    assert texts == [b"a good row"] * 1200
    assert found.rows == RowCounts(
        field="text", rows=1206, bad=6, empty=1,
        named=[
            "row 601: text is null",
            "row 602: an unpaired surrogate (U+D800) at 0",
            "row 603: text is empty",
        ],
    )  # fmt: skip
    (note,) = (n for n in found.notes(tmp_path, DEFAULT) if "skipped" in n)
    assert "6 of 1,206 rows" in note
    with pytest.raises(DataError) as caught:
        read(tmp_path, data, options=ReadingOptions(strict=True))
    assert "row 601" in (caught.value.why or "")


def test_many_bad_rows_are_refused(tmp_path: Path) -> None:
    data = ('{"text": "a good row"}\n' * 98 + "{}\n" * 2).encode()
    with pytest.raises(DataError) as caught:
        read(tmp_path, data)
    assert "2 of 100 rows" in caught.value.what
    assert "row 99" in (caught.value.why or "")


def test_many_empty_rows_are_skipped(tmp_path: Path) -> None:
    """Collections of lines have an empty row for each blank line."""
    texts, found = read(tmp_path, b'{"text": "a line"}\n{"text": ""}\n' * 50)
    assert texts == [b"a line"] * 50
    assert found.rows
    assert found.rows.empty == 50


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_csv_may_be_separated_otherwise(tmp_path: Path, delimiter: str) -> None:
    """As spreadsheets write it where a comma is decimal, and as UTF-16."""
    rows = [["id", "text"], ["1,5", 'one; "two", three'], ["2", "four\tfive"]]
    written = "".join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) + "\r\n" for row in rows
    )
    for encoding in ("utf-8", "utf-16"):
        texts, _ = read(tmp_path, written.encode(encoding), "t.csv")
        assert texts == [row[1].encode() for row in rows[1:]]


def test_table_with_rows_of_another_width_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, b"id,text\n1,one\n2,two,three\n", "t.csv")
    assert "row 2: 3 cells for 2 columns" in (caught.value.why or "")


@pytest.mark.parametrize("end", ["", ",", '"', '{"text": "b'])
def test_array_that_is_cut_short_is_refused(tmp_path: Path, end: str) -> None:
    whole = json.dumps(ROWS)
    with pytest.raises(DataError):
        read(tmp_path, (whole[:-1] + end).encode() if end else whole[:-20].encode(), "rows.json")
