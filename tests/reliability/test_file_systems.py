"""File systems that cannot do all that ours can, and limits that a system sets to a process.

Reference: flock(2), fsync(2) and open(2) of Linux on what NFS, FUSE and others answer.
"""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import bare_environment
from tests.reliability.processes import Processes

pytestmark = pytest.mark.skipif(os.name == "nt", reason="limits and errors of POSIX")

TINY = ("--layers", "1", "--width", "32", "--context", "16", "--batch-tokens", "128")
TRAIN = ("train", "book.txt", "--steps", "2", *TINY, "--run", "it")
UNSUPPORTED = [
    "EINVAL",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("ENOLCK", "EOPNOTSUPP", "ENOSYS")),
]


def without_locks(name: str) -> None:
    """As on a network drive without a lock server."""
    import fcntl

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(getattr(errno, name), "refused")

    fcntl.flock = flock  # type: ignore[assignment]


def without_folder_flushing(name: str) -> None:
    """As on some FUSE file systems."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(getattr(errno, name), "refused")
        real(descriptor)

    os.fsync = fsync  # type: ignore[assignment]


def limit_addresses(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_without_locks_everything_works_and_a_training_says_so(
    processes: Processes, workspace: Path, name: str
) -> None:
    before = partial(without_locks, name)
    first = processes.start(workspace, *TRAIN, before=before).wait()
    assert first.code == 0, first.err
    assert "checkpoints/it does not support locking" in first.err
    for command in (
        ("train", "--resume", "it", "--steps", "1"),
        ("tokenizer", "train", "book.txt", "--name", "words"),
        ("runs", "verify", "it"),
        ("runs", "repair", "it"),
        ("generate", "Ann", "--max-new-tokens", "2"),
    ):
        done = processes.start(workspace, *command, before=before).wait()
        assert done.code == 0, f"{command}: {done.err}"
        assert ("not support locking" in done.err) == (command[0] == "train")


@pytest.mark.parametrize("name", [UNSUPPORTED[0], *UNSUPPORTED[2:]])
def test_folders_that_cannot_be_flushed_are_left_to_the_file_system(
    processes: Processes, workspace: Path, name: str
) -> None:
    before = partial(without_folder_flushing, name)
    for command in (
        TRAIN,
        ("train", "--resume", "it", "--steps", "1"),
        ("tokenizer", "train", "book.txt", "--name", "words"),
        ("export", "it", "there", "--to", "huggingface"),
        ("import", "there", "--run", "back"),
    ):
        done = processes.start(workspace, *command, before=before).wait()
        assert done.code == 0, f"{command}: {done.err}"


def test_failing_disk_is_not_taken_for_one_that_cannot_flush(
    processes: Processes, workspace: Path
) -> None:
    done = processes.start(workspace, *TRAIN, before=partial(without_folder_flushing, "EIO")).wait()
    assert done.code == 74
    assert "Traceback" not in done.err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces RLIMIT_AS")
@pytest.mark.parametrize("megabytes", [100, 600])
def test_limit_of_addresses_is_named_with_what_lifts_it(workspace: Path, megabytes: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tfcli", *TRAIN],
        cwd=workspace, env=bare_environment(), capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, preexec_fn=partial(limit_addresses, megabytes << 20),
    )  # fmt: skip
    assert done.returncode == 1
    first, why, hint = done.stderr.splitlines()[-3:]
    assert first == "error: out of memory"
    assert "ulimit -v limits" in why
    assert "ulimit -v unlimited" in hint


def test_home_that_does_not_exist_is_not_needed(workspace: Path) -> None:
    environment = bare_environment() | {"HOME": "/nowhere/at/all", "TMPDIR": "/nowhere/either"}
    for command in (TRAIN, ("generate", "Ann", "--max-new-tokens", "2")):
        done = subprocess.run(
            [sys.executable, "-m", "tfcli", *command],
            cwd=workspace, env=environment, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
