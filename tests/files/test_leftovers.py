"""What killed processes left is found and removed; what a running process writes never is."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.files.faults import SystemCall, count_calls, fails_with, faulty, meanwhile
from tests.files.writers import WRITERS
from tfcli.files import (
    find_leftovers,
    lock,
    new_folder,
    remove_abandoned,
    remove_leftovers,
    remove_unused,
    verify_folder,
)
from tfcli.files.temporary import DAY

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from tfcli.files import new_file, new_folder, store_by_content

def wait():
    print("writing", flush=True)
    sys.stdin.read()

def chunks():
    yield b"first "
    wait()
    yield b"last"

kind, folder = sys.argv[1], Path(sys.argv[2])
if kind == "file":
    with new_file(folder / "it") as file:
        for chunk in chunks():
            file.write(chunk)
elif kind == "folder":
    with new_folder(folder / "it") as it, it.new_file("file") as file:
        for chunk in chunks():
            file.write(chunk)
elif kind == "folder, between two files":
    with new_folder(folder / "it") as it:
        it.write("other", b"")
        wait()
        it.write("file", b"first last")
else:
    store_by_content(folder, chunks(), suffix=".txt")
"""
KINDS = ("file", "folder", "folder, between two files", "stored")


@contextmanager
def writing(kind: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of writing; it finishes at the end of its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_WAIT, kind, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        yield process
    finally:
        process.communicate()


def write_pair(path: Path, content: bytes) -> None:
    with new_folder(path) as folder:
        folder.write("one", content)
        folder.write("other", content)


def temporaries(folder: Path) -> list[Path]:
    return sorted(folder.glob(".tmp-*"))


@pytest.mark.parametrize("kind", KINDS)
def test_leftovers_of_a_killed_writer_are_removed_while_another_writes(
    tmp_path: Path, kind: str
) -> None:
    with writing(kind, tmp_path) as killed:
        left = temporaries(tmp_path)
        assert find_leftovers(tmp_path) == remove_abandoned(tmp_path) == [], "it is still writing"
        with writing(kind, tmp_path) as running:
            killed.kill()
            killed.wait()
            assert len(temporaries(tmp_path)) == 2
            assert find_leftovers(tmp_path) == left
            assert remove_abandoned(tmp_path) == left
            assert find_leftovers(tmp_path) == []
    assert running.returncode == 0
    assert temporaries(tmp_path) == []
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.name[:8] != "MANIFEST"
               and path.is_file() and path.name != "other"]  # fmt: skip
    assert written == [b"first last"]


@pytest.mark.parametrize("before", [None, b"old"], ids=["new", "replaced"])
@pytest.mark.parametrize("name", WRITERS)
def test_writer_succeeds_whenever_others_remove_leftovers(
    tmp_path: Path, name: str, before: bytes | None
) -> None:
    """Also between creating a temporary file and locking it."""
    writer = WRITERS[name]

    def prepared(place: str) -> Path:
        folder = tmp_path / place
        folder.mkdir()
        if before is not None:
            writer.write(folder, before)
        return folder

    counted = prepared("counted")
    for call in range(count_calls(lambda: writer.write(counted, b"new"))):
        folder = prepared(str(call))
        with faulty(meanwhile(partial(remove_abandoned, folder)), call, call) as made:
            writer.write(folder, b"new")
        stored = {path.read_bytes() for path in folder.glob("*.txt")}
        assert stored >= {b"new"} if stored else writer.read(folder) == b"new", made[call]
        assert temporaries(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="always without")
@pytest.mark.parametrize("age", [0, 2 * DAY])
def test_only_leftovers_unchanged_for_a_day_are_removed_without_file_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int
) -> None:
    import fcntl

    def not_supported(descriptor: int, operation: int) -> None:
        raise OSError(errno.EBADF, "not on this file system")

    folder, file = tmp_path / ".tmp-folder-1-a", tmp_path / ".tmp-file-1-a"
    folder.mkdir()
    for path in (folder / "inside", file, folder):
        if path != folder:
            path.write_bytes(b"x")
        os.utime(path, (time.time() - age, time.time() - age))
    monkeypatch.setattr(fcntl, "flock", not_supported)
    assert remove_abandoned(tmp_path) == ([file, folder] if age else [])
    with new_folder(tmp_path / "it") as it:
        it.write("file", b"x")
    verify_folder(tmp_path / "it")


