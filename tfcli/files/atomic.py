"""One file: written whole or not at all; and one line, added at the end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Any, cast

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files.disk import (
    BINARY,
    flush,
    flush_folder,
    make_folder,
    make_with_parents,
    temporary_name,
    translate_os_error,
    translated_os_errors,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class FileWriter:
    """A file being written: counts and hashes what goes into it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | BINARY, 0o666)
        self._open = True
        self._digest = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Writes all of `data`; a short write is taken up where it broke off."""
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
        """Flushes the file to the disk itself, then closes it."""
        try:
            flush(self._descriptor)
        finally:
            self._close()

    def abandon(self) -> None:
        """Closes the file without caring what is in it."""
        with contextlib.suppress(OSError):
            self._close()

    def _close(self) -> None:
        """Closes once: a second time, the descriptor might be that of another file."""
        if self._open:
            self._open = False
            os.close(self._descriptor)


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well; else nothing remains of it."""
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
    """Opens a file to be written; it appears at `path`, complete, when the block ends well.

    Raises:
        InputOutputError: the disk refused; whatever stood at `path` before still stands.

    """
    with _appearing(path) as temporary:
        writer = FileWriter(temporary)
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.abandon()
            raise


@contextlib.contextmanager
def external_writer(path: Path) -> Iterator[Path]:
    """A temporary path for a library that writes by itself; it becomes `path` as in `new_file`.

    Raises:
        InputOutputError: the disk refused; whatever stood at `path` before still stands.

    """
    with _appearing(path) as temporary:
        yield temporary
        descriptor = os.open(temporary, os.O_RDWR | BINARY)
        try:
            flush(descriptor)
        finally:
            os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Writes `data` as the whole content of `path`, atomically."""
    with new_file(path) as file:
        file.write(data)


def store_by_content(folder: Path, chunks: Iterable[bytes], *, suffix: str) -> Path:
    """Writes a stream whose name is known only at its end: its SHA-256; returns the path."""
    make_folder(folder)
    with translated_os_errors(folder):
        temporary = temporary_name(folder / "arriving")
        writer = FileWriter(temporary)
        try:
            for chunk in chunks:
                writer.write(chunk)
            writer.finish()
            path = folder / f"{writer.sha256[:32]}{suffix}"
            os.replace(temporary, path)
        except BaseException:
            writer.abandon()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        flush_folder(folder)
    return path


def remove_file(path: Path) -> None:
    """Takes a file away, if it is there."""
    with translated_os_errors(path):
        path.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Writes `value` as indented JSON, atomically."""
    write_file(path, to_json(value))


def to_json(value: object) -> bytes:
    """The one JSON form of our files: indented, keys in their own order, a final newline.

    What is not Unicode, as in some file names, is escaped, so the file is valid UTF-8 always.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace")


def write_checked_json(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON object with the SHA-256 of itself as the last key; see `read_checked_json`."""
    write_json(path, value | {"sha256": hashlib.sha256(to_json(value)).hexdigest()})


def read_checked_json(path: Path, *, schema: int) -> dict[str, Any]:
    """Reads what `write_checked_json` wrote, without the hash.

    Args:
        schema: the highest value of the key `schema` that we understand.

    Raises:
        NotFoundError: there is no such file.
        DataError: a newer tfcli wrote it.
        DamagedError: it is not as it was written.
    """
    value = read_json(path)
    if type(value.get("schema")) is int and value["schema"] > schema:
        raise DataError(f"{path} was written by a newer tfcli", hint="pip install --upgrade tfcli")
    written = value.pop("sha256", None)
    try:
        actual = hashlib.sha256(to_json(value)).hexdigest()
    except RecursionError:  # nested deeper than anything we write
        actual = None
    if actual is None or written != actual:
        raise DamagedError(f"{path} is not as it was written", why="its SHA-256 differs")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        NotFoundError: there is no such file.
        DamagedError: it is not a JSON object in UTF-8.

    """
    try:
        require_regular_file(path)
        value = json.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise NotFoundError(f"{path} is not there") from None
    except OSError as error:
        raise translate_os_error(error, path) from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is not readable JSON", why=str(error)) from None
    if not isinstance(value, dict):
        raise DamagedError(f"{path} does not hold a JSON object")
    return cast("dict[str, Any]", value)


def require_regular_file(path: Path) -> None:
    """Raises a DamagedError for a pipe or a device, which might never end."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DamagedError(f"{path} is no file")


def append_line(path: Path, line: bytes) -> None:
    """Adds one line to `path`, beginning afresh after a torn one that a kill left behind."""
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
