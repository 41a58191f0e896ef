"""A folder that verifies has exactly the bytes that were written."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.files.faults import fails_with, faulty
from tfcli.errors import ConflictError, DamagedError, DataError, NotFoundError, TfcliError
from tfcli.files import (
    MANIFEST,
    new_folder,
    read_folder,
    remove_folder,
    to_json,
    verify_file,
    verify_folder,
)

EMPTY = hashlib.sha256(b"").hexdigest()


def make_folder_of(path: Path, contents: dict[str, bytes]) -> Path:
    with new_folder(path) as folder:
        for name, data in contents.items():
            folder.write(name, data)
    return path


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def flips(data: bytes) -> Iterator[bytes]:
    for position in range(len(data)):
        for bit in range(8):
            yield flipped(data, position, bit)


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


def truncations(data: bytes) -> Iterator[bytes]:
    for length in range(len(data)):
        yield data[:length]


def deletions(data: bytes) -> Iterator[bytes]:
    for position in range(len(data)):
        yield data[:position] + data[position + 1 :]


def additions(data: bytes) -> Iterator[bytes]:
    for position in range(len(data) + 1):
        for more in (b"\0", b" ", b"\n", b"-", b"+", b"0", b"1", b".0", b"e0", b'"', b",", b"\xff"):
            yield data[:position] + more + data[position:]


CHANGES = {
    "a flipped bit": flips,
    "a truncation": truncations,
    "a byte deleted": deletions,
    "bytes added": additions,
}


def rewrite(file: Path, data: bytes) -> None:
    """As a new file: ext4 flushes one that is overwritten, which is slow."""
    file.unlink()
    file.write_bytes(data)


def assert_damage_is_detected(folder: Path, file: Path, changed: bytes) -> None:
    whole = file.read_bytes()
    rewrite(file, changed)
    try:
        verify_folder(folder)
    except DataError:
        return
    finally:
        rewrite(file, whole)
    pytest.fail(f"{file.name} verified as {changed!r}")


@given(st.dictionaries(st.sampled_from(["a", "b.txt", "c-1"]), st.binary()))
@settings(max_examples=20)
def test_unchanged_folder_verifies(tmp_path: Path, contents: dict[str, bytes]) -> None:
    folder = make_folder_of(tmp_path / "folder", contents)
    verify_folder(folder)
    assert {path.name: path.read_bytes() for path in files_in(folder)}.items() >= contents.items()


def test_manifest_has_size_and_hash_of_files_in(tmp_path: Path) -> None:
    folder = make_folder_of(tmp_path / "folder", {"a": b"abc", "empty": b""})
    expected = {
        "schema": 1,
        "files": {
            "a": {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()},
            "empty": {"bytes": 0, "sha256": EMPTY},
        },
    }
    assert (folder / MANIFEST).read_bytes() == to_json(expected)


def test_file_in_a_folder_can_be_written_in_chunks(tmp_path: Path) -> None:
    with new_folder(tmp_path / "folder") as folder, folder.new_file("pieces") as file:
        for piece in (b"one ", b"", memoryview(b"two")):
            file.write(piece)
    verify_folder(tmp_path / "folder")
    assert (tmp_path / "folder" / "pieces").read_bytes() == b"one two"


@pytest.mark.parametrize("change", CHANGES)
def test_every_small_change_of_a_tiny_folder_is_detected(tmp_path: Path, change: str) -> None:
    folder = make_folder_of(tmp_path / "folder", {"a": b"1", "b": b"\n", "empty": b""})
    for file in files_in(folder):
        for changed in CHANGES[change](file.read_bytes()):
            assert_damage_is_detected(folder, file, changed)


@pytest.fixture(scope="module")
def large_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = hashlib.shake_256(b"weights").digest(70_000)
    folder = tmp_path_factory.mktemp("large") / "folder"
    return make_folder_of(folder, {"weights": data, "state.json": to_json({"step": 5})})


@given(data=st.data())
def test_flipped_bits_of_a_large_folder_are_detected(large_folder: Path, data: Any) -> None:
    file = data.draw(st.sampled_from(files_in(large_folder)))
    whole = file.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    assert_damage_is_detected(large_folder, file, flipped(whole, position, bit))


@given(data=st.data())
def test_cuts_and_additions_in_a_large_folder_are_detected(large_folder: Path, data: Any) -> None:
    file = data.draw(st.sampled_from(files_in(large_folder)))
    whole = file.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    more = data.draw(st.binary(max_size=20))
    if len(more) != end - start:
        assert_damage_is_detected(large_folder, file, whole[:start] + more + whole[end:])


@pytest.mark.parametrize("name", ["a", MANIFEST])
def test_missing_file_is_detected(tmp_path: Path, name: str) -> None:
    folder = make_folder_of(tmp_path / "folder", {"a": b"1"})
    (folder / name).unlink()
    with pytest.raises(DamagedError):
        verify_folder(folder)


def test_missing_folder_does_not_verify(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="incomplete"):
        verify_folder(tmp_path / "folder")


@pytest.mark.parametrize("name", ["a", MANIFEST])
def test_folder_in_place_of_a_file_is_damage(tmp_path: Path, name: str) -> None:
    folder = make_folder_of(tmp_path / "folder", {"a": b"1"})
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(DataError):
        verify_folder(folder)


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no devices")
def test_device_in_place_of_a_file_is_damage(tmp_path: Path) -> None:
    """Reading one may never end, as with /dev/zero or a pipe."""
    folder = make_folder_of(tmp_path / "folder", {"a": b""})
    (folder / "a").unlink()
    (folder / "a").symlink_to("/dev/null")
    with pytest.raises(DataError):
        verify_folder(folder)


def test_unreadable_disk_raises_our_own_error(tmp_path: Path) -> None:
    folder = make_folder_of(tmp_path / "folder", {"a": b"1"})
    with pytest.raises(TfcliError, match="folder/"), faulty(fails_with(5)):
        verify_folder(folder)


def test_unreadable_manifest_raises_our_own_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TfcliError):
        verify_folder(tmp_path / "file")


def test_newer_schema_asks_for_an_upgrade(tmp_path: Path) -> None:
    folder = make_folder_of(tmp_path / "folder", {})
    (folder / MANIFEST).write_bytes(to_json({"schema": 2, "files": {}, "more": "than we know"}))
    with pytest.raises(DataError) as caught:
        verify_folder(folder)
    assert not isinstance(caught.value, DamagedError)
    assert caught.value.hint == "pip install --upgrade tfcli"


def entry(**changes: object) -> dict[str, object]:
    return {"bytes": 0, "sha256": EMPTY} | changes


SIZES: list[object] = [-1, 1, 10**100, 0.0, "0", False, None, [], float("inf"), float("nan")]
HASHES: list[object] = ["", EMPTY.upper(), None, 0, []]
SCHEMAS: list[object] = [0, -1, True, 1.0, "1", None, []]
NAMES = ["", ".", "..", "../outside", "sub/inside", "nul\0", "x" * 5000, "\n", "/"]
HOSTILE = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"schema": 1, "files": {}, "\xff": 0}',
    "deep nesting": b"[" * 100_000,
    "deep nesting in a value": b'{"schema": 1, "files": ' + b'{"a":' * 100_000,
    "a number of 10,000 digits": b'{"schema": 1, "files": {"a": {"bytes": ' + b"9" * 10_000,
    "a list": to_json([]),
    "null": to_json(None),
    "no schema": to_json({"files": {}}),
    "no files": to_json({"schema": 1}),
    "files a list": to_json({"schema": 1, "files": []}),
    "an entry that is a text": to_json({"schema": 1, "files": {"there": "text"}}),
    "an entry without a hash": to_json({"schema": 1, "files": {"there": {"bytes": 0}}}),
    "one key too many": to_json({"schema": 1, "files": {"there": entry(more=1)}}),
    "another key too many": to_json({"schema": 1, "files": {}, "more": 1}),
    **{
        f"bytes {size!r}": to_json({"schema": 1, "files": {"there": entry(bytes=size)}})
        for size in SIZES
    },
    **{
        f"sha256 {value!r}": to_json({"schema": 1, "files": {"there": entry(sha256=value)}})
        for value in HASHES
    },
    **{f"schema {schema!r}": to_json({"schema": schema, "files": {}}) for schema in SCHEMAS},
    **{
        f"the name {name[:12]!r}": to_json({"schema": 1, "files": {name: entry()}})
        for name in NAMES
    },
    "half a surrogate pair": b'{"schema": 1, "files": {"\\ud800": {"bytes": 0, "sha256": ""}}}',
}


@pytest.mark.parametrize("manifest", HOSTILE.values(), ids=HOSTILE)
def test_hostile_manifest_is_damage(tmp_path: Path, manifest: bytes) -> None:
    folder = make_folder_of(tmp_path / "folder", {"there": b""})
    (tmp_path / "outside").write_bytes(b"")
    (folder / "sub").mkdir()
    (folder / "sub" / "inside").write_bytes(b"")
    (folder / MANIFEST).write_bytes(manifest)
    with pytest.raises(DamagedError):
        verify_folder(folder)


@pytest.mark.parametrize("depth", [*range(900, 1010, 10), 1500, 2000, 3000, 5000, 10_000])
def test_manifest_nested_to_any_depth_is_damage(tmp_path: Path, depth: int) -> None:
    """Python's recursion limits for reading and for writing JSON differ."""
    nested = b"[" * depth + b"]" * depth
    manifest = b'{"schema": 1, "files": {"a": {"bytes": ' + nested + b', "sha256": ""}}}'
    (tmp_path / MANIFEST).write_bytes(manifest)
    with pytest.raises(DamagedError):
        verify_folder(tmp_path)


ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=8)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)
ENTRY = st.fixed_dictionaries({"bytes": ANY_VALUE, "sha256": ANY_VALUE}) | ANY_VALUE
MANIFESTS = st.fixed_dictionaries(
    {
        "schema": st.just(1) | ANY_VALUE,
        "files": st.dictionaries(ANY_TEXT, ENTRY, min_size=1, max_size=3),
    }
)