def test_locked_folder_has_no_leftovers(tmp_path: Path) -> None:
    (tmp_path / ".tmp-file-1-a").write_bytes(b"")
    with lock(tmp_path, doing="x"):
        assert find_leftovers(tmp_path) == []
    assert find_leftovers(tmp_path) == [tmp_path / ".tmp-file-1-a"]


REMOVERS: dict[str, Callable[[Path], list[Path]]] = {
    "remove_leftovers": remove_leftovers,
    "remove_abandoned": remove_abandoned,
}


@pytest.mark.parametrize("remove", REMOVERS.values(), ids=REMOVERS)
def test_leftovers_of_every_kind_are_removed_and_nothing_else(
    tmp_path: Path, remove: Callable[[Path], list[Path]]
) -> None:
    write_pair(tmp_path / "outside", b"precious")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.tmp-b").write_bytes(b"kept")
    (root / ".hidden").write_bytes(b"kept")
    kept = sorted(root.iterdir())
    (root / ".tmp-file-1-a").write_bytes(b"")
    (root / ".tmp-folder-1-a" / "deep").mkdir(parents=True)
    (root / ".tmp-link-1-a").symlink_to(tmp_path / "outside")
    (root / ".tmp-loose-1-a").symlink_to(tmp_path / "nowhere")
    (root / ".old-").mkdir()
    leftovers = find_leftovers(root)
    assert len(leftovers) == 5
    assert remove(root) == leftovers
    assert sorted(root.iterdir()) == kept
    verify_folder(tmp_path / "outside")


@pytest.mark.parametrize("remove", REMOVERS.values(), ids=REMOVERS)
def test_only_what_was_removed_is_reported(
    tmp_path: Path, remove: Callable[[Path], list[Path]]
) -> None:
    stubborn = tmp_path / ".tmp-file-1-a"
    stubborn.write_bytes(b"")

    def refuse(call: SystemCall) -> Any:
        return fails_with(errno.EPERM)(call) if call.name == "unlink" else call.make()

    with faulty(refuse):
        assert remove(tmp_path) == []
    assert stubborn.exists()


def test_missing_folder_has_no_leftovers(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert find_leftovers(missing) == remove_leftovers(missing) == remove_abandoned(missing) == []


@pytest.mark.parametrize("there", ["nothing", "a dangling link", "an empty folder"])
def test_folder_set_aside_is_put_back_if_nothing_replaced_it(tmp_path: Path, there: str) -> None:
    write_pair(tmp_path / ".old-it", b"old")
    if there == "a dangling link":
        (tmp_path / "it").symlink_to("nowhere")
    if there == "an empty folder":
        (tmp_path / "it").mkdir()
    assert remove_leftovers(tmp_path) == []
    verify_folder(tmp_path / "it")
    assert not (tmp_path / ".old-it").exists()


def test_folder_that_cannot_be_put_back_is_kept(tmp_path: Path) -> None:
    write_pair(tmp_path / ".old-it", b"old")

    def refuse(call: SystemCall) -> Any:
        return fails_with(errno.EIO)(call) if call.name == "rename" else call.make()

    with faulty(refuse):
        assert remove_leftovers(tmp_path) == []
    verify_folder(tmp_path / ".old-it")


def test_unused_folder_is_removed_with_its_lock_and_leftovers(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with lock(folder, doing="x"):
        (folder / ".tmp-step-1-a").mkdir()
        remove_unused(folder)
    assert not folder.exists()


def test_folder_with_any_other_file_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with lock(folder, doing="x"):
        (folder / "notes.txt").write_bytes(b"precious")
        remove_unused(folder)
    assert [path.read_bytes() for path in folder.iterdir()] == [b"precious"]


def test_removing_a_missing_unused_folder_is_no_error(tmp_path: Path) -> None:
    remove_unused(tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
