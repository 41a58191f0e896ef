"""Text in any format is read in valid chunks of bounded size; other data is refused by name."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfcli.errors import DataError, NotFoundError, TfcliError
from tfcli.text.byte_streams import STDIN
from tfcli.text.chunks import BLOCK, Chunk, split_into_chunks
from tfcli.text.readers import read_chunks
from tfcli.text.reading_options import ReadingOptions
from tfcli.text.sources import find_sources

from .helpers import (
    any_text,
    blocks_of,
    documents,
    in_chunks,
    join,
    named_pipe,
    needs_fifo,
    standard_input,
    tight_text,
    zero_free_text,
)

BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files that every example of a test overwrites."""
    return tmp_path_factory.mktemp("scratch")


def read(folder: Path, data: bytes, name: str = "text.txt") -> list[Chunk]:
    path = folder / name
    path.write_bytes(data)
    return list(read_chunks(path))


def refused(folder: Path, data: bytes, name: str = "text.txt") -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, data, name)
    assert str(folder / name) in caught.value.what
    return caught.value


def assert_well_cut(chunks: list[Chunk], block: int) -> None:
    """Valid, not empty, of bounded size, and cut after a newline or else before a space."""
    assert all(0 < len(chunk.data) <= block for chunk in chunks)
    assert all(chunk.data.decode().encode() == chunk.data for chunk in chunks)
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True] * bool(chunks)
    for chunk, following in pairwise(chunks):
        after_newline = chunk.data.endswith(b"\n")
        before_space = b"\n" not in chunk.data and following.data.startswith(b" ")
        no_better_place = b"\n" not in chunk.data and b" " not in chunk.data[1:]
        assert after_newline or before_space or no_better_place


# --- plain text ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "Hello.\n",
        "no newline",
        "CRLF\r\nends\r\n",
        "old Mac\rends\r",
        "\n\n",
        "日本😀",
    ],
)
def test_plain_text_is_unchanged(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text.encode()) == [Chunk(text.encode(), last=True)]


