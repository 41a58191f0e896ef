"""Files written atomically, JSON written and read, lines appended."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files.faults import fails_with, faulty
from tfcli.errors import DamagedError, DataError, InputOutputError, NotFoundError
from tfcli.files import (
    append_line,
    new_file,
    new_folder,
    read_checked_json,
    read_json,
    store_by_content,
    to_json,
    write_checked_json,
    write_file,
    write_json,
)

TEXT = st.text(st.characters(codec="utf-8"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(old=st.binary(), new=st.binary())
@settings(max_examples=30)
def test_writing_replaces_the_whole_file(tmp_path: Path, old: bytes, new: bytes) -> None:
    write_file(tmp_path / "file", old)
    write_file(tmp_path / "file", new)
    assert (tmp_path / "file").read_bytes() == new


def test_writer_counts_and_hashes_every_chunk(tmp_path: Path) -> None:
    numbers = array("H", [1, 2, 3])
    with new_file(tmp_path / "file") as file:
        file.write(b"one ")
        file.write(b"")
        file.write(memoryview(numbers))
    whole = (tmp_path / "file").read_bytes()
    assert whole == b"one " + numbers.tobytes()
    assert file.bytes == len(whole)
    assert file.sha256 == hashlib.sha256(whole).hexdigest()


def test_missing_parent_folders_are_created(tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "b" / "file", b"x")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x"


def test_file_appears_only_when_complete(tmp_path: Path) -> None:
    with new_file(tmp_path / "file") as file:
        file.write(b"half")
        assert not (tmp_path / "file").exists()
        assert len(list(tmp_path.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_error_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"old")
    with pytest.raises(ZeroDivisionError), new_file(tmp_path / "file") as file:
        file.write(b"new")
        raise ZeroDivisionError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@given(chunks=st.lists(st.binary()))
@settings(max_examples=30)
def test_stream_is_stored_under_its_hash(tmp_path: Path, chunks: list[bytes]) -> None:
    path = store_by_content(tmp_path / "store", chunks, suffix=".txt")
    whole = b"".join(chunks)
    assert path.name == hashlib.sha256(whole).hexdigest()[:32] + ".txt"
    assert path.read_bytes() == whole
    assert store_by_content(tmp_path / "store", [whole], suffix=".txt") == path


def test_interrupted_stream_leaves_nothing(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store_by_content(tmp_path / "store", breaking(), suffix="")
    assert list((tmp_path / "store").iterdir()) == []


def make_file(place: Path) -> Path:
    write_file(place, b"x")
    return place


def make_folder(place: Path) -> Path:
    with new_folder(place) as folder:
        folder.write("file", b"x")
    return place


def make_file_in_folder(place: Path) -> Path:
    return make_folder(place) / "file"


def make_log(place: Path) -> Path:
    append_line(place, b"x")
    return place


def make_stored(place: Path) -> Path:
    return store_by_content(place, [b"x"], suffix="")


@pytest.mark.skipif(os.name == "nt", reason="no umask")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize(
    ("make", "mode"),
    [
        (make_file, 0o666),
        (make_folder, 0o777),
        (make_file_in_folder, 0o666),
        (make_log, 0o666),
        (make_stored, 0o666),
    ],
)
def test_umask_sets_the_permissions(
    tmp_path: Path, make: Callable[[Path], Path], mode: int, umask: int
) -> None:
    before = os.umask(umask)
    try:
        path = make(tmp_path / "place")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode & ~umask


@given(value=st.dictionaries(TEXT, JSON_VALUES))
@settings(max_examples=30)
def test_json_round_trips(tmp_path: Path, value: dict[str, Any]) -> None:
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert json.loads((tmp_path / "value.json").read_text("utf-8")) == value


def test_json_can_hold_a_file_name_that_is_not_utf_8(tmp_path: Path) -> None:
    value = {"source": os.fsdecode(b"caf\xe9.txt")}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


def test_json_is_indented_and_not_escaped() -> None:
    assert to_json({"name": "José", "b": [1]}).decode() == (
        '{\n  "name": "José",\n  "b": [\n    1\n  ]\n}\n'
    )


DAMAGED_JSON = {
    "nothing": b"",
    "half an object": b'{"a": ',
    "two objects": b"{}{}",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "deep nesting": b"[" * 100_000,
    "deep nesting of objects": b'{"a":' * 100_000,
    "10,000 digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "half a surrogate pair as bytes": b'{"a": "\xed\xa0\x80"}',
}


@pytest.mark.parametrize("data", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_anything_but_a_json_object_in_utf_8_is_damage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "value.json").write_bytes(data)
    with pytest.raises(DamagedError, match=r"value\.json"):
        read_json(tmp_path / "value.json")


@given(data=st.binary())
def test_random_bytes_are_damage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "value.json").write_bytes(b"\x01" + data)
    with pytest.raises(DamagedError):
        read_json(tmp_path / "value.json")


def test_missing_json_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"value\.json"):
        read_json(tmp_path / "value.json")


def test_unreadable_json_raises_our_own_error(tmp_path: Path) -> None:
    loop = tmp_path / "loop.json"
    loop.symlink_to(loop)
    with pytest.raises(InputOutputError, match=r"loop\.json"):
        read_json(loop)


def schema_1(**more: object) -> dict[str, Any]:
    return {"schema": 1, **more}


@given(value=st.dictionaries(TEXT.filter(lambda key: key not in {"schema", "sha256"}), JSON_VALUES))
@settings(max_examples=30)
def test_checked_json_round_trips(tmp_path: Path, value: dict[str, Any]) -> None:
    write_checked_json(tmp_path / "value.json", schema_1(**value))
    assert read_checked_json(tmp_path / "value.json", schema=1) == schema_1(**value)


def test_every_flipped_bit_of_checked_json_is_detected_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    value = schema_1(rate=1e-6, name="é", items=[0, -1.5, None, True], nested={"a": ""})
    write_checked_json(path, value)
    whole = path.read_bytes()
    for position in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[position] ^= 1 << bit
            path.unlink()  # as a new file: ext4 flushes one that is overwritten
            path.write_bytes(changed)
            with suppress(DataError):
                assert read_checked_json(path, schema=1) == value


def test_checked_json_without_its_hash_is_damage(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", schema_1())
    with pytest.raises(DamagedError, match="is damaged"):
        read_checked_json(tmp_path / "value.json", schema=1)


def test_checked_json_of_a_newer_version_asks_for_an_upgrade(tmp_path: Path) -> None:
    write_checked_json(tmp_path / "value.json", {"schema": 3})
    assert read_checked_json(tmp_path / "value.json", schema=3) == {"schema": 3}
    with pytest.raises(DataError, match="newer tfcli") as caught:
        read_checked_json(tmp_path / "value.json", schema=2)
    assert not isinstance(caught.value, DamagedError)
    assert caught.value.hint == "pip install --upgrade tfcli"


@pytest.mark.parametrize("depth", [*range(900, 1010, 10), 1500, 2000, 3000, 5000, 10_000])
def test_checked_json_nested_to_any_depth_is_damage(tmp_path: Path, depth: int) -> None:
    """Python's recursion limits for reading and for writing JSON differ."""
    nested = b"[" * depth + b"]" * depth
    (tmp_path / "value.json").write_bytes(b'{"schema": 1, "nested": ' + nested + b"}")
    with pytest.raises(DamagedError):
        read_checked_json(tmp_path / "value.json", schema=1)


