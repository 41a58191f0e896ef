"""Temporary files and folders, and how to tell which of them nobody writes any more.

A writer holds a lock (flock) on its temporary file or folder until that has its final name. The
operating system releases the lock when the process ends, however it ends, so what a killed process
left can be told from what a running one is writing, even where many write into one folder.

Where there is no such lock (Windows; folders on NFS), what nothing has changed for a day counts as
abandoned. Windows, moreover, removes no file that is open.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEMPORARY = ".tmp-"
BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line endings
DAY = 24 * 60 * 60  # seconds


def temporary_name(path: Path) -> Path:
    """A name beside `path` that nobody else uses."""
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")


def create_locked_file(path: Path) -> int:
    """Creates a file and locks it; returns its descriptor, open for writing."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | BINARY
    return _create_locked(path, lambda: os.open(path, flags, 0o666))


@contextlib.contextmanager
def locked_folder(path: Path) -> Iterator[None]:
    """Creates a folder and keeps it locked until the block ends."""
    if os.name == "nt":  # cannot open a folder
        os.mkdir(path)
        yield
        return

    def create() -> int:
        while True:
            os.mkdir(path)
            with contextlib.suppress(FileNotFoundError):  # removed before it was locked
                return os.open(path, os.O_RDONLY)

    descriptor = _create_locked(path, create)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _create_locked(path: Path, create: Callable[[], int]) -> int:
    """Creates until what is locked is also what stands at `path`: see `abandoned`."""
    while True:
        descriptor = create()
        try:
            _lock(descriptor)
            os.lstat(path)
        except FileNotFoundError:  # removed before it was locked
            os.close(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        else:
            return descriptor


def _lock(descriptor: int) -> None:
    if os.name != "nt":
        import fcntl

        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for one who is removing it


@contextlib.contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody writes a temporary file or folder any more.

    Until the block ends nobody begins to, either: who has created it and not locked it yet waits,
    and creates another if this one is gone by then.
    """
    free, descriptor = _try_lock(path)
    try:
        yield free
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _try_lock(path: Path) -> tuple[bool, int | None]:
    """Whether nobody writes `path`, and the descriptor that keeps it so, if there is one."""
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return True, None  # a link or a pipe, which no writer of ours makes
        if os.name == "nt":
            return _is_old(path), None
        descriptor = os.open(path, os.O_RDONLY if stat.S_ISDIR(mode) else os.O_RDWR)
    except OSError:  # gone, or not ours
        return False, None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True, descriptor
    except OSError as error:
        os.close(descriptor)
        locked = isinstance(error, BlockingIOError)  # else a file system without locks
        return not locked and _is_old(path), None


def _is_old(path: Path) -> bool:
    """Whether nothing has changed in a file or folder for a day."""
    try:
        changes = [part.lstat().st_mtime for part in (path, *path.rglob("*"))]
    except OSError:  # somebody is at work there
        return False
    return time.time() - max(changes) > DAY
