"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from tfcli.errors import ConflictError, TfcliError
from tfcli.files.atomic import read_json, write_json
from tfcli.files.disk import UNSUPPORTED, make_folder, translated_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"
HOLDER = ".holder.json"


@contextlib.contextmanager
def lock(folder: Path, *, doing: str) -> Iterator[bool]:
    """Keeps every other process that asks for the same lock out of `folder`.

    The operating system releases the lock when the process ends, however it ends. A file that only
    its creation makes a lock, with the process's number in it, would be left by a killed one, and
    from another machine, or once the number is used again, could not be told from a lock. So where
    the file system has no locks there is none: the block runs, and who opened it is to say so.

    Yields:
        Whether others are kept out.

    Raises:
        ConflictError: another process holds it; the message names the process.

    """
    from filelock import FileLock, Timeout

    make_folder(folder)
    guard = FileLock(folder / LOCK)
    with translated_os_errors(folder / LOCK):
        kept = _has_locks(folder / LOCK)
        try:
            if kept:
                guard.acquire(timeout=0.1, poll_interval=0.02)  # `is_locked` takes it for a moment
        except Timeout:
            raise ConflictError(
                f"{folder} is in use", why=_holder(folder), hint="wait for it to end, or stop it"
            ) from None
    try:
        write_json(
            folder / HOLDER, {"pid": os.getpid(), "host": socket.gethostname(), "doing": doing}
        )
        yield kept
    finally:
        try:
            with contextlib.suppress(OSError):
                os.unlink(folder / HOLDER)
        finally:
            guard.release()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of `folder`; without locks, whether one may be at work."""
    from filelock import FileLock

    if not (folder / LOCK).is_file():
        return False
    try:
        if not _has_locks(folder / LOCK):
            return (folder / HOLDER).is_file()
        with FileLock(folder / LOCK, blocking=False):
            return False
    except OSError:  # held, or no permission to look
        return True


def holder_was_killed(folder: Path) -> bool:
    """Whether a process that held the lock was killed: it is still named, and the lock is free."""
    return (folder / HOLDER).is_file() and not is_locked(folder)


def _has_locks(path: Path) -> bool:
    """Whether the file system of a lock knows locks; the file is created if it does not exist."""
    if os.name == "nt":
        return True
    import fcntl

    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in UNSUPPORTED
    finally:
        os.close(descriptor)
    return True


def _holder(folder: Path) -> str:
    try:
        holder = read_json(folder / HOLDER)
        return f"process {holder['pid']} on {holder['host']} is {holder['doing']}"
    except (TfcliError, KeyError):
        return "another process has locked it"
