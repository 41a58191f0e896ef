"""The disk underneath: flushing, free space, removing, and its errors as our own."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shlex
import shutil
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from tfcli.errors import ConflictError, DamagedError, InputOutputError, NotFoundError
from tfcli.files.names import file_not_found

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INTACT = "what was saved is intact; resume an interrupted training with --resume"
QUOTA = getattr(errno, "EDQUOT", errno.ENOSPC)

# What a file system answers that cannot do what it is asked: network drives, FUSE, some containers.
UNSUPPORTED = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOLCK", "ENOSYS", "ENOTSUP", "EOPNOTSUPP")
    if hasattr(errno, name)
}


class FileHash(NamedTuple):
    """The size of a file in bytes, and its SHA-256 in hexadecimal digits."""

    bytes: int
    sha256: str


def hash_file(path: Path) -> FileHash | None:
    """Size and SHA-256 of a file, as `sha256sum` tells it.

    None for a pipe, which is gone, and for what cannot be read: whoever reads it says why.
    """
    try:
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return FileHash(file.tell(), digest)
    except OSError:
        pass
    return None


def flush(descriptor: int) -> None:
    """Flushes a file to the disk; on macOS, fsync alone stops at the drive's own cache."""
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError:
            pass  # a network drive: fsync is the best there is
    os.fsync(descriptor)


def flush_folder(path: Path) -> None:
    """Flushes the names in a folder to the disk, so that a rename survives a power loss.

    Where that cannot be asked for, the file system decides when; as in SQLite, nothing is said.
    """
    if os.name == "nt":  # Windows cannot open a folder, and journals renames itself
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder to write into, but not to read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Creates a folder and its parents where they do not exist."""
    with translated_os_errors(path):
        make_with_parents(path)


def make_with_parents(path: Path) -> None:
    """Creates a folder and flushes its name; otherwise all its content could be lost with it."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        flush_folder(made.parent)


def remove_file(path: Path) -> None:
    """Removes a file if it exists."""
    with translated_os_errors(path):
        path.unlink(missing_ok=True)


def remove_quietly(path: Path) -> None:
    """Removes a folder, a file or a link as far as possible; what remains raises no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        with contextlib.suppress(OSError):
            os.unlink(path)


def require_absent(path: Path) -> None:
    """Raises ConflictError where something exists that would have to be replaced."""
    if path.is_dir() and not any(path.iterdir()) and not path.samefile(os.curdir):
        return
    if path.exists() or path.is_symlink():
        raise ConflictError(f"{path} already exists", hint="choose a path that does not exist")


def require_regular_file(path: Path) -> None:
    """Raises DamagedError for a folder, a pipe or a device; reading the last two may never end.

    What does not exist passes: opening it says so.
    """
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise DamagedError(f"{path} is not a regular file")


def require_parent(path: Path) -> None:
    """Raises NotFoundError where the folder of a file to write is not there.

    For what a person names: a mistyped name must not make folders.
    """
    if not os.path.lexists(os.path.realpath(path.parent)):
        raise NotFoundError(
            f"folder not found: {str(path.parent)!r}",
            hint=f"mkdir -p {shlex.quote(str(path.parent))}",
        )


def require_space(path: Path, needed: int) -> None:
    """Checks that `needed` bytes fit on the disk that holds `path`, before any are written.

    Raises:
        InputOutputError: they do not; the message names both figures.

    """
    free, _ = disk_space(path)
    if free < needed:
        raise InputOutputError(
            f"not enough disk space for {path}",
            why=f"{needed:,} bytes are needed, {free:,} are free",
            hint=f"free some space, or work in a folder on another disk; {INTACT}",
        )


def disk_space(path: Path) -> tuple[int, int]:
    """How many bytes are free on the disk that holds `path`, or will, and how large it is."""
    with translated_os_errors(path):
        existing = next(p for p in (path, *path.absolute().parents) if p.exists())
        usage = shutil.disk_usage(existing)
    return usage.free, usage.total


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
    """An error of the operating system as one of ours, about `path`."""
    reason = error.strerror or str(error)
    if error.errno == QUOTA != errno.ENOSPC:
        return InputOutputError(
            f"could not write {path}: disk quota exceeded", why=reason,
            hint="quota -s   # shows your quota; then free some space, and run the "
            f"same command again; {INTACT}",
        )  # fmt: skip
    if error.errno == errno.ENOSPC:
        with contextlib.suppress(OSError, StopIteration):
            folder = next(p for p in path.absolute().parents if p.exists())
            reason += f"; {shutil.disk_usage(folder).free:,} bytes are free on that disk"
        return InputOutputError(
            f"could not write {path}: the disk is full", why=reason,
            hint=f"free some space, then run the same command again; {INTACT}",
        )  # fmt: skip
    if error.errno == errno.EFBIG:
        return InputOutputError(
            f"could not write {path}: the file is too large", why=reason,
            hint=f"ulimit -f unlimited   # the largest file that may be written; {INTACT}",
        )  # fmt: skip
    if error.errno == errno.ENOENT or isinstance(error, FileNotFoundError):
        return file_not_found(path)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return InputOutputError(
            f"no permission to read or write {path}", why=reason,
            hint=f"ls -ld {shlex.quote(str(_existing_parent(path)))}   # shows the permissions",
        )  # fmt: skip
    if error.errno in {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY}:
        return ConflictError(
            f"{path} is in the way, or a part of its path is", why=reason,
            hint=f"ls -ld {shlex.quote(str(path))}   # shows what is there",
        )  # fmt: skip
    return InputOutputError(f"could not read or write {path}", why=reason)


def _existing_parent(path: Path) -> Path:
    """The closest folder above a path that exists: the one that decides who may write there."""
    for folder in path.parents:
        with contextlib.suppress(OSError):
            if folder.exists():
                return folder
    return path.parent
