"""One process at a time in a folder."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from tfcli.errors import ConflictError, TfcliError
from tfcli.files.atomic import read_json, write_json
from tfcli.files.disk import make_folder, translated_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"
HOLDER = ".holder.json"


@contextlib.contextmanager
def lock(folder: Path, *, doing: str) -> Iterator[None]:
    """Keeps every other process that asks for the same lock out of `folder`.

    The operating system releases the lock when the process ends, however it ends.

    Raises:
        ConflictError: another process holds it; the message names the process.

    """
    from filelock import FileLock, Timeout

    make_folder(folder)
    guard = FileLock(folder / LOCK)
    with translated_os_errors(folder / LOCK):
        try:
            guard.acquire(timeout=0.1, poll_interval=0.02)  # `is_locked` takes it for a moment
        except Timeout:
            raise ConflictError(
                f"{folder} is in use", why=_holder(folder), hint="wait for it to end, or stop it"
            ) from None
    try:
        write_json(
            folder / HOLDER, {"pid": os.getpid(), "host": socket.gethostname(), "doing": doing}
        )
        yield
    finally:
        try:
            with contextlib.suppress(OSError):
                os.unlink(folder / HOLDER)
        finally:
            guard.release()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of `folder`."""
    from filelock import FileLock

    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, blocking=False):
            return False
    except OSError:  # held, or no permission to look
        return True


def holder_was_killed(folder: Path) -> bool:
    """Whether a process that held the lock was killed: it is still named, and the lock is free."""
    return (folder / HOLDER).is_file() and not is_locked(folder)


def _holder(folder: Path) -> str:
    try:
        holder = read_json(folder / HOLDER)
        return f"process {holder['pid']} on {holder['host']} is {holder['doing']}"
    except (TfcliError, KeyError):
        return "another process has locked it"
