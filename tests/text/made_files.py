"""Files made at random in every format, encoding and compression, with what is in them."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from dataclasses import dataclass, field
from html import escape

import selectolax  # noqa: F401  (tests/missing_packages.py leaves the tests out without it)

from tests.text.cases import COMPRESSED, WORDS, parquet_file, zip_file
from tests.text.documents_of_offices import odt_of, word_of

PARTS = [
    *WORDS, *' \n\t,.;:"\'\\/{}[]<>&#|=-', '""', "\r\n", "\r", "\n\n", "é", "ñ", "“", "—", "日本語",
    "今天", "ру", "😀", "e\u0301", "\u2028", "\x85", "\xa0", "\ufeff", "\x1b[1m", "\x7f", "null",
    "</p>", "&amp;", "x<|endoftext|>", "PK\x03\x04", "text", "a" * 300,
]  # fmt: skip


@dataclass
class Made:
    """A file, and what it was made of.

    Attributes:
        texts: its documents.

    """

    data: bytes
    name: str
    kind: str
    texts: list[str]
    encoding: str = "utf-8"
    compression: str = ""
    options: dict[str, str] = field(default_factory=dict)


def make_text(rng: random.Random) -> str:
    parts = rng.choices(PARTS, k=rng.choice((2, 9, 60)))
    text = "".join(part if rng.random() < 0.5 else f"{part} " for part in parts)
    return text if rng.random() > 0.1 else " " * rng.randrange(3)  # few are empty


def write_rows(rng: random.Random, kind: str, texts: list[str], column: str, newline: str) -> str:
    """The texts as rows, each with a number beside it."""
    rows: list[dict[str, object]] = [{"n": n, column: text} for n, text in enumerate(texts)]
    if rng.random() < 0.3:
        rows = [dict(reversed(row.items())) for row in rows]
    ascii = rng.random() < 0.5
    match kind:
        case "lines":
            between = newline * rng.choice((1, 1, 2))
            written = between.join(json.dumps(row, ensure_ascii=ascii) for row in rows)
            return written + newline * rng.randrange(2)
        case "array":
            return json.dumps(rows, ensure_ascii=ascii)
        case "pretty array":
            return json.dumps(rows, indent=2, ensure_ascii=ascii).replace("\n", newline)
        case "pretty objects":
            each = [json.dumps(row, indent=1, ensure_ascii=ascii) for row in rows]
            return "\n".join(each).replace("\n", newline)
    out = io.StringIO(newline="")
    # Python's writer leaves a carriage return alone unquoted where that ends no line
    bare = newline == "\n" and any("\r" in text for text in texts)
    quoted = bare or rng.random() < 0.5
    writer = csv.DictWriter(
        out, list(rows[0]), delimiter="," if kind == "csv" else "\t", lineterminator=newline,
        quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL,
    )  # fmt: skip
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


OFFICE = {"docx": word_of, "odt": odt_of}
ROW_KINDS = ["lines", "array", "pretty array", "pretty objects", "csv", "tsv", "parquet"]
SUFFIX = {"lines": ".jsonl", "csv": ".csv", "tsv": ".tsv", "parquet": ".parquet"}
NAMED = ("cp1252", "gb18030", "shift_jis")  # encodings that have to be named
ENCODINGS = ["utf-8"] * 4 + ["utf-8-sig", "utf-16", "utf-32", *NAMED]


def make(rng: random.Random) -> Made:
    """A file that is whole."""
    texts = [make_text(rng) for _ in range(rng.choice((2, 5, 150)))]
    texts[rng.randrange(len(texts))] = "Words with spaces between"
    kind = rng.choice(["text", "text", "html", "epub", *OFFICE, *ROW_KINDS])
    match kind:
        case "text":
            made = make_plain(rng, texts)
        case "html":
            made = make_page(rng, texts)
        case "epub":
            made = make_book(rng, texts)
        case "docx" | "odt":
            made = make_document(rng, kind, texts)
        case _:
            made = make_rows(rng, kind, texts)
    made.compression = rng.choice(list(COMPRESSED))
    made.data = COMPRESSED[made.compression](made.data)
    made.name += rng.choice((made.compression, ""))
    return made


def encode(rng: random.Random, content: str) -> tuple[bytes, str]:
    """A text in an encoding that has all of its characters."""
    encoding = rng.choice(ENCODINGS)
    try:
        return content.encode(encoding), encoding
    except UnicodeEncodeError:
        return content.encode(), "utf-8"


def make_plain(rng: random.Random, texts: list[str]) -> Made:
    newline = rng.choice(("\n", "\r\n"))
    text = "Text: " + " ".join(texts).replace("\n", newline)
    data, encoding = encode(rng, text)
    made = Made(data, rng.choice(("made.txt", "made")), "text", [text], encoding)
    if encoding in NAMED:
        made.options["encoding"] = encoding
    if rng.random() < 0.3:
        made.options["format"] = "text"
    return made


def make_rows(rng: random.Random, kind: str, texts: list[str]) -> Made:
    column = rng.choice(("text", "text", "content", "the text"))
    own = SUFFIX.get(kind, ".json")
    suffix = rng.choice((own, own, ".txt", ""))
    kept = [text for text in texts if text.strip()]  # others are skipped
    made = Made(b"", f"made{suffix}", kind, kept)
    # a table without the column `text` is known by its suffix
    unknown = kind in {"csv", "tsv"} and suffix != own and column != "text"
    if unknown or rng.random() < 0.3:
        made.options["format"] = kind if kind in {"csv", "tsv", "parquet"} else "json"
    if rng.random() < 0.3:
        made.options["field"] = column
    if kind == "parquet":
        made.data = parquet_file([{"n": n, column: text} for n, text in enumerate(texts)])
        return made
    content = write_rows(rng, kind, texts, column, rng.choice(("\n", "\r\n")))
    made.data, made.encoding = encode(rng, content)
    if made.encoding in NAMED:
        made.options["encoding"] = made.encoding
    return made


def paragraphs(rng: random.Random, texts: list[str]) -> tuple[str, str]:
    """The texts as paragraphs of a page, and what is seen of them."""
    seen = [re.sub(r"[ \t\n\r\f\xa0]+", " ", text).strip(" ") for text in texts]
    end = rng.choice(("", "</p>", "</p>\r\n"))
    body = "".join(f"<p>{escape(text, quote=rng.random() < 0.5)}{end}" for text in texts)
    text = "\n\n".join(filter(None, seen)).rstrip()
    return body, f"{text}\n" if text else ""


def make_page(rng: random.Random, texts: list[str]) -> Made:
    """A page that says in which encoding it is."""
    body, text = paragraphs(rng, texts)
    page = f"<!DOCTYPE html><meta charset=utf-8>{body}"
    data, encoding = encode(rng, page)
    if encoding in {"cp1252", "gb18030"}:
        data = data.replace(b"=utf-8", f"='{encoding}'".encode(), 1)
    elif encoding == "shift_jis":  # browsers read it as cp932, where a few characters differ
        data, encoding = page.encode(), "utf-8"
    return Made(data, rng.choice(("made.html", "made.txt", "made")), "html", [text], encoding)


def make_book(rng: random.Random, texts: list[str]) -> Made:
    """A book of three chapters, which are in another order in the archive."""
    chapters = [paragraphs(rng, texts[n::3]) for n in range(3)]
    items = "".join(
        f'<item id="c{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(3)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(3))
    pages = {
        f"{n}.xhtml": f"<html><head><title/></head>{chapters[n][0]}</html>"
        for n in rng.sample(range(3), 3)
    }
    files = {
        "mimetype": "application/epub+zip",
        **pages,
        "book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
        "META-INF/container.xml": '<container><rootfile full-path="book.opf"/></container>',
    }
    data = zip_file(**{name: text.encode() for name, text in files.items()})
    text = "\n".join(seen for _, seen in chapters if seen)
    return Made(data, rng.choice(("made.epub", "made")), "epub", [text])


def make_document(rng: random.Random, kind: str, texts: list[str]) -> Made:
    """A document of Word or LibreOffice, whose XML has no control characters."""
    lines = [re.sub(r"[\s\x00-\x1f\xa0]+", " ", text).strip(" ") for text in texts]
    data = OFFICE[kind](lines)
    text = "\n".join(lines).strip("\n") + "\n"
    return Made(data, rng.choice((f"made.{kind}", "made")), kind, [text])


def separate(rng: random.Random, made: Made) -> None:
    """Has a plain text read as several documents, which never are only white space."""
    (text,) = made.texts
    separator = rng.choice(("line", "\n", "###", "said", "\n\n"))
    if separator == "line":
        made.options["document"] = "line"
        parts = text.split("\n")
        ended = [part.removesuffix("\r") for part in parts[:-1]] + parts[-1:]
    else:
        made.options["separator"] = separator
        between = re.escape(separator).replace("\\\n", "\r?\n") + "(?:\r?\n)?"
        ended = [re.sub(r"\r?\n\Z", "", part) for part in re.split(between, text)]
    made.texts = [part for part in ended if part.encode().strip()]
