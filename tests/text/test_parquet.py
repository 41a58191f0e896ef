"""Text in zstd and parquet files is read; incomplete files are refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tfcli.errors import DataError, UsageError
from tfcli.text.chunks import BLOCK
from tfcli.text.corpus import open_sources
from tfcli.text.readers import read_chunks
from tfcli.text.reading_options import ReadingOptions
from tfcli.text.sources import find_sources

from .helpers import any_text, documents, join


def zstd(data: bytes) -> bytes:
    return bytes(pyarrow.compress(data, codec="zstd", asbytes=True))


def read(folder: Path, name: str, data: bytes) -> list[bytes]:
    path = folder / name
    path.write_bytes(data)
    return documents(read_chunks(path))


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]], **settings: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), path, **settings)
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


# --- zstd ---------------------------------------------------------------------------------------


def test_zstd_text_is_read(tmp_path: Path) -> None:
    text = "Hello 日本\n".encode() * 200_000
    (tmp_path / "text.txt.zst").write_bytes(zstd(text))
    chunks = list(read_chunks(tmp_path / "text.txt.zst"))
    assert join(chunks) == text
    assert max(len(chunk.data) for chunk in chunks) <= BLOCK


def test_zstd_rows_are_read(tmp_path: Path) -> None:
    rows = zstd(b'{"text": "a"}\n{"text": "b"}\n')
    assert read(tmp_path, "rows.jsonl.zst", rows) == [b"a", b"b"]


def test_several_zstd_frames_are_one_text(tmp_path: Path) -> None:
    assert read(tmp_path, "a.zst", zstd(b"one ") + zstd(b"two")) == [b"one two"]


@pytest.mark.parametrize("keep", [1, 5, 10, 15, -9, -4, -1])
def test_truncated_zstd_file_is_refused(tmp_path: Path, keep: int) -> None:
    whole = zstd(os.urandom(40).hex().encode() * 100)
    with pytest.raises(DataError) as caught:
        read(tmp_path, "text.txt.zst", whole[:keep])
    assert "text.txt.zst is not a complete zstd file" in caught.value.what


@pytest.mark.parametrize("data", [b"plain text", b"\x28\xb5\x2f\xfd" + bytes(40)])
def test_anything_but_zstd_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DataError):
        read(tmp_path, "text.txt.zst", data)


# --- parquet ------------------------------------------------------------------------------------


@given(texts=st.lists(any_text, max_size=20), group=st.integers(1, 8))
def test_each_row_is_a_document(scratch: Path, texts: list[str], group: int) -> None:
    columns = {"text": pyarrow.array(texts, pyarrow.string())}
    path = write_parquet(scratch / "rows.parquet", columns, row_group_size=group)
    assert documents(read_chunks(path)) == [text.encode() for text in texts if text.strip()]


def test_a_null_is_a_row_without_text(tmp_path: Path) -> None:
    texts = ["a text"] * 299 + [None]
    path = write_parquet(tmp_path / "a.parquet", {"text": texts})
    assert documents(read_chunks(path)) == [b"a text"] * 299
    with pytest.raises(DataError) as caught:
        list(read_chunks(path, ReadingOptions(strict=True)))
    assert "row 300: text is null" in (caught.value.why or "")


def test_column_can_be_named(tmp_path: Path) -> None:
    columns: dict[str, Sequence[Any]] = {"a": ["x"], "b": [{"c": "y"}]}
    path = write_parquet(tmp_path / "rows", columns)  # known by its content
    assert documents(read_chunks(path, ReadingOptions(field="a"))) == [b"x"]
    assert documents(read_chunks(path, ReadingOptions(field="b.c"))) == [b"y"]
    with pytest.raises(DataError) as caught:
        list(read_chunks(path, ReadingOptions(field="d")))
    assert "has no column d" in caught.value.what


def test_column_named_text_is_read(tmp_path: Path) -> None:
    columns = {"title": ["x", "y"], "text": ["one", "two"], "url": ["u", "v"]}
    assert documents(read_chunks(write_parquet(tmp_path / "a.parquet", columns))) == [
        b"one",
        b"two",
    ]


@pytest.mark.parametrize("kind", [pyarrow.large_string(), pyarrow.string_view()])
def test_only_text_column_is_read(tmp_path: Path, kind: Any) -> None:
    columns = {"id": [1, 2], "story": pyarrow.array(["one", "two"], kind)}
    path = write_parquet(tmp_path / "a.parquet", columns)
    assert documents(read_chunks(path)) == [b"one", b"two"]


def test_dictionary_encoded_column_is_text(tmp_path: Path) -> None:
    column = pyarrow.array(["one", "two", "one"]).dictionary_encode()
    path = write_parquet(tmp_path / "a.parquet", {"story": column})
    assert documents(read_chunks(path)) == [b"one", b"two", b"one"]


@pytest.mark.parametrize(
    "columns", [{"a": ["x"], "b": ["y"]}, {"a": [1]}, {"b": ["x"], "c": ["y"]}]
)
def test_ambiguous_text_column_is_refused_and_columns_are_named(
    tmp_path: Path, columns: dict[str, Any]
) -> None:
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError) as caught:
        list(read_chunks(path))
    assert "a.parquet" in caught.value.what
    assert all(name in (caught.value.why or "") for name in columns)


def test_long_row_is_split_into_chunks(tmp_path: Path) -> None:
    text = "a line of text\n" * 200_000
    chunks = list(read_chunks(write_parquet(tmp_path / "a.parquet", {"text": [text, "b"]})))
    assert documents(chunks) == [text.encode(), b"b"]
    assert max(len(chunk.data) for chunk in chunks) <= BLOCK


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_parquet_file_is_refused(tmp_path: Path, part: float) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"text": [os.urandom(9).hex()] * 999})
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(DataError) as caught:
        list(read_chunks(path))
    assert "a.parquet is not a complete parquet file" in caught.value.what


@pytest.mark.parametrize("place", range(0, 1500, 60))
def test_changed_byte_is_refused_or_leaves_text(tmp_path: Path, place: int) -> None:
    texts = [f"{number} " + os.urandom(9).hex() for number in range(40)]
    path = write_parquet(tmp_path / "a.parquet", {"text": texts}, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 0x55
    path.write_bytes(data)
    try:
        for chunk in read_chunks(path):
            chunk.data.decode()
    except DataError as error:
        assert "a.parquet" in error.what


# --- in a folder, and without the extra ---------------------------------------------------------


def test_zstd_and_parquet_files_are_found_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt.zst").write_bytes(zstd(b"text"))
    (folder / "b.txt.zst").write_bytes(zstd(bytes(100)))
    write_parquet(folder / "c.parquet", {"text": ["a"]})
    (folder / "d.parquet").write_bytes(b"no parquet")
    corpus = open_sources(find_sources([str(folder)]), cache=tmp_path / "cache")
    assert [path.name for path in corpus.sources] == ["a.txt.zst", "c.parquet"]
    assert all(name in corpus.notes[-1] for name in ("b.txt.zst", "d.parquet"))


@pytest.mark.parametrize("name", ["a.txt.zst", "a.parquet"])
def test_missing_pyarrow_is_named_with_a_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_bytes(b"PAR1" if "parquet" in name else zstd(b"text"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # Python's own way to have it missing
    with pytest.raises(UsageError) as caught:
        list(read_chunks(tmp_path / name))
    assert name in caught.value.what
    assert caught.value.hint == 'pip install "tfcli[data]"'
