"""Text in any container comes out in pieces: valid, bounded, adding up; other data is named."""

from __future__ import annotations

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
from tfcli.text.readers import BLOCK, STDIN, Chunk, find_sources, read_chunks, split_into_chunks

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
)

BOM = b"\xef\xbb\xbf"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files that every example of a test writes anew."""
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


def assert_well_cut(pieces: list[Chunk], block: int) -> None:
    """Bounded, valid, none empty, one end; cut after a newline, else before a space."""
    assert all(0 < len(piece.data) <= block for piece in pieces)
    assert all(piece.data.decode().encode() == piece.data for piece in pieces)
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True] * bool(pieces)
    for piece, following in pairwise(pieces):
        after_newline = piece.data.endswith(b"\n")
        before_space = b"\n" not in piece.data and following.data.startswith(b" ")
        no_better_place = b"\n" not in piece.data and b" " not in piece.data[1:]
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
        "\0 NUL \0\0",
        "\n\n",
        "日本😀",
    ],
)
def test_plain_text_comes_out_as_it_is(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text.encode()) == [Chunk(text.encode(), last=True)]


def test_an_empty_file_is_no_document(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == []


def test_a_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, BOM + b"abc") == [Chunk(b"abc", last=True)]
    assert read(tmp_path, BOM) == []


def test_only_the_first_byte_order_mark_is_left_out(tmp_path: Path) -> None:
    assert join(read(tmp_path, BOM + BOM + b"abc" + BOM)) == BOM + b"abc" + BOM


def test_a_byte_order_mark_can_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(BOM + b"abc")
    assert join(read_chunks(path, keep_byte_order_mark=True)) == BOM + b"abc"


def test_a_byte_order_mark_before_a_long_word(tmp_path: Path) -> None:
    """The only place to cut the first block is right behind the mark."""
    text = b" " + b"x" * (BLOCK + 10)
    pieces = read(tmp_path, BOM + text)
    assert join(pieces) == text
    assert_well_cut(pieces, BLOCK)


@given(text=tight_text, block=st.integers(8, 40))
@settings(max_examples=300, deadline=None)
def test_pieces_add_up_to_any_text(scratch: Path, text: str, block: int) -> None:
    with blocks_of(block):
        pieces = read(scratch, text.encode())
    assert join(pieces) == text.encode().removeprefix(BOM)
    assert_well_cut(pieces, block)


@given(document=tight_text, block=st.integers(8, 40))
@settings(max_examples=200, deadline=None)
def test_a_document_in_memory_is_cut_alike(document: str, block: int) -> None:
    with blocks_of(block):
        pieces = list(split_into_chunks(document.encode()))
    assert join(pieces) == document.encode()
    assert_well_cut(pieces, block)


@needs_fifo
@given(text=tight_text, block=st.integers(8, 40), sizes=st.lists(st.integers(1, 50), max_size=6))
@settings(max_examples=60, deadline=None)
def test_the_cuts_do_not_depend_on_how_a_pipe_delivers(
    scratch: Path, text: str, block: int, sizes: list[int]
) -> None:
    chunks = in_chunks(text.encode(), sizes)
    with blocks_of(block), named_pipe(scratch / "pipe", chunks) as pipe:
        assert list(read_chunks(pipe)) == read(scratch, text.encode())


@needs_fifo
@given(unit=any_text.filter(bool), sizes=st.lists(st.integers(1, BLOCK), max_size=4))
@settings(max_examples=8, deadline=None)
def test_megabytes_through_a_pipe_are_those_of_the_file(
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
def test_one_line_of_megabytes(tmp_path: Path, character: str, shift: int) -> None:
    """No newline, no space: cut between two characters, wherever the block ends."""
    data = b"-" * shift + character.encode() * (5 * BLOCK // 2 // len(character.encode()))
    pieces = read(tmp_path, data)
    assert join(pieces) == data
    assert_well_cut(pieces, BLOCK)
    assert all(len(piece.data) > BLOCK - 4 for piece in pieces[:-1])


def test_lines_are_kept_whole(tmp_path: Path) -> None:
    line = "Il était une fois, à l'orée d'un bois…\r\n".encode()
    pieces = read(tmp_path, line * (3 * BLOCK // len(line)))
    assert len(pieces) > 1
    assert all(piece.data.endswith(line) for piece in pieces)


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
@pytest.mark.parametrize("end", [b"\n", b" ", b"x", "é".encode()])
def test_files_about_as_long_as_a_block(tmp_path: Path, size: int, end: bytes) -> None:
    data = b"x" * (size - len(end)) + end
    pieces = read(tmp_path, data)
    assert join(pieces) == data
    assert_well_cut(pieces, BLOCK)


# --- what is no text ----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_named_with_a_way_to_convert_it(tmp_path: Path, encoding: str) -> None:
    error = refused(tmp_path, "\ufeffHello".encode(encoding))
    assert "UTF-16" in error.what
    assert "iconv -f UTF-16 -t UTF-8" in (error.hint or "")


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
def test_the_first_invalid_byte_is_named(
    tmp_path: Path, invalid: bytes, before: bytes, after: bytes
) -> None:
    error = refused(tmp_path, before + invalid + after)
    assert "not UTF-8 text" in error.what
    assert f"byte {len(before):,} (0x{invalid[0]:02x})" in (error.why or "")


@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("filler", [b"x", b"word ", b"line\n", "日".encode()])
@pytest.mark.parametrize("distance", [BLOCK - 4, BLOCK, 2 * BLOCK + 12345])
def test_an_invalid_byte_beyond_the_first_megabyte_is_named(
    tmp_path: Path, mark: bytes, filler: bytes, distance: int
) -> None:
    before = mark + filler * (distance // len(filler))
    error = refused(tmp_path, before + b"\xff" + filler * 9)
    assert f"byte {len(before):,} (0xff)" in (error.why or "")


@given(text=tight_text, block=st.integers(8, 40), data=st.data())
@settings(max_examples=200, deadline=None)
def test_an_invalid_byte_is_named_wherever_blocks_end(
    scratch: Path, text: str, block: int, data: st.DataObject
) -> None:
    text = text.replace("\0", "")
    at = len(text[: data.draw(st.integers(0, len(text)))].encode())
    with blocks_of(block):
        error = refused(scratch, text.encode()[:at] + b"\xf8" + text.encode()[at:])
    assert f"byte {at} (0xf8)" in (error.why or "")


@pytest.mark.parametrize("before", [b"", b"x", b"x" * (BLOCK - 5)])
def test_a_run_of_continuation_bytes_is_named_by_its_first(tmp_path: Path, before: bytes) -> None:
    error = refused(tmp_path, before + b"\x80" * BLOCK)
    assert f"byte {len(before):,} (0x80)" in (error.why or "")


def test_a_binary_file_is_called_so(tmp_path: Path) -> None:
    error = refused(tmp_path, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert "binary" in error.what
    assert error.hint is None


@pytest.mark.skipif(shutil.which("iconv") is None, reason="there is no iconv")
@pytest.mark.parametrize("data", [b"caf\xe9\n", "\ufeffHello".encode("utf-16-le")])
@pytest.mark.parametrize("name", ["my book.txt", "it's.txt", "-f.txt"])
def test_the_command_that_is_offered_works(tmp_path: Path, data: bytes, name: str) -> None:
    """In a shell, whatever the name of the file, it makes text of it."""
    error = refused(tmp_path, data, name)
    subprocess.run(error.hint or "false", shell=True, cwd=tmp_path, check=True)
    assert "\ufffd" not in join(read_chunks(tmp_path / "utf8.txt")).decode()


# --- JSONL --------------------------------------------------------------------------------------


def test_a_row_is_a_document(tmp_path: Path) -> None:
    rows = '{"text": "one"}\n{"id": 7, "text": "zwei\\n"}\n{"text": "三"}'.encode()
    assert documents(read(tmp_path, rows, "rows.jsonl")) == [b"one", b"zwei\n", "三".encode()]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.ndjson"])
@given(texts=st.lists(any_text))
@settings(max_examples=60, deadline=None)
def test_rows_give_back_any_texts(scratch: Path, name: str, texts: list[str]) -> None:
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    assert documents(read(scratch, rows, name)) == [text.encode() for text in texts if text]


def test_blank_rows_marks_and_crlf_are_no_rows(tmp_path: Path) -> None:
    rows = BOM + b'\r\n{"text": "a"}\r\n\r\n   \n{"text": ""}\n\n{"text": "b"}\n'
    assert documents(read(tmp_path, rows, "rows.jsonl")) == [b"a", b"b"]


def test_a_byte_order_mark_inside_a_row_is_text(tmp_path: Path) -> None:
    row = b'{"text": "\\ufeffa"}'
    assert documents(read(tmp_path, row, "rows.jsonl")) == [BOM + b"a"]


def test_a_pair_of_escaped_surrogates_is_a_character(tmp_path: Path) -> None:
    row = b'{"text": "\\ud83d\\ude00"}'
    assert documents(read(tmp_path, row, "rows.jsonl")) == ["😀".encode()]


def test_a_long_row_comes_in_pieces(tmp_path: Path) -> None:
    text = "many words " * (3 * BLOCK // 11)
    pieces = read(tmp_path, json.dumps({"text": text}).encode(), "rows.jsonl")
    assert len(pieces) > 1
    assert join(pieces) == text.encode()
    assert_well_cut(pieces, BLOCK)


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
def test_a_row_that_is_no_json_is_named_by_its_number(tmp_path: Path, row: bytes) -> None:
    error = refused(tmp_path, b'{"text": "a"}\n\n' + row + b'\n{"text": "b"}\n', "rows.jsonl")
    assert "row 3 of" in error.what
    assert "JSON" in error.what
    assert error.why


@pytest.mark.parametrize("row", NO_TEXT.values(), ids=NO_TEXT.keys())
def test_a_row_without_text_is_named_by_its_number(tmp_path: Path, row: bytes) -> None:
    error = refused(tmp_path, b'{"text": "a"}\n' + row, "rows.jsonl")
    assert "row 2 of" in error.what
    assert "no text" in error.what
    assert '{"text": "..."}' in (error.why or "")


def test_a_row_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfcli.text.readers.MAX_ROW", 30)
    fits, not_quite = (b'{"text": "%s"}' % (b"x" * size) for size in (17, 19))
    rows = fits + b"\n"
    assert documents(read(tmp_path, rows, "rows.jsonl")) == [b"x" * 17]
    assert "row 2" in refused(tmp_path, b'{"text": "a"}\n' + not_quite, "rows.jsonl").what


def test_rows_in_utf16_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, '{"text": "a"}\n{"text": "b"}\n'.encode("utf-16"), "rows.jsonl")


# --- gzip ---------------------------------------------------------------------------------------


def test_compressed_text_is_text(tmp_path: Path) -> None:
    text = "Hello 日本\n".encode() * 200_000
    pieces = read(tmp_path, gzip.compress(text), "text.txt.gz")
    assert join(pieces) == text
    assert_well_cut(pieces, BLOCK)


def test_compressed_rows_are_rows(tmp_path: Path) -> None:
    rows = gzip.compress(b'{"text": "a"}\n{"text": "b"}\n')
    assert documents(read(tmp_path, rows, "rows.jsonl.gz")) == [b"a", b"b"]


def test_a_byte_order_mark_in_compressed_text_is_left_out(tmp_path: Path) -> None:
    assert join(read(tmp_path, gzip.compress(BOM + b"abc"), "text.txt.gz")) == b"abc"


@pytest.mark.parametrize("keep", [1, 5, 10, 20, -9, -4, -1])
def test_a_compressed_file_cut_short_is_refused(tmp_path: Path, keep: int) -> None:
    whole = gzip.compress(b"Hello, hello, hello.\n" * 100, mtime=0)
    error = refused(tmp_path, whole[:keep], "text.txt.gz")
    assert "gzip" in error.what


def test_what_is_not_compressed_is_no_gzip(tmp_path: Path) -> None:
    assert "gzip" in refused(tmp_path, b"plain text", "text.txt.gz").what


@pytest.mark.parametrize("place", range(0, 60, 3))
def test_a_changed_bit_in_a_compressed_file_is_refused_or_harmless(
    tmp_path: Path, place: int
) -> None:
    """Its header holds a time and a name, which do not matter."""
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
        pieces = list(read_chunks(STDIN))
    assert join(pieces) == text
    assert_well_cut(pieces, BLOCK)


@needs_fifo
def test_a_named_pipe_is_a_source(tmp_path: Path) -> None:
    with named_pipe(tmp_path / "pipe", [b"Hello, ", b"pipe"]) as pipe:
        (source,) = find_sources([str(pipe)]).files
        assert join(read_chunks(source)) == b"Hello, pipe"


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        list(read_chunks(tmp_path / "gone.txt"))
    assert "gone.txt" in caught.value.what


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(TfcliError) as caught:
        list(read_chunks(tmp_path))
    assert str(tmp_path) in caught.value.what


# --- which files --------------------------------------------------------------------------------


def make(folder: Path, *names: str, data: bytes = b"text\n") -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return paths


def find(*arguments: Path | str) -> list[Path]:
    return list(find_sources([str(argument) for argument in arguments]).files)


def test_files_keep_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    b, a = make(tmp_path, "b.txt", "a.txt")
    assert find(b, a, b) == [b, a, b]


def test_a_dash_is_standard_input() -> None:
    assert find("-") == [STDIN]


def test_a_file_that_is_called_dash_can_be_named_by_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "-")
    monkeypatch.chdir(tmp_path)
    with standard_input([b"not this"]):
        assert join(read_chunks(find("./-")[0])) == b"text\n"


def test_a_folder_is_read_whole_in_the_order_of_its_paths(tmp_path: Path) -> None:
    paths = make(tmp_path, "b.txt", "a/z.txt", "a/b/c.md", "a.py", "Z")
    assert find(tmp_path) == sorted(paths)


def test_hidden_files_and_folders_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    (seen,) = make(tmp_path, "seen.txt")
    make(tmp_path, ".hidden", ".git/config", "a/.cache/b.txt")
    sources = find_sources([str(tmp_path)])
    assert (sources.files, sources.skipped) == ((seen,), ())


def test_a_hidden_folder_can_be_named_outright(tmp_path: Path) -> None:
    paths = make(tmp_path, ".notes/a.txt")
    assert find(tmp_path / ".notes") == paths
    assert find(tmp_path / ".notes" / "a.txt") == paths


STRAY = {
    "an image": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "NUL in ASCII": b"abc\0def",
    "UTF-16": "Hello".encode("utf-16"),
    "Latin-1": b"caf\xe9 au lait",
    "Latin-1, the last character": b"caf\xe9",
    "one byte": b"\xff",
    "a long file in Latin-1": b"caf\xe9 " * 5000,
}


@pytest.mark.parametrize("data", STRAY.values(), ids=STRAY.keys())
def test_what_is_no_text_in_a_folder_is_skipped_and_reported(tmp_path: Path, data: bytes) -> None:
    (text,) = make(tmp_path, "text.txt")
    (stray,) = make(tmp_path, "stray", data=data)
    sources = find_sources([str(tmp_path)])
    assert (sources.files, sources.skipped) == ((text,), (stray,))


@pytest.mark.parametrize("data", STRAY.values(), ids=STRAY.keys())
def test_a_file_named_outright_is_never_skipped(tmp_path: Path, data: bytes) -> None:
    (stray,) = make(tmp_path, "stray", data=data)
    assert find(stray) == [stray]


@given(length=st.integers(8180, 8200), character=st.sampled_from("é日😀"))
@settings(max_examples=30, deadline=None)
def test_text_in_a_folder_is_text_wherever_its_characters_stand(
    scratch: Path, length: int, character: str
) -> None:
    folder = scratch / "folder"
    paths = make(folder, "text.txt", data=b"x" * length + character.encode() * 10)
    assert find(folder) == paths


def test_compressed_files_in_a_folder_are_judged_by_what_is_in_them(tmp_path: Path) -> None:
    (text,) = make(tmp_path, "a.txt.gz", data=gzip.compress(b"text"))
    (image,) = make(tmp_path, "b.gz", data=gzip.compress(b"\0\1\2"))
    (torn,) = make(tmp_path, "c.gz", data=gzip.compress(b"text" * 99)[:-12])
    (plain,) = make(tmp_path, "d.gz", data=b"no gzip")
    sources = find_sources([str(tmp_path)])
    assert (sources.files, sources.skipped) == ((text,), (image, torn, plain))


def test_a_folder_without_files_is_named(tmp_path: Path) -> None:
    make(tmp_path, ".hidden")
    with pytest.raises(NotFoundError) as caught:
        find(tmp_path)
    assert str(tmp_path) in caught.value.what


def test_a_folder_without_text_is_bad_data(tmp_path: Path) -> None:
    make(tmp_path, "a.png", data=b"\0")
    with pytest.raises(DataError) as caught:
        find(tmp_path)
    assert "a.png" in (caught.value.why or "")


def test_a_pattern_finds_files_in_order(tmp_path: Path) -> None:
    b, a, deep = make(tmp_path, "b.txt", "a.txt", "folder.txt/c.txt")
    make(tmp_path, "other.md")
    assert find(f"{tmp_path}/*.txt") == [a, b]
    assert find(f"{tmp_path}/**/*.txt") == [a, b, deep]


def test_a_file_whose_name_is_a_pattern_is_found(tmp_path: Path) -> None:
    (literal,) = make(tmp_path, "draft [1].txt")
    make(tmp_path, "draft 1.txt")
    assert find(literal) == [literal]


def test_a_name_that_is_nearly_right_is_offered(tmp_path: Path) -> None:
    make(tmp_path, "shakespeare.txt", "image.png")
    with pytest.raises(NotFoundError) as caught:
        find(tmp_path / "shakespear.txt")
    assert "shakespear.txt" in caught.value.what
    assert "shakespeare.txt" in (caught.value.hint or "")


def test_a_name_like_no_other_gets_no_hint(tmp_path: Path) -> None:
    make(tmp_path, "shakespeare.txt")
    for missing in (tmp_path / "zzz", tmp_path / "no folder" / "shakespeare.txt"):
        with pytest.raises(NotFoundError) as caught:
            find(missing)
        assert caught.value.hint is None


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    make(tmp_path, "a.md")
    with pytest.raises(NotFoundError) as caught:
        find(f"{tmp_path}/*.txt")
    assert "*.txt" in caught.value.what


def test_nothing_in_the_place_of_a_file_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from `"$BOOK"` in a shell where BOOK is not set: not all of the current folder."""
    make(tmp_path, "private.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError):
        find("")


def test_a_sentence_in_the_place_of_a_file_is_no_file() -> None:
    """Longer than any name may be."""
    with pytest.raises(NotFoundError):
        find("Once upon a time " * 20)
