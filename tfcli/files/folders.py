"""One folder, written whole or not at all, with a manifest against which every byte is checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tfcli.errors import DamagedError, NotFoundError
from tfcli.files.atomic import FileWriter, to_json
from tfcli.files.disk import (
    flush_folder,
    make_with_parents,
    remove_quietly,
    require_regular_file,
    translate_os_error,
    translated_os_errors,
)
from tfcli.files.names import NAME
from tfcli.files.records import require_known_schema
from tfcli.files.temporary import locked_folder, temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

Content = TypeVar("Content")

MANIFEST = "MANIFEST.json"
MANIFEST_SCHEMA = 1
REPLACED = ".old-"


class FolderWriter:
    """A folder being written, file by file; see `new_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, dict[str, object]] = {}

    @contextlib.contextmanager
    def new_file(self, name: str) -> Iterator[FileWriter]:
        """Opens `name` in the folder, to be written in chunks."""
        assert NAME.fullmatch(name), "verify_folder would refuse it"
        with contextlib.closing(FileWriter(self.path / name)) as file:
            yield file
            file.finish()
        self._entries[name] = {"bytes": file.bytes, "sha256": file.sha256}

    def write(self, name: str, data: bytes) -> None:
        """Writes one whole file."""
        with self.new_file(name) as file:
            file.write(data)

    def finish(self) -> None:
        """Writes the manifest, last, and flushes the folder."""
        manifest = {"schema": MANIFEST_SCHEMA, "files": self._entries}
        with contextlib.closing(FileWriter(self.path / MANIFEST)) as file:
            file.write(to_json(manifest))
            file.finish()
        flush_folder(self.path)


@contextlib.contextmanager
def new_folder(path: Path, *, replace: bool = True) -> Iterator[FolderWriter]:
    """Opens a folder for writing; it appears at `path`, with its manifest, if the block succeeds.

    Args:
        replace: whether an existing folder is replaced, just before the rename.

    Raises:
        ConflictError: a folder with something in it exists, and is not to be replaced.
        InputOutputError: the disk refused; what was at `path` before is unchanged.

    """
    with translated_os_errors(path):
        make_with_parents(path.parent)
        temporary = temporary_name(path)
        try:
            with locked_folder(temporary):
                folder = FolderWriter(temporary)
                yield folder
                folder.finish()
                if replace and os.path.lexists(path):
                    _replace(path, temporary)
                else:
                    os.rename(temporary, path)  # fails on a folder that is not empty
                    flush_folder(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _replace(path: Path, new: Path) -> None:
    """Puts `new` in the place of `path`, which is removed once `new` is safely on the disk."""
    aside = path.with_name(f"{REPLACED}{path.name}")
    remove_quietly(aside)
    os.rename(path, aside)  # after a kill before the next rename, `remove_leftovers` puts it back
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(aside, path)
        raise
    flush_folder(path.parent)
    remove_quietly(aside)


def read_folder(path: Path, read: Callable[[Path], Content]) -> Content:
    """Calls `read` with the path of a folder that another process may replace at any moment.

    If the folder is replaced meanwhile, `read` is called again, so that all it returns is from one
    folder. Between the two renames of a replacement, and after a kill there, that folder is the one
    set aside.

    Raises:
        Whatever `read` raises for a folder that was not replaced.

    """
    while True:
        place, identity = _find(path)
        try:
            content = read(place)
        except (DamagedError, NotFoundError):
            if _find(path) == (place, identity):
                raise
        else:
            if _find(path) == (place, identity):
                return content


def _find(path: Path) -> tuple[Path, tuple[int, ...] | None]:
    """Where a folder is, and what tells it from the one that may replace it."""
    for place in (path, path.parent / f"{REPLACED}{path.name}"):
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            identity = _stamp(place)
            with contextlib.suppress(OSError):  # the next folder may reuse the inode number
                identity += _stamp(place / MANIFEST)
            return place, identity
    return path, None


def _stamp(path: Path) -> tuple[int, ...]:
    """What identifies a file or folder; for a folder, nothing that changes with the files in it."""
    status = os.stat(path)
    changed = () if path.is_dir() else (status.st_mtime_ns,)
    return (status.st_dev, status.st_ino, *changed)


def verify_folder(path: Path, *, only_size_of: str | None = None) -> None:
    """Reads every file of a folder and compares it with the manifest.

    Args:
        only_size_of: a file of which only the size is compared, not the content.

    Raises:
        DamagedError: the manifest is missing or altered, or a file is missing or differs from it.
        DataError: a newer tfcli wrote it.
    """
    for name, (size, sha256) in _read_manifest(path / MANIFEST).items():
        _verify(path / name, size, None if name == only_size_of else sha256)


def verify_file(path: Path) -> None:
    """Compares a single file of a folder with the folder's manifest; see `verify_folder`."""
    entries = _read_manifest(path.parent / MANIFEST)
    if path.name not in entries:
        raise DamagedError(f"{path} is not in the manifest")
    _verify(path, *entries[path.name])


def recorded_sha256(path: Path) -> str:
    """The SHA-256 of a file of a folder, as the folder's manifest has it.

    Raises:
        DamagedError: the manifest is missing or altered, or does not name the file.

    """
    entries = _read_manifest(path.parent / MANIFEST)
    if path.name not in entries:
        raise DamagedError(f"{path} is not in the manifest")
    return entries[path.name][1]


def _verify(path: Path, size: int, sha256: str | None) -> None:
    with _reading(path) as file:
        actual = os.fstat(file.fileno()).st_size
        if actual != size:
            raise DamagedError(f"{path} has {actual:,} bytes instead of {size:,}")
        if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise DamagedError(f"{path} is damaged", why="its SHA-256 does not match")


def _read_manifest(path: Path) -> dict[str, tuple[int, str]]:
    try:
        with _reading(path) as file:
            raw = file.read()
    except DamagedError:
        raise DamagedError(f"{path.parent} has no {MANIFEST}: it is incomplete") from None
    try:
        manifest = json.loads(raw.decode())
        require_known_schema(manifest["schema"], MANIFEST_SCHEMA, path.parent)
        entries = {name: (e["bytes"], e["sha256"]) for name, e in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedError(f"{path} is not a manifest") from None
    for name, (size, sha256) in entries.items():
        if not NAME.fullmatch(name) or type(size) is not int or type(sha256) is not str:
            raise DamagedError(f"{path} has an invalid entry: {name!r}")
    # written again from what was read, it must be the same to the byte: nothing else may be in it
    files = {name: {"bytes": size, "sha256": sha} for name, (size, sha) in entries.items()}
    if raw != to_json({"schema": MANIFEST_SCHEMA, "files": files}):
        raise DamagedError(f"{path} is damaged", why="it is not what tfcli writes")
    return entries


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BufferedReader]:
    """Opens a file of a folder; a missing file is damage."""
    try:
        require_regular_file(path)
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except OSError as error:
        raise translate_os_error(error, path) from error


def remove_folder(path: Path) -> None:
    """Removes a folder: out of sight in one rename, then off the disk."""
    with translated_os_errors(path):
        doomed = temporary_name(path)
        os.rename(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)