@given(manifest=MANIFESTS)
def test_random_manifest_never_verifies(tmp_path: Path, manifest: dict[str, object]) -> None:
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (tmp_path / MANIFEST).write_bytes(text.encode(errors="backslashreplace"))
    with pytest.raises(DataError):
        verify_folder(tmp_path)


def test_error_while_writing_keeps_the_old_folder(tmp_path: Path) -> None:
    folder = make_folder_of(tmp_path / "folder", {"a": b"old"})
    with (
        pytest.raises(ZeroDivisionError),
        new_folder(folder) as writer,
        writer.new_file("a") as file,
    ):
        file.write(b"new")
        raise ZeroDivisionError
    verify_folder(folder)
    assert (folder / "a").read_bytes() == b"old"
    assert files_in(tmp_path) == [folder]


def test_replaced_folder_keeps_no_old_files(tmp_path: Path) -> None:
    make_folder_of(tmp_path / "folder", {"old": b"1"})
    folder = make_folder_of(tmp_path / "folder", {"new": b"2"})
    assert [path.name for path in files_in(folder)] == [MANIFEST, "new"]


def test_removed_folder_leaves_nothing(tmp_path: Path) -> None:
    remove_folder(make_folder_of(tmp_path / "folder", {"a": b"1"}))
    assert files_in(tmp_path) == []