def test_empty_file_has_no_document(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == []


def test_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    assert read(tmp_path, BOM + b"abc") == [Chunk(b"abc", last=True)]
    assert read(tmp_path, BOM) == []


def test_only_the_first_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    assert join(read(tmp_path, BOM + BOM + b"abc" + BOM)) == BOM + b"abc" + BOM


def test_byte_order_mark_before_a_long_word_is_dropped(tmp_path: Path) -> None:
    """The only place to cut the first block is right after the mark."""
    text = b" " + b"x" * (BLOCK + 10)
    chunks = read(tmp_path, BOM + text)
    assert join(chunks) == text
    assert_well_cut(chunks, BLOCK)


@given(text=tight_text, block=st.integers(8, 40))
@settings(max_examples=300, deadline=None)
def test_chunks_add_up_to_the_text(scratch: Path, text: str, block: int) -> None:
    with blocks_of(block):
        chunks = read(scratch, text.encode())
    assert join(chunks) == text.encode().removeprefix(BOM)
    assert_well_cut(chunks, block)


@given(document=tight_text, block=st.integers(8, 40))
@settings(max_examples=200, deadline=None)
def test_document_in_memory_is_cut_in_the_same_way(document: str, block: int) -> None:
    with blocks_of(block):
        chunks = list(split_into_chunks(document.encode()))
    assert join(chunks) == document.encode()
    assert_well_cut(chunks, block)


@needs_fifo
@given(text=tight_text, block=st.integers(8, 40), sizes=st.lists(st.integers(1, 50), max_size=6))
@settings(max_examples=60, deadline=None)
def test_cuts_do_not_depend_on_how_a_pipe_delivers(
    scratch: Path, text: str, block: int, sizes: list[int]
) -> None:
    parts = in_chunks(text.encode(), sizes)
    with blocks_of(block), named_pipe(scratch / "pipe", parts) as pipe:
        assert list(read_chunks(pipe)) == read(scratch, text.encode())


@needs_fifo
@given(unit=zero_free_text.filter(bool), sizes=st.lists(st.integers(1, BLOCK), max_size=4))
@settings(max_examples=8, deadline=None)
def test_megabytes_from_a_pipe_equal_those_from_a_file(
    scratch: Path, unit: str, sizes: list[int]
) -> None:
    data = unit.encode() * (2 * BLOCK // len(unit.encode()) + 7)
    with named_pipe(scratch / "pipe", in_chunks(data, sizes)) as pipe:
        piped = list(read_chunks(pipe))
    assert piped == read(scratch, data)
    assert join(piped) == data.removeprefix(BOM)
    assert_well_cut(piped, BLOCK)


@pytest.mark.parametrize("character", ["x", "é", "日", "😀"])
@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_line_of_megabytes_is_cut_between_characters(
    tmp_path: Path, character: str, shift: int
) -> None:
    """Without newlines and spaces, wherever the block ends."""
    data = b"-" * shift + character.encode() * (5 * BLOCK // 2 // len(character.encode()))
    chunks = read(tmp_path, data)
    assert join(chunks) == data
    assert_well_cut(chunks, BLOCK)
    assert all(len(chunk.data) > BLOCK - 4 for chunk in chunks[:-1])


def test_chunks_end_with_whole_lines(tmp_path: Path) -> None:
    line = "Il était une fois, à l'orée d'un bois…\r\n".encode()
    chunks = read(tmp_path, line * (3 * BLOCK // len(line)))
    assert len(chunks) > 1
    assert all(chunk.data.endswith(line) for chunk in chunks)


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
@pytest.mark.parametrize("end", [b"\n", b" ", b"x", "é".encode()])
def test_files_about_as_long_as_a_block_are_unchanged(
    tmp_path: Path, size: int, end: bytes
) -> None:
    data = b"x" * (size - len(end)) + end
    chunks = read(tmp_path, data)
    assert join(chunks) == data
    assert_well_cut(chunks, BLOCK)


# --- what is not text ---------------------------------------------------------------------------


INVALID = {
    "a byte that is never used": b"\xff",
    "a continuation without a beginning": b"\x80",
    "a beginning without a continuation": b"\xc3",
    "an overlong slash": b"\xc0\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "a character cut short": b"\xe6\x97",
}


@pytest.mark.parametrize("invalid", INVALID.values(), ids=INVALID.keys())
@pytest.mark.parametrize("before", [b"", b"x", "日本\n".encode(), BOM, BOM + b"x\n"])
@pytest.mark.parametrize("after", [b"", b"x", "\né".encode()])
def test_first_invalid_byte_is_named(
    tmp_path: Path, invalid: bytes, before: bytes, after: bytes
) -> None:
    error = refused(tmp_path, before + invalid + after)
    assert "not UTF-8 text" in error.what
    assert f"byte {len(before):,} (0x{invalid[0]:02x})" in (error.why or "")


@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("filler", [b"x", b"word ", b"line\n", "日".encode()])
@pytest.mark.parametrize("distance", [BLOCK - 4, BLOCK, 2 * BLOCK + 12345])
def test_invalid_byte_beyond_the_first_megabyte_is_named(
    tmp_path: Path, mark: bytes, filler: bytes, distance: int
) -> None:
    before = mark + filler * (distance // len(filler))
    error = refused(tmp_path, before + b"\xff" + filler * 9)
    assert f"byte {len(before):,} (0xff)" in (error.why or "")


@given(text=tight_text, block=st.integers(8, 40), data=st.data())
@settings(max_examples=200, deadline=None)
def test_invalid_byte_is_named_wherever_blocks_end(
    scratch: Path, text: str, block: int, data: st.DataObject
) -> None:
    at = len(text[: data.draw(st.integers(0, len(text)))].encode())
    with blocks_of(block):
        error = refused(scratch, text.encode()[:at] + b"\xf8" + text.encode()[at:])
    assert f"byte {at} (0xf8)" in (error.why or "")


@pytest.mark.parametrize("before", [b"", b"x", b"x" * (BLOCK - 5)])
def test_first_of_many_continuation_bytes_is_named(tmp_path: Path, before: bytes) -> None:
    error = refused(tmp_path, before + b"\x80" * BLOCK)
    assert f"byte {len(before):,} (0x80)" in (error.why or "")


def test_binary_file_is_called_binary(tmp_path: Path) -> None:
    error = refused(tmp_path, b"\x00\x01\xff\0\0\0\rdata")
    assert "binary" in error.what
    assert error.hint is None


def test_zero_bytes_are_no_text_in_an_encoding_of_single_bytes(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\x06Marta" + bytes(150) + b"\xf1")
    with pytest.raises(DataError, match="is a binary file"):
        list(read_chunks(path, ReadingOptions(encoding="cp1252")))


def test_many_zero_bytes_are_no_text_unless_the_encoding_is_named(tmp_path: Path) -> None:
    assert "binary" in refused(tmp_path, b"abc\0def").what
    options = ReadingOptions(encoding="utf-8")
    assert join(read_chunks(tmp_path / "text.txt", options)) == b"abc\0def"
    text = b"a line of text\n" * 1000 + b"\0"
    assert join(read(tmp_path, text)) == text


@pytest.mark.skipif(shutil.which("iconv") is None, reason="iconv is not installed")
@pytest.mark.parametrize("data", ["El niño salió. ¿Qué pasó? Él no dijo nada.\n".encode("cp1252")])
@pytest.mark.parametrize("name", ["my book.txt", "it's.txt", "-f.txt"])
def test_suggested_command_works(tmp_path: Path, data: bytes, name: str) -> None:
    """In a shell, whatever the name of the file, it converts it to text."""
    error = refused(tmp_path, data, name)
    subprocess.run(error.hint or "false", shell=True, cwd=tmp_path, check=True)
    assert (
        join(read_chunks(tmp_path / name.replace(".txt", "-utf8.txt")))
        == data.decode("cp1252").encode()
    )


# --- JSONL --------------------------------------------------------------------------------------


def test_each_row_is_a_document(tmp_path: Path) -> None:
    rows = '{"text": "one"}\n{"id": 7, "text": "zwei\\n"}\n{"text": "三"}'.encode()
    assert documents(read(tmp_path, rows, "rows.jsonl")) == [b"one", b"zwei\n", "三".encode()]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson"])
@given(texts=st.lists(any_text))
@settings(max_examples=60, deadline=None)
def test_rows_round_trip_any_text(scratch: Path, name: str, texts: list[str]) -> None:
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    assert documents(read(scratch, rows, name)) == [text.encode() for text in texts if text.strip()]


def test_blank_rows_and_byte_order_marks_are_skipped(tmp_path: Path) -> None:
    rows = BOM + b'\r\n{"text": "a"}\r\n\r\n   \n{"text": ""}\n\n{"text": "b"}\n'
    assert documents(read(tmp_path, rows, "rows.jsonl")) == [b"a", b"b"]


def test_byte_order_mark_inside_a_row_is_text(tmp_path: Path) -> None:
    row = b'{"text": "\\ufeffa"}'
    assert documents(read(tmp_path, row, "rows.jsonl")) == [BOM + b"a"]


def test_pair_of_escaped_surrogates_is_a_character(tmp_path: Path) -> None:
    row = b'{"text": "\\ud83d\\ude00"}'
    assert documents(read(tmp_path, row, "rows.jsonl")) == ["😀".encode()]


def test_long_row_is_split_into_chunks(tmp_path: Path) -> None:
    text = "many words " * (3 * BLOCK // 11)
    chunks = read(tmp_path, json.dumps({"text": text}).encode(), "rows.jsonl")
    assert len(chunks) > 1
    assert join(chunks) == text.encode()
    assert_well_cut(chunks, BLOCK)


BAD_JSON = {
    "cut short": b'{"text": "a',
    "no JSON": b"text: a",
    "two objects": b'{"text": "a"} {"text": "b"}',
    "a lone high surrogate": b'{"text": "\\ud800"}',
    "a lone low surrogate": b'{"text": "a\\udc00b"}',
    "not UTF-8": b'{"text": "caf\xe9"}',
    "surrogates as bytes": b'{"text": "\xed\xa0\x80"}',
    "too deep": b"[" * 100_000,
}
NO_TEXT = {
    "another key": b'{"txt": "a"}',
    "a number": b'{"text": 5}',
    "null": b'{"text": null}',
    "a list of texts": b'{"text": ["a"]}',
    "a list": b'["text"]',
    "a string": b'"text"',
    "a number alone": b"5",
    "null alone": b"null",
}


@pytest.mark.parametrize("row", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_row_that_is_not_json_is_named_by_its_number(tmp_path: Path, row: bytes) -> None:
    error = refused(tmp_path, b'{"text": "a"}\n\n' + row + b'\n{"text": "b"}\n', "rows.jsonl")
    assert "1 of 3 rows" in error.what or "is not UTF-8" in error.what
    assert "row 3: " in (error.why or "")


@pytest.mark.parametrize("row", NO_TEXT.values(), ids=NO_TEXT.keys())
def test_row_without_text_is_named_by_its_number(tmp_path: Path, row: bytes) -> None:
    error = refused(tmp_path, b'{"text": "a"}\n' + row, "rows.jsonl")
    assert "1 of 2 rows" in error.what
    assert "have no text" in error.what
    assert "row 2: " in (error.why or "")


def test_row_beyond_the_maximum_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfcli.text.row_formats.MAX_ROW", 30)
    fits, not_quite = (b'{"text": "%s"}' % (b"x" * size) for size in (17, 19))
    rows = fits + b"\n"
    assert documents(read(tmp_path, rows, "rows.jsonl")) == [b"x" * 17]
    assert "row 2" in refused(tmp_path, b'{"text": "a"}\n' + not_quite, "rows.jsonl").what


def test_rows_in_utf16_are_read(tmp_path: Path) -> None:
    rows = '{"text": "a"}\n{"text": "b"}\n'.encode("utf-16")
    assert documents(read(tmp_path, rows, "rows.jsonl")) == [b"a", b"b"]


# --- gzip ---------------------------------------------------------------------------------------


def test_compressed_text_is_read(tmp_path: Path) -> None:
    text = "Hello 日本\n".encode() * 200_000
    chunks = read(tmp_path, gzip.compress(text), "text.txt.gz")
    assert join(chunks) == text
    assert_well_cut(chunks, BLOCK)


def test_compressed_rows_are_read(tmp_path: Path) -> None:
    rows = gzip.compress(b'{"text": "a"}\n{"text": "b"}\n')
    assert documents(read(tmp_path, rows, "rows.jsonl.gz")) == [b"a", b"b"]


def test_byte_order_mark_in_compressed_text_is_dropped(tmp_path: Path) -> None:
    assert join(read(tmp_path, gzip.compress(BOM + b"abc"), "text.txt.gz")) == b"abc"


@pytest.mark.parametrize("keep", [1, 5, 10, 20, -9, -4, -1])
def test_truncated_compressed_file_is_refused(tmp_path: Path, keep: int) -> None:
    whole = gzip.compress(b"Hello, hello, hello.\n" * 100, mtime=0)
    error = refused(tmp_path, whole[:keep], "text.txt.gz")
    assert "gzip" in error.what


def test_plain_text_named_gz_is_refused(tmp_path: Path) -> None:
    assert "gzip" in refused(tmp_path, b"plain text", "text.txt.gz").what


@pytest.mark.parametrize("place", range(0, 60, 3))
def test_flipped_bit_in_a_compressed_file_is_refused_or_harmless(
    tmp_path: Path, place: int
) -> None:
    """The header holds a time and a name, which do not matter."""
    text = os.urandom(24).hex().encode()
    whole = bytearray(gzip.compress(text, mtime=0))
    whole[place % len(whole)] ^= 0x10
    try:
        assert join(read(tmp_path, bytes(whole), "text.txt.gz")) == text
    except DataError as error:
        assert "gzip" in error.what


# --- standard input and pipes -------------------------------------------------------------------


def test_standard_input_is_read_to_its_end() -> None:
    text = b"line of text\n" * 100_000
    with standard_input(in_chunks(text, [1, 10, 100_000])):
        chunks = list(read_chunks(STDIN))
    assert join(chunks) == text
    assert_well_cut(chunks, BLOCK)


@needs_fifo
def test_named_pipe_is_a_source(tmp_path: Path) -> None:
    with named_pipe(tmp_path / "pipe", [b"Hello, ", b"pipe"]) as pipe:
        (source,) = find_sources([str(pipe)]).files
        assert join(read_chunks(source)) == b"Hello, pipe"


def test_removed_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        list(read_chunks(tmp_path / "gone.txt"))
    assert "gone.txt" in caught.value.what


def test_folder_is_not_read_as_a_file(tmp_path: Path) -> None:
    with pytest.raises(TfcliError) as caught:
        list(read_chunks(tmp_path))
    assert str(tmp_path) in caught.value.what


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("named", ["cp1252", "utf-16", "gb18030"])
def test_a_byte_order_mark_overrides_the_encoding_that_was_named(
    tmp_path: Path, encoding: str, named: str
) -> None:
    """Of a folder's files, some need the option."""
    path = tmp_path / "a.txt"
    path.write_bytes("El niño salió.\n".encode(encoding))
    chunks = read_chunks(path, ReadingOptions(encoding=codecs.lookup(named).name))
    assert b"".join(chunk.data for chunk in chunks).decode() == "El niño salió.\n"
