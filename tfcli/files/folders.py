"""One folder: written whole or not at all, with a manifest by which every byte can be checked."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, DataError
from tfcli.files.atomic import FileWriter, to_json
from tfcli.files.disk import TEMPORARY, explain, explained, flush_folder, temporary_name

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "MANIFEST.json"
MANIFEST_SCHEMA = 1


class FolderWriter:
    """A folder being written, file by file; see `new_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._entries: dict[str, dict[str, object]] = {}
        os.mkdir(path)

    @contextlib.contextmanager
    def new_file(self, name: str) -> Iterator[FileWriter]:
        """Opens `name` in the folder, to be written in pieces."""
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
def new_folder(path: Path) -> Iterator[FolderWriter]:
    """Opens a folder to be written; it appears at `path`, with its manifest, when the block ends.

    A folder that stood there before makes way just before the rename.

    Raises:
        InputOutputError: the disk refused; what stood at `path` before still stands.

    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_name(path)
        try:
            writer = FolderWriter(temporary)
            yield writer
            writer.finish()
            if path.exists():
                remove_folder(path)
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        flush_folder(path.parent)


def verify_folder(path: Path) -> None:
    """Reads every file of a folder back and compares it with the manifest.

    Raises:
        DamagedError: the manifest is missing or not as written, or a file is missing, shorter,
            longer or different.

    """
    manifest_path = path / MANIFEST
    try:
        raw = manifest_path.read_bytes()
    except FileNotFoundError:
        raise DamagedError(f"{path} has no {MANIFEST}: it was never finished") from None
    except OSError as error:
        raise explain(error, manifest_path) from error
    try:
        manifest = json.loads(raw)
        schema = manifest["schema"]
        entries = [
            (str(n), int(e["bytes"]), str(e["sha256"])) for n, e in manifest["files"].items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedError(f"{manifest_path} is not a manifest") from None
    if isinstance(schema, int) and schema > MANIFEST_SCHEMA:
        raise DataError(
            f"{path} was written by a newer tfcli (manifest schema {schema})",
            mend="pip install --upgrade tfcli",
        )
    if raw != to_json(manifest):  # so that a changed bit in the manifest itself is noticed too
        raise DamagedError(f"{manifest_path} is not as it was written")
    for name, size, sha256 in entries:
        if Path(name).name != name:
            raise DamagedError(f"{manifest_path} names {name!r}, which is not a plain file name")
        _verify_file(path / name, size, sha256)


def remove_folder(path: Path) -> None:
    """Takes a folder away: out of sight in one rename, then off the disk."""
    with explained(path):
        doomed = temporary_name(path)
        os.rename(path, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> list[Path]:
    """Removes what killed writers left in `folder`; returns what it removed.

    Only to be called while nobody else can be writing there: under the folder's lock.
    """
    litter = find_litter(folder)
    for path in litter:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
    return litter


def find_litter(folder: Path) -> list[Path]:
    """The temporary files and folders in `folder`."""
    return sorted(folder.glob(f"{TEMPORARY}*")) if folder.is_dir() else []


def _verify_file(path: Path, size: int, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            actual = os.fstat(file.fileno()).st_size
            if actual != size:
                raise DamagedError(f"{path} has {actual:,} bytes instead of {size:,}")
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise DamagedError(f"{path} is not as it was written", why="its SHA-256 differs")
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing") from None
    except OSError as error:
        raise explain(error, path) from error