def test_removing_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        remove_folder(tmp_path / "folder")


def test_only_the_size_of_the_excepted_file_is_compared(tmp_path: Path) -> None:
    """All other files are compared completely."""
    with new_folder(tmp_path / "it") as folder:
        folder.write("large", b"abc")
        folder.write("small", b"xyz")
    (tmp_path / "it" / "large").write_bytes(b"abd")
    verify_folder(tmp_path / "it", only_size_of="large")
    with pytest.raises(DamagedError):
        verify_folder(tmp_path / "it")
    (tmp_path / "it" / "large").write_bytes(b"ab")
    with pytest.raises(DamagedError):
        verify_folder(tmp_path / "it", only_size_of="large")
    (tmp_path / "it" / "large").write_bytes(b"abc")
    (tmp_path / "it" / "small").write_bytes(b"xyy")
    with pytest.raises(DamagedError):
        verify_folder(tmp_path / "it", only_size_of="large")


def test_folder_that_appears_meanwhile_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    with (
        pytest.raises(ConflictError, match="in the way"),
        new_folder(tmp_path / "it", replace=False) as folder,
    ):
        folder.write("file", b"ours")
        (tmp_path / "it").mkdir()
        (tmp_path / "it" / "precious").write_bytes(b"theirs")
    assert [path.name for path in tmp_path.rglob("*")] == ["it", "precious"]


def write_pair(path: Path, content: bytes) -> None:
    with new_folder(path) as folder:
        folder.write("one", content)
        folder.write("other", content)


def read_pair(path: Path, meanwhile: Callable[[], None]) -> bytes:
    """Reads both files, with something happening in between."""
    verify_file(path / "one")
    one = (path / "one").read_bytes()
    meanwhile()
    verify_file(path / "other")
    return one + b" " + (path / "other").read_bytes()


def nothing() -> None:
    """What happens to a folder that nobody changes."""


def test_folder_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "it"
    write_pair(path, b"old")
    turns = [lambda: write_pair(path, b"new"), lambda: write_pair(path, b"newest"), nothing]
    assert read_folder(path, lambda place: read_pair(place, turns.pop(0))) == b"newest newest"
    assert not turns


def test_old_folder_is_read_between_the_two_renames(tmp_path: Path) -> None:
    """A killed writer may have left it there; a running one removes it while it is read."""
    path, aside = tmp_path / "it", tmp_path / ".old-it"
    write_pair(aside, b"old")
    assert read_folder(path, lambda place: read_pair(place, nothing)) == b"old old"

    def finish_replacing() -> None:
        write_pair(path, b"new")
        shutil.rmtree(aside)

    turns = [finish_replacing, nothing]
    assert read_folder(path, lambda place: read_pair(place, turns.pop(0))) == b"new new"


def test_unrelated_new_files_do_not_cause_rereading(tmp_path: Path) -> None:
    path = tmp_path / "it"
    write_pair(path, b"old")
    turns = [(path / "notes").touch]  # a second one would not be found
    assert read_folder(path, lambda place: read_pair(place, turns.pop())) == b"old old"


def test_damaged_folder_is_read_once_unless_replaced(tmp_path: Path) -> None:
    path = tmp_path / "it"
    write_pair(path, b"old")
    (path / "other").write_bytes(b"odd")
    turns = [nothing]  # a second one would not be found
    with pytest.raises(DamagedError, match="other"):
        read_folder(path, lambda place: read_pair(place, turns.pop()))


@pytest.mark.parametrize("target", ["nowhere", "."])
def test_link_is_replaced_and_its_target_stays(tmp_path: Path, target: str) -> None:
    (tmp_path / "precious").write_bytes(b"x")
    (tmp_path / "it").symlink_to(target)
    make_folder_of(tmp_path / "it", {"file": b"ours"})
    verify_folder(tmp_path / "it")
    assert not (tmp_path / "it").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "precious"]
