"""The disk beneath: flushing, room, temporary names, and its errors in our own words."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

from tfcli.errors import ConflictError, InputOutputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPORARY = ".tmp-"
BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
_DISK_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


INTACT = "what was saved is intact: a training that was begun goes on with --resume"


def temporary_name(path: Path) -> Path:
    """A name beside `path` that nobody else has."""
    return path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}-{secrets.token_hex(4)}")


def flush(descriptor: int) -> None:
    """Flushes a file to the disk itself: on macOS fsync alone stops at the drive's own cache."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError:
            pass  # a network drive: what follows is the best there is
    os.fsync(descriptor)


def flush_folder(path: Path) -> None:
    """Flushes the names in a folder to the disk, so that a rename survives a power cut."""
    if os.name == "nt":  # Windows cannot open a folder, and journals the rename by itself
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Makes a folder and its parents, where they are not there yet."""
    with translated_os_errors(path):
        make_with_parents(path)


def make_with_parents(path: Path) -> None:
    """Makes a folder, and flushes its name: else all that is written into it could go with it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        flush_folder(made.parent)


def require_absent(path: Path) -> None:
    """Raises ConflictError where something stands that would have to make way."""
    if path.is_dir() and not any(path.iterdir()) and not path.samefile(os.curdir):
        return
    if path.exists() or path.is_symlink():
        raise ConflictError(f"{path} is there already", hint="name what is not there yet")


def require_space(path: Path, needed: int) -> None:
    """Checks that `needed` bytes fit on the disk that holds `path`, before any is written.

    Raises:
        InputOutputError: they do not; the message names both figures.

    """
    with translated_os_errors(path):
        existing = next(p for p in (path, *path.absolute().parents) if p.exists())
        free = shutil.disk_usage(existing).free
    if free < needed:
        raise InputOutputError(
            f"not enough room on the disk for {path}",
            why=f"{needed:,} bytes are needed, {free:,} are free",
            hint=f"make room, or work in a folder on another disk; {INTACT}",
        )


@contextlib.contextmanager
def translated_os_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's errors inside the block into our own, about `path`."""
    try:
        yield
    except OSError as error:
        raise translate_os_error(error, path) from error


def translate_os_error(
    error: OSError, path: Path
) -> InputOutputError | NotFoundError | ConflictError:
    """An operating system's error in our own words."""
    reason = error.strerror or str(error)
    if error.errno in _DISK_FULL:
        with contextlib.suppress(OSError, StopIteration):
            folder = next(p for p in path.absolute().parents if p.exists())
            reason += f"; {shutil.disk_usage(folder).free:,} bytes are free on that disk"
        return InputOutputError(
            f"{path} could not be written: the disk is full", why=reason,
            hint=f"make room, and run the same command again; {INTACT}",
        )  # fmt: skip
    if error.errno == errno.ENOENT or isinstance(error, FileNotFoundError):
        return NotFoundError(f"{path} is not there")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return InputOutputError(
            f"{path} may not be read or written", why=reason,
            hint=f"ls -ld {shlex.quote(str(path.parent))}   # who may do what there",
        )  # fmt: skip
    if error.errno in {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY}:
        return ConflictError(
            f"{path} is in the way, or something on its path is", why=reason,
            hint=f"ls -ld {shlex.quote(str(path))}   # what stands there",
        )  # fmt: skip
    return InputOutputError(f"{path} could not be read or written", why=reason)
