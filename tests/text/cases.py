"""Texts as people bring them, made anew each time, each with what should come of it.

For tests/cli/test_cases.py (through the program) and tests/text/test_fuzz.py (many, at random).
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow
import selectolax  # noqa: F401  (tests/missing_packages.py leaves the tests out without it)
from pyarrow import parquet

from tests.text.documents_of_offices import odt_of, word_of

_SPOKEN = (
    "amber boats carry distant echoes from grey harbours into july kitchens like many nights of "
    "quiet rain said the under very windy yard"
)
WORDS = _SPOKEN.split()

Rows = Sequence[dict[str, Any]]


def make_lines(count: int, seed: int = 1) -> list[str]:
    """Sentences of words in any order."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=9)).capitalize() + "." for _ in range(count)]


# --- how rows are written -----------------------------------------------------------------------


def json_lines(rows: Rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def json_array(rows: Rows) -> bytes:
    return json.dumps(rows, ensure_ascii=False).encode()


def pretty_array(rows: Rows) -> bytes:
    return json.dumps(rows, indent=2, ensure_ascii=False).encode()


def pretty_objects(rows: Rows) -> bytes:
    return "\n".join(json.dumps(row, indent=4) for row in rows).encode()


def table(rows: Rows, delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def tsv(rows: Rows) -> bytes:
    return table(rows, "\t")


def parquet_file(rows: Rows) -> bytes:
    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    return bytes(pyarrow.compress(data, "zstd", asbytes=True))


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd,
}  # fmt: skip


def zip_file(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


# --- the cases ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An input.

    Attributes:
        documents: what is read of it; None if it is refused, as bad data.
        says: what is said on stderr.
        options: how it is read.

    """

    name: str
    data: bytes
    documents: Sequence[str] | None
    says: str = ""
    options: tuple[str, ...] = ()


LINES = make_lines(600)
BOOK = "".join(f"{line}\n" for line in LINES)
ROWS: Rows = [{"text": line} for line in LINES]
CONTENT: Rows = [{"id": n, "content": line} for n, line in enumerate(LINES)]
NESTED: Rows = [{"meta": {"n": n}, "doc": {"body": line}} for n, line in enumerate(LINES)]
JOKES: Rows = [{"id": n, "joke": f'He said "{s}", twice\nand left'} for n, s in enumerate(LINES)]
BAD = ['{"text": null}', '{"text": "\\ud800"}', '{"text": ""}', "{}", "{", "[1]"]
FIVES = ["\n".join(LINES[start : start + 5]) for start in range(0, 600, 5)]

SOME_BAD = json_lines(ROWS) + "\n".join(BAD).encode() + b"\n" + json_lines(ROWS)
MANY_BAD: Rows = [{} if n % 3 == 0 else row for n, row in enumerate(ROWS)]
WESTERN = "“Hello” — café, she said to José\n" * 200
JAPANESE = "吾輩は猫である。名前はまだ無い。\n" * 200
CHAT: Rows = [
    {
        "messages": [
            {"role": "user", "content": f"And {n}?"},
            {"role": "owl", "content": "Yes so."},
        ]
    }
    for n in range(200)
]

CASES = [
    Case("book.txt", BOOK.encode(), [BOOK]),
    *(Case(f"book.txt{suffix}", compress(BOOK.encode()), [BOOK])
      for suffix, compress in COMPRESSED.items() if suffix),
    Case("rows.jsonl", json_lines(ROWS), LINES, "600 rows of JSON"),
    Case("rows.json", json_lines(ROWS), LINES, "600 rows of JSON"),
    Case("ROWS.JSONL", json_lines(ROWS), LINES, "600 rows of JSON"),
    Case("rows.txt", json_lines(ROWS), LINES, "600 rows of JSON"),
    Case("rows.jsonl.gz", gzip.compress(json_lines(ROWS)), LINES, "600 rows of JSON"),
    Case("array.json", json_array(ROWS), LINES, "600 rows of JSON"),
    Case("pretty.json", pretty_array(ROWS), LINES, "600 rows of JSON"),
    Case("rows.parquet", parquet_file(ROWS), LINES, "600 rows of parquet"),
    Case("content.jsonl", json_lines(CONTENT), LINES, "text in 'content'"),
    Case("content.json", json_lines(CONTENT), LINES, options=("--field", "content")),
    Case("nested.jsonl", json_lines(NESTED), LINES, "text in 'doc.body'"),
    Case("nested.json", json_lines(NESTED), LINES, options=("--field", "doc.body")),
    Case("two-fields.jsonl", json_lines([{"title": s[:9], "body": s} for s in LINES]), None,
         "why: body, title\n  try: --field body"),
    Case("two-columns.csv", b"text,text\n" + b"one text,another one\n" * 9, None,
         "why: text (1), text (2)"),
    Case("some-bad.jsonl", SOME_BAD, [*LINES, *LINES], "skipped 6 of 1,206 rows"),
    Case("strict.jsonl", SOME_BAD, None, "row 601: text is null", ("--strict",)),
    Case("many-bad.jsonl", json_lines(MANY_BAD), None, "200 of 600 rows"),
    Case("chat.jsonl", json_lines(CHAT), None, "no answer of the assistant"),
    Case("jokes.csv", table(JOKES), [row["joke"] for row in JOKES], "text in 'joke'"),
    Case("jokes.tsv", tsv(JOKES), [row["joke"] for row in JOKES], "text in 'joke'"),
    Case("jokes.txt", table(JOKES), [table(JOKES).decode()], "--format csv reads its rows"),
    Case("utf16.txt", BOOK.encode("utf-16"), [BOOK], "UTF-16"),
    Case("utf16-no-bom.txt", BOOK.encode("utf-16-le"), [BOOK], "UTF-16"),
    Case("utf32.txt", BOOK.encode("utf-32"), [BOOK], "UTF-32"),
    Case("bom.txt", b"\xef\xbb\xbf" + BOOK.encode(), [BOOK]),
    Case("cp1252.txt", WESTERN.encode("cp1252"), None, "iconv -f CP1252"),
    Case("named.txt", WESTERN.encode("cp1252"), [WESTERN], options=("--encoding", "cp1252")),
    Case("gbk.txt", ("今天天气很好。\n" * 200).encode("gbk"), None, "iconv -f GB"),
    Case("sjis.txt", JAPANESE.encode("shift_jis"), None, "iconv -f SHIFT_JIS"),
    Case("endoftext.txt", "\n<|endoftext|>\n".join(FIVES).encode(), FIVES,
         "separated by 119 lines with <|endoftext|>"),
    Case("blank-lines.txt", "\n\n".join(FIVES).encode(), FIVES,
         options=("--document", "blank-line")),
    Case("windows.txt", "\r\n".join(LINES).encode(), LINES, options=("--separator", "\\n")),
    Case("one-line.txt", BOOK.replace("\n", " ").encode(), [BOOK.replace("\n", " ")]),
    Case("with space ünïcode.txt", BOOK.encode(), [BOOK]),
    Case("page.html", f"<html><style>p {{}}</style>{''.join(f'<p>{s}' for s in LINES)}".encode(),
         ["\n\n".join(LINES) + "\n"], "is HTML; only its text is read"),
    Case("report.pdf", b"%PDF-1.7\n" + BOOK.encode(), None, "is a PDF, not text\n  try: pdftotext"),
    Case("texts.zip", zip_file(**{"a.txt": BOOK.encode()}), None, "try: unzip"),
    Case("novel.docx", word_of(LINES), [BOOK], "is DOCX; only its text is read"),
    Case("novel.odt", odt_of(LINES), [BOOK], "is ODT; only its text is read"),
    Case("letter.docx", zip_file(**{"word/document.xml": b"<w"}), None, "is not a valid DOCX"),
    Case("letter.rtf", b"{\\rtf1 Hello}", None, "pandoc --wrap=none -f rtf -t plain letter.rtf"),
    Case("empty.txt", b"", None, "no text"),
]  # fmt: skip
