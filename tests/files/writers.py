"""The atomic writers of `tfcli.files`, each with a function that reads back what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfcli.files import new_folder, store_by_content, verify_folder, write_file


@dataclass(frozen=True)
class Writer:
    """Writes into a folder; `read` returns the content, or None if there is none."""

    write: Callable[[Path, bytes], object]
    read: Callable[[Path], bytes | None]


def _write_file(folder: Path, data: bytes) -> None:
    write_file(folder / "file", data)


def _read_file(folder: Path) -> bytes | None:
    path = folder / "file"
    return path.read_bytes() if path.exists() else None


def _write_folder(folder: Path, data: bytes) -> None:
    with new_folder(folder / "folder") as writer:
        writer.write("forwards", data)
        writer.write("backwards", data[::-1])


def _read_folder(folder: Path) -> bytes | None:
    path = folder / "folder"
    if not path.exists():
        return None
    verify_folder(path)
    forwards = (path / "forwards").read_bytes()
    assert (path / "backwards").read_bytes() == forwards[::-1]
    return forwards


def _store(folder: Path, data: bytes) -> None:
    store_by_content(folder, [data[:1], data[1:]], suffix=".txt")


def _read_stored(folder: Path) -> bytes | None:
    stored = list(folder.glob("*.txt"))
    return stored[0].read_bytes() if stored else None


WRITERS = {
    "file": Writer(_write_file, _read_file),
    "folder": Writer(_write_folder, _read_folder),
    "stored": Writer(_store, _read_stored),
}
