"""Whichever system call of a writer fails, the old or the new content is there, and nothing else.

Reference: how SQLite tests its own atomic commits, https://sqlite.org/testing.html ("I/O error
testing", "crash testing").
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.files.faults import (
    DIED,
    Fault,
    SystemCall,
    count_calls,
    ends_the_process,
    fails_with,
    faulty,
    is_interrupted,
    writes_less,
)
from tests.files.writers import WRITERS, Writer
from tfcli.errors import TfcliError
from tfcli.files import append_line, remove_leftovers

OLD, NEW = b"old", b"the new content"
SITUATIONS = [
    pytest.param("file", None, id="a new file"),
    pytest.param("file", OLD, id="a file replaced"),
    pytest.param("folder", None, id="a new folder"),
    pytest.param("folder", OLD, id="a folder replaced"),
    pytest.param("stored", None, id="a file named by its content"),
]
# Python's own `shutil.rmtree`, which removes the old folder, can leave files open.
WITHOUT_RMTREE = [SITUATIONS[0], SITUATIONS[1], SITUATIONS[2], SITUATIONS[4]]
FAULTS = {
    "input/output error": fails_with(errno.EIO),
    "disk full": fails_with(errno.ENOSPC),
    "interrupted": is_interrupted,
}


def prepared(parent: Path, name: str, writer: Writer, before: bytes | None) -> Path:
    folder = parent / name
    folder.mkdir()
    if before is not None:
        writer.write(folder, before)
    return folder


def number_of_calls(parent: Path, writer: Writer, before: bytes | None) -> int:
    folder = prepared(parent, "counted", writer, before)
    return count_calls(lambda: writer.write(folder, NEW))


def content_after_cleanup(folder: Path, writer: Writer) -> bytes | None:
    """What can be read after leftovers were removed; nothing else may be there."""
    remove_leftovers(folder)
    content = writer.read(folder)
    assert len(list(folder.iterdir())) == (content is not None)
    return content


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("name", "before"), SITUATIONS)
def test_failing_call_leaves_old_or_new(
    tmp_path: Path, name: str, before: bytes | None, fault: Fault, lasting: bool
) -> None:
    writer = WRITERS[name]
    for call in range(number_of_calls(tmp_path, writer, before)):
        folder = prepared(tmp_path, str(call), writer, before)
        allowed = {before, NEW}
        with faulty(fault, call, None if lasting else call) as made:
            try:
                writer.write(folder, NEW)
                allowed = {NEW}
            except (TfcliError, KeyboardInterrupt):
                pass
        assert content_after_cleanup(folder, writer) in allowed, f"call {call}: {made[call]}"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("name", "before"), SITUATIONS)
def test_failing_call_leaves_old_or_new_before_any_cleanup(
    tmp_path: Path, name: str, before: bytes | None, fault: Fault
) -> None:
    """Readers do not wait for leftovers to be removed."""
    writer = WRITERS[name]
    for call in range(number_of_calls(tmp_path, writer, before)):
        folder = prepared(tmp_path, str(call), writer, before)
        with contextlib.suppress(TfcliError, KeyboardInterrupt), faulty(fault, call, call) as made:
            writer.write(folder, NEW)
        assert writer.read(folder) in {before, NEW}, f"call {call}: {made[call]}"


def write_and_die(name: str, folder: Path, call: int) -> None:
    """Writes, and dies at a system call."""
    with faulty(ends_the_process, call, call):
        WRITERS[name].write(folder, NEW)


@pytest.mark.parametrize(("name", "before"), SITUATIONS)
def test_killed_process_leaves_old_or_new(tmp_path: Path, name: str, before: bytes | None) -> None:
    writer = WRITERS[name]
    for call in range(number_of_calls(tmp_path, writer, before)):
        folder = prepared(tmp_path, str(call), writer, before)
        process = multiprocessing.Process(target=write_and_die, args=(name, folder, call))
        process.start()
        process.join()
        assert process.exitcode == DIED, f"call {call}"
        assert content_after_cleanup(folder, writer) in {before, NEW}, f"call {call}"


@pytest.mark.parametrize(("name", "before"), SITUATIONS)
def test_short_writes_are_continued(tmp_path: Path, name: str, before: bytes | None) -> None:
    writer = WRITERS[name]
    folder = prepared(tmp_path, "folder", writer, before)
    with faulty(writes_less) as made:
        writer.write(folder, NEW)
    assert made.count("write") > 1
    assert writer.read(folder) == NEW


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="flushed by other calls")
@pytest.mark.parametrize(("name", "before"), WITHOUT_RMTREE)
def test_files_are_flushed_before_the_rename_and_the_parent_after_it(
    tmp_path: Path, name: str, before: bytes | None
) -> None:
    """What it takes to survive a power cut."""
    events: list[int | str] = []

    def noted(call: SystemCall) -> Any:
        if call.name == "fsync":
            events.append(os.stat(call.arguments[0]).st_ino)  # noqa: PTH116 (a descriptor)
        elif call.name in {"rename", "replace"}:
            events.append("rename")
        return call.make()

    writer = WRITERS[name]
    folder = prepared(tmp_path, "folder", writer, before)
    with faulty(noted):
        writer.write(folder, NEW)
    rename = events.index("rename")
    assert {path.stat().st_ino for path in folder.rglob("*")} <= set(events[:rename])
    assert events[rename + 1 :] == [folder.stat().st_ino]


def test_old_folder_is_removed_after_the_new_one_is_flushed(tmp_path: Path) -> None:
    writer = WRITERS["folder"]
    folder = prepared(tmp_path, "folder", writer, OLD)
    with faulty(SystemCall.make) as made:
        writer.write(folder, NEW)
    renames = [number for number, name in enumerate(made) if name == "rename"]
    first_gone = made.index("unlink")
    assert "fsync" in made[renames[-1] : first_gone]


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="no list of open files")
@pytest.mark.parametrize(("name", "before"), WITHOUT_RMTREE)
def test_failing_call_leaves_no_file_open(tmp_path: Path, name: str, before: bytes | None) -> None:
    def open_files() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    writer = WRITERS[name]
    at_first = open_files()
    for call in range(number_of_calls(tmp_path, writer, before)):
        folder = prepared(tmp_path, str(call), writer, before)
        with contextlib.suppress(KeyboardInterrupt), faulty(is_interrupted, call, call):
            writer.write(folder, NEW)
        assert open_files() == at_first, f"call {call}"


@pytest.mark.parametrize(("name", "before"), WITHOUT_RMTREE)
def test_failing_call_closes_no_file_of_another_thread(
    tmp_path: Path, name: str, before: bytes | None
) -> None:
    """A descriptor closed a second time may be a file that another thread has just opened."""

    def fails_while_another_opens(call: SystemCall) -> Any:
        if call.name == "close":
            call.make()
        theirs.append(os.dup(1))
        raise OSError(errno.EIO, "refused")

    writer = WRITERS[name]
    for call in range(number_of_calls(tmp_path, writer, before)):
        folder = prepared(tmp_path, str(call), writer, before)
        theirs: list[int] = []
        with contextlib.suppress(TfcliError), faulty(fails_while_another_opens, call, call) as made:
            writer.write(folder, NEW)
        for descriptor in theirs:
            try:
                os.close(descriptor)
            except OSError:
                pytest.fail(
                    f"call {call}, {made[call]}, failed; a file of another thread was closed"
                )


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_failing_append_keeps_every_line_and_the_next_starts_a_new_one(
    tmp_path: Path, code: int
) -> None:
    def log_with_a_line(name: str) -> Path:
        append_line(tmp_path / name, b"first")
        return tmp_path / name

    counted = log_with_a_line("counted")
    for call in range(count_calls(lambda: append_line(counted, b"second"))):
        log = log_with_a_line(str(call))
        with pytest.raises(TfcliError), faulty(fails_with(code), call, call):
            append_line(log, b"second")
        append_line(log, b"third")
        lines = log.read_bytes().splitlines()
        assert lines in ([b"first", b"third"], [b"first", b"second", b"third"])


def test_append_in_short_writes_is_complete(tmp_path: Path) -> None:
    with faulty(writes_less):
        append_line(tmp_path / "log", b"one line")
    assert (tmp_path / "log").read_bytes() == b"one line\n"
