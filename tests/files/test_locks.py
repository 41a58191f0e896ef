"""One process at a time holds the lock of a folder, however the one before it ended."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.files.faults import SystemCall, fails_with, faulty
from tfcli.errors import ConflictError, TfcliError
from tfcli.files import lock, remove_unused
from tfcli.files.locks import HOLDER, LOCK

HOLD = """
import sys
from pathlib import Path
from tfcli.errors import ConflictError
from tfcli.files import lock

try:
    with lock(Path(sys.argv[1]), doing="training"):
        print("locked", flush=True)
        sys.stdin.read()
except ConflictError as error:
    print(f"refused: {error.why}", flush=True)
"""


@contextmanager
def processes(number: int, folder: Path) -> Iterator[list[tuple[subprocess.Popen[str], str]]]:
    """Processes that ask for the lock at once, each with its answer; the winner keeps the lock."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    try:
        yield [(process, process.stdout.readline()) for process in started if process.stdout]
    finally:
        for process in started:
            process.communicate()


def test_second_process_is_refused_and_told_who_holds_the_lock(tmp_path: Path) -> None:
    with processes(1, tmp_path) as [(holder, answer)]:
        assert answer == "locked\n"
        with pytest.raises(ConflictError, match="in use") as caught, lock(tmp_path, doing="x"):
            pass
    assert f"process {holder.pid} on " in str(caught.value.why)
    assert "is training" in str(caught.value.why)


def test_one_of_eight_processes_gets_the_lock(tmp_path: Path) -> None:
    with processes(8, tmp_path) as answered:
        winners = [answer for _, answer in answered if answer == "locked\n"]
        losers = [answer for _, answer in answered if answer.startswith("refused")]
    assert (len(winners), len(losers)) == (1, 7)


def test_lock_is_free_after_its_holder_is_killed(tmp_path: Path) -> None:
    with processes(1, tmp_path) as [(holder, answer)]:
        assert answer == "locked\n"
        holder.kill()
        holder.wait()
        with lock(tmp_path, doing="x"):
            pass


def test_lock_is_free_after_its_block(tmp_path: Path) -> None:
    with lock(tmp_path / "new", doing="x"):
        pass
    with lock(tmp_path / "new", doing="y"):
        pass
    assert [path.name for path in (tmp_path / "new").iterdir()] == [LOCK]


def test_lock_is_free_after_an_error_in_its_block(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock(tmp_path, doing="x"):
        raise ZeroDivisionError
    with lock(tmp_path, doing="y"):
        pass


def test_holder_is_not_named_after_an_error_in_its_block(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock(tmp_path, doing="x"):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_lock_is_free_after_a_full_disk(tmp_path: Path) -> None:
    def full(call: SystemCall) -> Any:
        return fails_with(errno.ENOSPC)(call) if call.name == "write" else call.make()

    with pytest.raises(TfcliError, match="disk is full"), faulty(full), lock(tmp_path, doing="x"):
        pass
    with lock(tmp_path, doing="y"):
        pass


def test_process_cannot_take_a_lock_twice(tmp_path: Path) -> None:
    with lock(tmp_path, doing="x"), pytest.raises(ConflictError), lock(tmp_path, doing="y"):
        pass


@pytest.mark.parametrize("content", [None, b"", b"{}", b"torn", b'{"pid": 5}'])
def test_unreadable_holder_is_called_another_process(tmp_path: Path, content: bytes | None) -> None:
    with processes(1, tmp_path):
        (tmp_path / HOLDER).unlink()
        if content is not None:
            (tmp_path / HOLDER).write_bytes(content)
        with pytest.raises(ConflictError) as caught, lock(tmp_path, doing="x"):
            pass
    assert caught.value.why == "another process has locked it"


def test_folder_in_place_of_the_holder_file_changes_nothing(tmp_path: Path) -> None:
    with processes(1, tmp_path):
        (tmp_path / HOLDER).unlink()
        (tmp_path / HOLDER).mkdir()
        with pytest.raises(ConflictError, match="in use"), lock(tmp_path, doing="x"):
            pass


def test_folder_in_place_of_the_lock_raises_our_own_error(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(TfcliError), lock(tmp_path, doing="x"):
        pass


def test_unused_folder_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with processes(1, folder) as [(holder, _)]:
        holder.kill()
    remove_unused(folder)
    assert not folder.exists()
