"""Made files of every format, compression and encoding, whole and damaged, at random.

What is whole is read as it was written. What is damaged is read as far as it is whole, or refused
with one of our errors; rows are never lost without being counted. A few hundred with `make test`,
a minute of them with `make slow`, `make fuzz` for as long as one likes. A failure names its seed:

    FUZZ_SEED=123 python -m pytest tests/text/test_fuzz.py
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tfcli.errors import TfcliError
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import ReadingOptions

from .cases import COMPRESSED, WORDS
from .helpers import blocks_of, documents

QUICK = 250
SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))

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


SUFFIX = {"lines": ".jsonl", "csv": ".csv", "tsv": ".tsv", "parquet": ".parquet", "text": ".txt"}
FORMAT = {"csv": "csv", "tsv": "tsv", "parquet": "parquet", "text": "text"}
KINDS = ["text", "lines", "array", "pretty array", "pretty objects", "csv", "tsv", "parquet"]
ENCODINGS = ["utf-8"] * 4 + ["utf-8-sig", "utf-16", "utf-32", "cp1252", "gb18030", "shift_jis"]


def make(rng: random.Random) -> Made:
    """A file that is whole."""
    kind, newline = rng.choice(KINDS), rng.choice(("\n", "\r\n"))
    texts = [make_text(rng) for _ in range(rng.choice((2, 5, 150)))]
    texts[rng.randrange(len(texts))] = "Words with spaces between"
    column = rng.choice(("text", "text", "content", "the text"))
    suffix = rng.choice((SUFFIX.get(kind, ".json"), SUFFIX.get(kind, ".json"), ".txt", ""))
    made = Made(b"", f"made{suffix}", kind, [text for text in texts if text.encode().strip()])
    # a table without the column `text` is known by its suffix
    unknown = kind in {"csv", "tsv"} and suffix != SUFFIX[kind] and column != "text"
    if unknown or rng.random() < 0.3:
        made.options["format"] = FORMAT.get(kind, "json")
    if kind == "text":
        whole = "Text: " + " ".join(texts).replace("\n", newline)
        made.texts = [whole]
        content = whole
    elif kind == "parquet":
        rows = [{"n": n, column: text} for n, text in enumerate(texts)]
        out = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(rows), out)
        made.data = out.getvalue()
    else:
        content = write_rows(rng, kind, texts, column, newline)
    if kind != "text" and rng.random() < 0.3:
        made.options["field"] = column
    if kind != "parquet":
        made.encoding = rng.choice(ENCODINGS)
        try:
            made.data = content.encode(made.encoding)
        except UnicodeEncodeError:
            made.encoding = "utf-8"
            made.data = content.encode()
        if made.encoding in {"cp1252", "gb18030", "shift_jis"}:
            made.options["encoding"] = made.encoding
        elif kind == "text" and made.encoding == "utf-8":
            made.texts = [content.removeprefix("\ufeff")]
    made.compression = rng.choice(list(COMPRESSED))
    made.data = COMPRESSED[made.compression](made.data)
    made.name += rng.choice((made.compression, ""))
    return made


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


def read(folder: Path, made: Made, data: bytes) -> tuple[list[str], Reading] | TfcliError:
    """The documents of a file and what was found in it, or our error."""
    path = folder / made.name
    path.write_bytes(data)
    options = ReadingOptions(**made.options)  # type: ignore[arg-type]
    found = Reading()
    try:
        texts = [text.decode() for text in documents(read_chunks(path, options, reading=found))]
    except TfcliError as error:
        assert error.what
        assert "\n" not in error.what
        return error
    finally:
        path.unlink()
    assert all("\n" not in note for note in found.notes(path, options))
    return texts, found


def check_whole(folder: Path, rng: random.Random) -> None:
    made = make(rng)
    if made.kind == "text" and rng.random() < 0.5:
        separate(rng, made)
    result = read(folder, made, made.data)
    assert not isinstance(result, TfcliError), (result.what, result.why, made)
    assert result[0] == made.texts, made


def check_cut(folder: Path, rng: random.Random) -> None:
    """Only what ends where a row could end may be taken for whole."""
    made = make(rng)
    if len(made.data) < 40:
        return
    data = made.data[: rng.randrange(32, len(made.data))]
    result = read(folder, made, data)
    if isinstance(result, TfcliError):
        return
    assert made.compression == "", made
    texts, found = result
    if made.kind == "text":
        assert made.texts[0].startswith("".join(texts)), made
        return
    if found.format == "text":  # so little is left that nothing tells that it was more
        return
    assert made.kind not in {"array", "pretty array", "parquet"} or texts == made.texts, made
    assert found.rows
    if made.kind == "lines" and found.rows.bad > found.rows.empty:
        assert texts == made.texts[: len(texts)], made
        return
    # the last cell of a table may have become shorter
    assert texts[:-1] == made.texts[: len(texts[:-1])], made
    assert not texts or made.texts[len(texts) - 1].startswith(texts[-1].rstrip("\r")), made
    if made.encoding.startswith("utf-8") and made.kind == "lines":
        lines = data.decode(errors="replace").split("\n")
        left = [line for line in lines if line.strip("\ufeff\r")]
        assert found.rows.rows == len(left), made


def check_flipped(folder: Path, rng: random.Random) -> None:
    made = make(rng)
    data = bytearray(made.data)
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    result = read(folder, made, bytes(data))
    if isinstance(result, TfcliError):
        return
    texts, found = result
    if made.compression in {".gz", ".bz2", ".xz"} and found.compression:
        assert texts == made.texts, made
    elif made.kind == "lines" and found.rows and not made.compression:
        lost = len(made.texts) - len(texts)
        assert lost <= 0 or found.rows.bad, made


CHECKS: list[Callable[[Path, random.Random], None]] = [check_whole, check_cut, check_flipped]


def check(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    try:
        with blocks_of(rng.choice((16, 100, 1 << 20))):
            CHECKS[seed % len(CHECKS)](folder, rng)
    except Exception as error:
        error.add_note(f"FUZZ_SEED={seed}")
        raise


def test_made_files_are_read_as_written_or_refused(tmp_path: Path) -> None:
    seeds = [int(os.environ["FUZZ_SEED"])] if "FUZZ_SEED" in os.environ else range(QUICK)
    for seed in seeds:
        check(tmp_path, seed)


@pytest.mark.slow
def test_other_files_each_time(tmp_path: Path) -> None:
    first = time.time_ns()
    end = time.monotonic() + SECONDS
    tried = 0
    while time.monotonic() < end:
        check(tmp_path, first + tried)
        tried += 1
    print(f"{tried:,} files")
