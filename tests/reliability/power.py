"""A model of a disk that loses power: what may be found on it after any moment of a write.

The operations of a writer are recorded. A disk may or may not have done each of them, in any order,
until they are flushed: the bytes of a file by fsync of the file, names in a folder (created,
renamed, removed) by fsync of the folder. After Pillai et al., "All File Systems Are Not Created
Equal", 2014, without the guarantees that particular file systems add.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class File:
    """The bytes of a file: those flushed, and the writes since."""

    flushed: bytes = b""
    pending: list[tuple[int, bytes]] = field(default_factory=list)

    def whole(self) -> bytes:
        return self.cut(len(self.pending), 0)

    def cut(self, writes: int, of_the_next: int) -> bytes:
        """The content after so many of the pending writes, and so many bytes of the next."""
        data = bytearray(self.flushed)
        done = [*self.pending[:writes]]
        if writes < len(self.pending):
            place, new = self.pending[writes]
            done.append((place, new[:of_the_next]))
        for place, new in done:
            data[place : place + len(new)] = new
        return bytes(data)


FOLLOWED = ("open", "write", "fsync", "close", "mkdir", "rename", "replace", "unlink", "rmdir")

Entry = File | None  # None is a folder
Change = Callable[[dict[str, Entry]], None]


@dataclass
class Disk:
    """Names that are certainly on the disk, and changes of names that may be.

    Attributes:
        names: every path below the root, with what it is.
        changes: not flushed yet, in order, each with the folder of the name.

    """

    names: dict[str, Entry]
    changes: list[tuple[str, Change]] = field(default_factory=list)

    def now(self) -> dict[str, Entry]:
        """What a process sees: all changes made."""
        names = dict(self.names)
        for _, change in self.changes:
            change(names)
        return names

    def flush_folder(self, folder: str) -> None:
        kept = []
        for where, change in self.changes:
            if where == folder:
                change(self.names)
            else:
                kept.append((where, change))
        self.changes = kept

    def after_power_loss(self, rng: random.Random) -> dict[str, bytes | None]:
        """One of the possible states: names, with the bytes of files."""
        names = dict(self.names)
        happened = [change for _, change in self.changes if rng.random() < 0.5]
        if rng.random() < 0.3:
            rng.shuffle(happened)
        for change in happened:
            change(names)
        found: dict[str, bytes | None] = {}
        for path, entry in names.items():
            parents = {str(parent) for parent in Path(path).parents} - {"."}
            if not parents <= names.keys():
                continue  # in a folder that was never created
            if entry is None:
                found[path] = None
            else:
                writes = rng.randint(0, len(entry.pending))
                size = len(entry.pending[writes][1]) if writes < len(entry.pending) else 0
                found[path] = entry.cut(writes, rng.randint(0, size))
        return found


def read_disk(root: Path) -> Disk:
    """The files below a folder, all taken as flushed."""
    return Disk({
        str(path.relative_to(root)): None if path.is_dir() else File(path.read_bytes())
        for path in sorted(root.rglob("*"))
    })  # fmt: skip


def materialize(found: dict[str, bytes | None], root: Path) -> None:
    """Creates the files of a state in an empty folder."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, data in sorted(found.items()):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(data)


@contextmanager
def recorded(root: Path, disk: Disk, at_each: Callable[[], None]) -> Iterator[None]:
    """Applies what is done below `root` to the model; calls `at_each` before each operation."""
    real: dict[str, Any] = {name: getattr(os, name) for name in FOLLOWED}
    opened: dict[int, tuple[str, File | None, list[int]]] = {}

    def below(path: Any, dir_fd: int | None = None) -> str | None:
        if dir_fd is not None:
            return f"{opened[dir_fd][0]}/{os.fsdecode(path)}" if dir_fd in opened else None
        try:
            return str(Path(os.fsdecode(path)).absolute().relative_to(root))
        except ValueError:
            return None

    def parent(name: str) -> str:
        return str(Path(name).parent)

    def change(name: str, act: Change) -> None:
        at_each()
        disk.changes.append((parent(name), act))

    def do_open(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        name = below(path, more.get("dir_fd"))
        existing = disk.now().get(name) if name else None
        descriptor: int = real["open"](path, flags, mode, **more)
        if name is not None:
            entry: Entry = existing
            if flags & os.O_CREAT and existing is None:
                entry = made = File()

                def create(names: dict[str, Entry], name: str = name, made: File = made) -> None:
                    names[name] = made

                change(name, create)
            place = len(entry.whole()) if entry and flags & os.O_APPEND else 0
            opened[descriptor] = (name, entry, [place])
        return descriptor

    def do_write(descriptor: int, data: Any) -> int:
        size: int = real["write"](descriptor, data)
        if descriptor in opened:
            _, entry, place = opened[descriptor]
            if entry is not None:
                at_each()
                entry.pending.append((place[0], bytes(data[:size])))
                place[0] += size
        return size

    def do_fsync(descriptor: int) -> None:
        if descriptor in opened:
            at_each()
            name, entry, _ = opened[descriptor]
            if entry is None:
                disk.flush_folder(name)
            else:
                entry.flushed, entry.pending = entry.whole(), []
        real["fsync"](descriptor)

    def do_close(descriptor: int) -> None:
        opened.pop(descriptor, None)
        real["close"](descriptor)

    def do_mkdir(path: Any, *more: Any, **how: Any) -> None:
        real["mkdir"](path, *more, **how)
        name = below(path, how.get("dir_fd"))
        if name is not None:

            def make(names: dict[str, Entry]) -> None:
                names[name] = None

            change(name, make)

    def do_move(kind: str) -> Callable[..., None]:
        def move(source: Any, target: Any, **how: Any) -> None:
            real[kind](source, target, **how)
            before, after = below(source), below(target)
            if before is None or after is None:
                return

            def rename(names: dict[str, Entry]) -> None:
                moved = {
                    path: names.pop(path)
                    for path in list(names)
                    if path == before or path.startswith(f"{before}/")
                }
                for path, entry in moved.items():
                    names[after + path[len(before) :]] = entry

            change(after, rename)
            for descriptor, (name, entry, place) in list(opened.items()):
                if name == before or name.startswith(f"{before}/"):
                    opened[descriptor] = (after + name[len(before) :], entry, place)

        return move

    def do_remove(kind: str) -> Callable[..., None]:
        def remove(path: Any, **how: Any) -> None:
            name = below(path, how.get("dir_fd"))
            real[kind](path, **how)
            if name is not None:

                def remove_name(names: dict[str, Entry]) -> None:
                    names.pop(name, None)

                change(name, remove_name)

        return remove

    changed = {
        "open": do_open, "write": do_write, "fsync": do_fsync, "close": do_close,
        "mkdir": do_mkdir, "rename": do_move("rename"), "replace": do_move("replace"),
        "unlink": do_remove("unlink"), "rmdir": do_remove("rmdir"),
    }  # fmt: skip
    for name, function in changed.items():
        setattr(os, name, function)
    try:
        yield
    finally:
        for name, function in real.items():
            setattr(os, name, function)
