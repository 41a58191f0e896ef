"""One file, written whole or not at all; and one line, appended."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, cast

from tfcli.errors import DamagedError
from tfcli.files.disk import (
    flush,
    flush_folder,
    make_folder,
    make_with_parents,
    require_regular_file,
    translate_os_error,
    translated_os_errors,
)
from tfcli.files.names import file_not_found
from tfcli.files.records import require_known_schema
from tfcli.files.temporary import BINARY, create_locked_file, temporary_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class FileWriter:
    """A new file, locked while it is written; counts and hashes what goes into it.

    Attributes:
        bytes: how many were written so far.

    """

    def __init__(self, path: Path) -> None:
        self._descriptor = create_locked_file(path)
        self._open = True
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Writes all of `data`; a short write is continued where it stopped."""
        rest = memoryview(data).cast("B")
        self._digest.update(rest)
        self.bytes += len(rest)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    @property
    def sha256(self) -> str:
        """The hash of everything written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def finish(self) -> None:
        """Flushes the file to the disk; it stays locked until `close`."""
        flush(self._descriptor)
        if os.name == "nt":  # renames no open file
            self.close()

    def close(self) -> None:
        """Closes once: a second time, the descriptor might belong to another file.

        After `finish` all is on the disk, so an error in closing loses nothing.
        """
        if self._open:
            self._open = False
            with contextlib.suppress(OSError):
                os.close(self._descriptor)


@contextlib.contextmanager
def _renamed_when_done(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` if the block succeeds; otherwise nothing is left."""
    with translated_os_errors(path):
        make_with_parents(path.parent)
        temporary = temporary_name(path)
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        flush_folder(path.parent)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[FileWriter]:
    """Opens a file for writing; it appears at `path`, complete, if the block succeeds.

    Raises:
        InputOutputError: the disk refused; what was at `path` before is unchanged.

    """
    with contextlib.ExitStack() as after_rename, _renamed_when_done(path) as temporary:
        file = FileWriter(temporary)
        after_rename.callback(file.close)  # until then the file is locked: see `abandoned`
        try:
            yield file
            file.finish()
        except BaseException:
            file.close()  # Windows removes no open file
            raise


@contextlib.contextmanager
def external_writer(path: Path) -> Iterator[Path]:
    """A temporary path for a library that writes files itself; it becomes `path` as in `new_file`.

    Raises:
        InputOutputError: the disk refused; what was at `path` before is unchanged.

    """
    with _renamed_when_done(path) as temporary:
        try:
            yield temporary
        except OSError as error:
            if error.errno is None:  # how numpy reports a short write
                raise _why_no_more(temporary) from None
            raise
        descriptor = os.open(temporary, os.O_RDWR | BINARY)
        try:
            flush(descriptor)
        finally:
            os.close(descriptor)


def _why_no_more(path: Path) -> OSError:
    """What the system says to one more byte of a file that was cut short."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | BINARY)
        try:
            os.write(descriptor, b"\0")
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_file(path: Path, data: bytes) -> None:
    """Writes `data` as the whole content of `path`, atomically."""
    with new_file(path) as file:
        file.write(data)


def store_by_content(folder: Path, chunks: Iterable[bytes], *, suffix: str) -> Path:
    """Writes a stream to a file named after its SHA-256, which only its end tells.

    Returns:
        The path of the file.
    """
    make_folder(folder)
    with translated_os_errors(folder):
        temporary = temporary_name(folder / "stream")
        file = FileWriter(temporary)
        try:
            for chunk in chunks:
                file.write(chunk)
            file.finish()
            path = folder / f"{file.sha256[:32]}{suffix}"
            os.replace(temporary, path)
        except BaseException:
            file.close()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            file.close()
        flush_folder(folder)
    return path


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_file(path, to_json(value))


def to_json(value: object) -> bytes:
    """The one JSON format of our files: indented, keys in insertion order, a final newline.

    What is not Unicode, as in some file names, is escaped, so the file is always valid UTF-8.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")


def write_checked_json(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON object with its own SHA-256 as the last key; see `read_checked_json`."""
    write_json(path, value | {"sha256": hashlib.sha256(to_json(value)).hexdigest()})


def read_checked_json(path: Path, *, schema: int) -> dict[str, Any]:
    """Reads what `write_checked_json` wrote, without the hash.

    Args:
        schema: the highest value of the key `schema` that this version understands.

    Raises:
        NotFoundError: the file does not exist.
        DataError: a newer tfcli wrote it.
        DamagedError: its content does not match its hash.
    """
    value = read_json(path)
    require_known_schema(value.get("schema"), schema, path)
    written = value.pop("sha256", None)
    try:
        actual = hashlib.sha256(to_json(value)).hexdigest()
    except RecursionError:  # nested deeper than anything we write
        actual = None
    if actual is None or written != actual:
        raise DamagedError(f"{path} is damaged", why="its SHA-256 does not match")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        NotFoundError: the file does not exist.
        DamagedError: it is not a JSON object in UTF-8.

    """
    try:
        require_regular_file(path)
        value = json.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise file_not_found(path) from None
    except OSError as error:
        raise translate_os_error(error, path) from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is not valid JSON", why=str(error)) from None
    if not isinstance(value, dict):
        raise DamagedError(f"{path} does not hold a JSON object")
    return cast("dict[str, Any]", value)


def append_line(path: Path, line: bytes) -> None:
    """Appends one line to `path`, on a new line after a torn one that a kill left behind."""
    with translated_os_errors(path):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | BINARY, 0o666)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end:
                os.lseek(descriptor, end - 1, os.SEEK_SET)
                if os.read(descriptor, 1) != b"\n":
                    line = b"\n" + line
            rest = memoryview(line + b"\n")
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