@given(lines=st.lists(st.binary().filter(lambda line: b"\n" not in line)))
def test_lines_are_appended_in_order(tmp_path: Path, lines: list[bytes]) -> None:
    log = tmp_path / "log"
    log.unlink(missing_ok=True)
    for line in lines:
        append_line(log, line)
    assert (log.read_bytes() if lines else b"") == b"".join(line + b"\n" for line in lines)


@given(data=st.data())
def test_line_after_a_torn_one_starts_on_a_new_line(tmp_path: Path, data: Any) -> None:
    log = tmp_path / "log"
    whole = b"first line\nsecond line\n"
    kept = whole[: data.draw(st.integers(0, len(whole)))]
    log.write_bytes(kept)
    append_line(log, b"third line")
    assert log.read_bytes().startswith(kept)
    assert log.read_bytes().splitlines() == [*kept.splitlines(), b"third line"]


def test_appending_in_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        append_line(tmp_path / "nowhere" / "log", b"x")


WITH_BINARY_MODE = """
import os
from pathlib import Path

os.O_BINARY = BINARY = 1 << 29  # as on Windows, where files are otherwise opened as text
real_open = os.open
opened = []

def open_as_windows_does(path, flags, mode=0o777):
    opened.append(Path(path).name)
    assert flags & BINARY or not flags & (os.O_WRONLY | os.O_RDWR), path
    return real_open(path, flags & ~BINARY, mode)

os.open = open_as_windows_does
from tfcli.files import append_line, new_folder, write_file

write_file(Path("file"), b"x")
append_line(Path("log"), b"x")
with new_folder(Path("folder")) as folder:
    folder.write("file", b"x")
assert {"log", "file"} <= set(opened)
"""


def test_files_are_opened_in_binary_mode_on_windows(tmp_path: Path) -> None:
    """Otherwise Windows would rewrite the line endings."""
    script = [sys.executable, "-c", WITH_BINARY_MODE]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_json_can_hold_infinity(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", {"loss": math.inf})
    assert read_json(tmp_path / "value.json") == {"loss": math.inf}


def test_disk_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputOutputError, match="wanted"), faulty(fails_with(5)):
        write_file(tmp_path / "wanted", b"x")
