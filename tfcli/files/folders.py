"""One folder: written whole or not at all, with a manifest by which every byte can be checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files.atomic import FileWriter, to_json
from tfcli.files.disk import (
    TEMPORARY,
    flush_folder,
    make_with_parents,
    temporary_name,
    translate_os_error,
    translated_os_errors,
)
from tfcli.files.names import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedReader

Found = TypeVar("Found")

MANIFEST = "MANIFEST.json"
MANIFEST_SCHEMA = 1
REPLACED = ".old-"


class FolderWriter:
    """A folder being written, file by file; see `new_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, dict[str, object]] = {}
        os.mkdir(path)

    @contextlib.contextmanager
    def new_file(self, name: str) -> Iterator[FileWriter]:
        """Opens `name` in the folder, to be written in pieces."""
        assert NAME.fullmatch(name), "verify_folder would refuse it"
        writer = FileWriter(self.path / name)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise
        writer.finish()
        self._entries[name] = {"bytes": writer.bytes, "sha256": writer.sha256}

    def write(self, name: str, data: bytes) -> None:
        """Writes one whole file."""
        with self.new_file(name) as file:
            file.write(data)

    def finish(self) -> None:
        """Writes the manifest, last, and flushes the folder."""
        manifest = {"schema": MANIFEST_SCHEMA, "files": self._entries}
        writer = FileWriter(self.path / MANIFEST)
        try:
            writer.write(to_json(manifest))
        except BaseException:
            writer.abandon()
            raise
        writer.finish()
        flush_folder(self.path)


@contextlib.contextmanager
def new_folder(path: Path, *, replace: bool = True) -> Iterator[FolderWriter]:
    """Opens a folder to be written; it appears at `path`, with its manifest, when the block ends.

    Args:
        replace: whether a folder that stands there then makes way, just before the rename.

    Raises:
        ConflictError: one stands there, with something in it, and is not to make way.
        InputOutputError: the disk refused; what stood at `path` before still stands.

    """
    with translated_os_errors(path):
        make_with_parents(path.parent)
        temporary = temporary_name(path)
        try:
            writer = FolderWriter(temporary)
            yield writer
            writer.finish()
            if replace and os.path.lexists(path):
                _replace(path, temporary)
            else:
                os.rename(temporary, path)  # never in the place of a folder that is not empty
                flush_folder(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _replace(path: Path, new: Path) -> None:
    """Puts `new` in the place of `path`, which goes only once the new one is safe on the disk."""
    aside = path.with_name(f"{REPLACED}{path.name}")
    _remove(aside)
    os.rename(path, aside)  # after a kill between the two renames `sweep` puts it back
    try:
        os.rename(new, path)
    except BaseException:
        os.rename(aside, path)
        raise
    flush_folder(path.parent)
    _remove(aside)


def read_folder(path: Path, read: Callable[[Path], Found]) -> Found:
    """Calls `read` with the place of a folder that another process may replace at any moment.

    Where that happens meanwhile it is called again, so that all it has read is of one folder. For
    the moment between the two renames, and after a kill in it, the folder set aside is the one.

    Raises:
        Whatever `read` raised of a folder that stayed where it was.

    """
    while True:
        place, identity = _find(path)
        try:
            found = read(place)
        except (DamagedError, NotFoundError):
            if _find(path) == (place, identity):
                raise
        else:
            if _find(path) == (place, identity):
                return found


def _find(path: Path) -> tuple[Path, tuple[int, ...] | None]:
    """Where a folder lies, and what tells it from the next one there."""
    for place in (path, path.parent / f"{REPLACED}{path.name}"):
        with contextlib.suppress(OSError, ValueError):  # a name that no file can have
            identity = _stamp(place)
            with contextlib.suppress(OSError):  # it tells those apart that got the same number
                identity += _stamp(place / MANIFEST)
            return place, identity
    return path, None


def _stamp(path: Path) -> tuple[int, ...]:
    """Nothing of a folder that changes with the files in it: somebody may be at work there."""
    status = os.stat(path)
    changed = () if path.is_dir() else (status.st_mtime_ns,)
    return (status.st_dev, status.st_ino, *changed)


def _remove(path: Path) -> None:
    """Takes a folder, a file or a link away; where that fails, it stays for `sweep`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        with contextlib.suppress(OSError):
            os.unlink(path)


def verify_folder(path: Path, *, only_size_of: str | None = None) -> None:
    """Reads every file of a folder back and compares it with the manifest.

    Args:
        only_size_of: a file not to be read, since the caller has another check of its content.

    Raises:
        DamagedError: the manifest is missing or not as written, or a file is missing, shorter,
            longer or different.
        DataError: a newer tfcli wrote it.
    """
    for name, (size, sha256) in _read_manifest(path / MANIFEST).items():
        _verify(path / name, size, None if name == only_size_of else sha256)


def verify_file(path: Path) -> None:
    """The same for a single file of a folder."""
    entries = _read_manifest(path.parent / MANIFEST)
    if path.name not in entries:
        raise DamagedError(f"{path} is not in the manifest")
    _verify(path, *entries[path.name])


def _verify(path: Path, size: int, sha256: str | None) -> None:
    with _reading(path) as file:
        actual = os.fstat(file.fileno()).st_size
        if actual != size:
            raise DamagedError(f"{path} has {actual:,} bytes instead of {size:,}")
        if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise DamagedError(f"{path} is not as it was written", why="its SHA-256 differs")


def _read_manifest(path: Path) -> dict[str, tuple[int, str]]:
    try:
        with _reading(path) as file:
            raw = file.read()
    except DamagedError:
        raise DamagedError(f"{path.parent} has no {MANIFEST}: it was never finished") from None
    try:
        manifest = json.loads(raw.decode())
        schema = manifest["schema"]
        if type(schema) is int and schema > MANIFEST_SCHEMA:
            raise DataError(
                f"{path.parent} was written by a newer tfcli (manifest schema {schema})",
                hint="pip install --upgrade tfcli",
            )
        entries = {name: (e["bytes"], e["sha256"]) for name, e in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedError(f"{path} is not a manifest") from None
    for name, (size, sha256) in entries.items():
        if not NAME.fullmatch(name) or type(size) is not int or type(sha256) is not str:
            raise DamagedError(f"{path} has an entry that cannot be: {name!r}")
    # written again from what was understood it must be the same to the byte: nothing too many
    files = {name: {"bytes": size, "sha256": sha} for name, (size, sha) in entries.items()}
    if raw != to_json({"schema": MANIFEST_SCHEMA, "files": files}):
        raise DamagedError(f"{path} is not as it was written")
    return entries


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BufferedReader]:
    """Opens a regular file to be read; what is missing, or no such file, is damage."""
    try:
        if not path.is_file():  # a folder; or a pipe or device, which might never end
            raise DamagedError(f"{path} is missing")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except OSError as error:
        raise translate_os_error(error, path) from error


def remove_folder(path: Path) -> None:
    """Takes a folder away: out of sight in one rename, then off the disk."""
    with translated_os_errors(path):
        doomed = temporary_name(path)
        os.rename(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> list[Path]:
    """Removes what killed writers left in `folder`, and puts back what one had set aside.

    Only to be called while nobody else can be writing there: under the folder's lock.

    Returns:
        What was removed.
    """
    needed = set()
    for aside in folder.glob(f"{REPLACED}?*"):
        path = aside.with_name(aside.name.removeprefix(REPLACED))
        if not path.exists() or (path.is_dir() and not os.listdir(path)):
            needed.add(aside)  # where it cannot be put back it is still all that there is
            with contextlib.suppress(OSError):
                if path.is_symlink():
                    os.unlink(path)
                os.rename(aside, path)
    leftovers = [path for path in find_litter(folder) if path not in needed]
    for path in leftovers:
        _remove(path)
    return [path for path in leftovers if not path.exists() and not path.is_symlink()]


def find_litter(folder: Path) -> list[Path]:
    """The temporary files and folders in `folder`, and those that were replaced."""
    return sorted([*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"{REPLACED}*")])
