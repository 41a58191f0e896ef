"""Which files the user's arguments stand for: files, folders, globs, `-`, each with a weight.

In a folder or a glob, only texts are meant: what tfcli wrote itself, what programs keep for
themselves, and what turns out not to be text is left out, and named. A file that is named itself
has to be text.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import os
import re
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import (
    DataError,
    InputOutputError,
    NotFoundError,
    UsageError,
)
from tfcli.files import file_not_found
from tfcli.text.byte_streams import STDIN, read_raw
from tfcli.text.ignored import Ignored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


MIN_WEIGHT, MAX_WEIGHT = 0.01, 100

# Folders that programs fill: packages, caches, environments.
FOREIGN = {"node_modules", "__pycache__", "site-packages", "__MACOSX"}
NUMBERS = re.compile(r"([^0-9]*)([0-9]*)")  # what stands before a number, and the number
LOCK = re.compile(r"~\$.*|\.~lock\..*#")  # what Word and LibreOffice keep beside an open document
HIDDEN = "hidden"  # why a folder is left out whose name begins with a dot


@dataclass(frozen=True)
class Group:
    """The files of one argument, and how often they come in an epoch (1: once).

    Attributes:
        named: whether the argument is the file itself, which then has to be text.

    """

    files: tuple[Path, ...]
    weight: float
    named: bool


@dataclass(frozen=True)
class Sources:
    """The files that the user's arguments stand for.

    Attributes:
        left_out: files and folders that were found and are not read, each with the reason.
        matched: the patterns of `exclude` that something was found for.
        arguments: what they were found by, as absolute paths; `-` as it is.
        exclude: the patterns of what was not meant.

    """

    groups: tuple[Group, ...]
    left_out: tuple[tuple[Path, str], ...] = ()
    matched: frozenset[str] = frozenset()
    arguments: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of all arguments, in their order."""
        return tuple(path for group in self.groups for path in group.files)

    @property
    def met(self) -> tuple[Path, ...]:
        """The files of all arguments, and those that were left out, such as copies."""
        return (*self.files, *(path for path, _ in self.left_out))

    @property
    def found(self) -> frozenset[Path]:
        """The files that were found in folders or by globs, not named."""
        return frozenset(p for group in self.groups if not group.named for p in group.files)

    @property
    def weighted(self) -> bool:
        """Whether some come more often than others."""
        return len({group.weight for group in self.groups}) > 1


def find_sources(arguments: Sequence[str], exclude: Sequence[str] = ()) -> Sources:
    """Resolves files, folders, glob patterns and `-` (standard input), with or without `:WEIGHT`.

    A folder stands for all files in it, sorted by path (2 before 10), except hidden ones, what
    `exclude` or a `.gitignore` in it, below it, or above it in a repository names, and what tfcli
    or other programs keep there.

    Args:
        exclude: patterns as in a `.gitignore`, for files in folders and from globs.

    Raises:
        NotFoundError: an argument matches nothing.
        UsageError: a weight is outside 0.01 to 100.
        DataError: no file is left.

    """
    groups: list[Group] = []
    left_out: list[tuple[Path, str]] = []
    seen: dict[object, Path] = {}
    matched: set[str] = set()
    resolved = [
        (weight, *_find(name, exclude, matched)) for name, weight in map(split_weight, arguments)
    ]
    own = {_place(path) for _, found, _, named in resolved if named for path in found}
    written = _own_output()
    for weight, found, skipped, named in resolved:
        left_out += skipped
        kept = []
        for path in found:
            if not named and _place(path) in written:
                left_out.append((path, "written by this command"))
                continue
            if not named and _place(path) in own:
                left_out.append((path, "named itself"))
                continue
            first = seen.setdefault(_place(path), path)
            if first is path:
                kept.append(path)
            else:
                left_out.append((path, "given twice" if named else "named already"))
        if kept:
            groups.append(Group(tuple(kept), weight, named))
    groups, copies = _without_copies(groups)
    left_out += copies
    if not groups:
        why = "; ".join(f"{path}: {reason}" for path, reason in left_out[:5])
        raise DataError("no text files found", why=why or None)
    left_out.sort(key=lambda each: each[1] == HIDDEN)  # named last: they are no surprise
    absolute = tuple(each if each == "-" else str(Path(each).absolute()) for each in arguments)
    return Sources(
        tuple(groups), tuple(left_out), frozenset(matched), absolute, tuple(exclude)
    )  # fmt: skip


def _place(path: Path) -> object:
    """What two names of one file have in common."""
    if path == STDIN:
        return path
    try:
        status = path.stat()
    except OSError:
        return path
    return status.st_dev, status.st_ino


def _own_output() -> set[object]:
    """The files that stdout and stderr go to, as in `tfcli train . 2> log`: they grow meanwhile."""
    found: set[object] = set()
    for stream in (1, 2):
        try:
            status = os.fstat(stream)
        except OSError:  # closed
            continue
        if stat.S_ISREG(status.st_mode):
            found.add((status.st_dev, status.st_ino))
    return found


def _without_copies(
    groups: Sequence[Group],
) -> tuple[list[Group], list[tuple[Path, str]]]:
    """Leaves out files with the same bytes as an earlier one.

    A copy would be trained on where the other is held out.
    """
    by_size: dict[int, list[Path]] = {}
    for path in (path for group in groups for path in group.files):
        if path != STDIN and path.is_file() and (size := path.stat().st_size):
            by_size.setdefault(size, []).append(path)
    first: dict[bytes, Path] = {}
    copies: dict[Path, Path] = {}
    for path in itertools.chain.from_iterable(p for p in by_size.values() if len(p) > 1):
        digest = hashlib.sha256()
        try:
            for block in read_raw(path):
                digest.update(block)
        except (InputOutputError, NotFoundError):
            continue  # is said where it is read for its text
        earlier = first.setdefault(digest.digest(), path)
        if earlier is not path:
            copies[path] = earlier
    kept = [
        Group(files, group.weight, group.named)
        for group in groups
        if (files := tuple(path for path in group.files if path not in copies))
    ]
    return kept, [(path, f"the same as {earlier}") for path, earlier in copies.items()]


def without_held_out(sources: Sources, val: Sources) -> Sources:
    """The sources without those that are held out.

    Raises:
        DataError: nothing is left.

    """
    groups = [Group(group.files, 1.0, named=True) for group in val.groups]
    files = {_place(path) for path in val.files}
    named = [
        Group(rest, group.weight, group.named)
        for group in sources.groups
        if (rest := tuple(path for path in group.files if _place(path) not in files))
    ]
    kept, copies = _without_copies([*groups, *named])
    kept = [group for group in kept if group in named or not set(group.files) & set(val.files)]
    left_out = [(path, "held out") for path in sources.files if _place(path) in files]
    if not kept:
        raise DataError("no text is left to train on", why="all of it is held out by --val")
    matched = sources.matched | val.matched
    left_out = [*sources.left_out, *left_out, *copies]
    return replace(sources, groups=tuple(kept), left_out=tuple(left_out), matched=matched)


def split_weight(argument: str) -> tuple[str, float]:
    """Splits `a.txt:2` into name and weight; 1 if there is none, or a file has this very name.

    Raises:
        UsageError: the weight is outside 0.01 to 100.

    """
    match = re.fullmatch(r"(.+):(\d+(?:\.\d*)?|\.\d+)", argument, re.ASCII | re.DOTALL)
    if not match or _is_there(Path(argument)):
        return argument, 1.0
    weight = float(match[2])
    if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        raise UsageError(
            f"the weight of {match[1]} cannot be {match[2]}",
            why=f"it is how many times the text is read per epoch: {MIN_WEIGHT} to {MAX_WEIGHT}",
            hint="leave the file out instead" if weight == 0 else f"{match[1]}:2",
        )
    return match[1], weight


Found = tuple[list[Path], list[tuple[Path, str]], bool]


def _find(argument: str, exclude: Sequence[str], matched: set[str]) -> Found:
    """The files that one argument stands for, what is left out, whether it is a file itself."""
    path = Path(argument)
    if not argument:  # as from "$BOOK" with BOOK unset; must not mean the current folder
        raise NotFoundError("a file name is empty")
    if argument == "-":
        return [STDIN], [], True
    if _is_there(path) and not path.is_dir():
        return [path.absolute() if path == STDIN else path], [], True  # ./- is a file
    if _is_there(path):
        beside: list[tuple[Path, str]] = []
        inside = sorted(
            _walk(path, Ignored(path, exclude, matched), beside, {_place(path)}), key=_natural
        )
        if not inside and not beside:
            raise NotFoundError(f"no files in the folder {path}")
        return inside, beside, False
    matches = [Path(m) for m in glob.glob(argument, recursive=True)]  # noqa: PTH207
    matches = sorted((m for m in matches if m.is_file()), key=_natural)
    if not matches:
        raise _no_such_file(argument, path)
    ignored = Ignored(None, exclude, matched)
    left_out = [(path, reason) for path in matches if (reason := ignored(path))]
    excluded = {path for path, _ in left_out}
    return [path for path in matches if path not in excluded], left_out, False


def _natural(path: Path) -> tuple[object, str]:
    """What paths are sorted by: numbers in names count as numbers, so that 2 comes before 10."""
    parts = []
    for part in map(Path, path.parts):
        split = [(text, int(digits or -1)) for text, digits in NUMBERS.findall(part.stem)]
        parts.append((split, part.suffix))
    return parts, str(path)


def _walk(
    folder: Path, ignored: Ignored, left_out: list[tuple[Path, str]], seen: set[object]
) -> Iterator[Path]:
    """The files below a folder that may be texts; hidden files are left out without a word.

    Args:
        seen: the folders that were looked into, which links may lead to again.

    """
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        left_out.append((folder, error.strerror or "unreadable"))
        return
    for entry in entries:
        path = Path(entry.path)
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
            reason = ignored(path, folder=is_folder) or (_foreign(path) if is_folder else None)
        except OSError as error:  # a link to itself, no permission
            is_folder, is_file = False, False
            reason = error.strerror or "unreadable"
        if entry.name.startswith(".") or LOCK.fullmatch(entry.name):
            if is_folder:
                left_out.append((path, HIDDEN))
            continue
        if reason:
            left_out.append((path, reason))
        elif is_folder and (place := _place(path)) not in seen:
            seen.add(place)
            yield from _walk(path, ignored, left_out, seen)
        elif is_file:
            yield path


def _foreign(folder: Path) -> str | None:
    """Why a folder holds no texts of the user, if it does not."""
    if folder.name in FOREIGN or (folder / "pyvenv.cfg").exists():
        return "programs of others"
    # what a browser keeps of a page besides its text
    for suffix in (".html", ".htm"):
        page = folder.with_name(folder.name.removesuffix("_files") + suffix)
        if folder.name.endswith("_files") and page.exists():
            return f"belongs to {page.name}"
    if (folder / "MANIFEST.json").exists() or (folder / "run.json").exists():
        return "written by tfcli"
    if folder.name in {"checkpoints", "tokenizers"} and any(
        (inside / name).exists()
        for inside in [*folder.glob("*"), *folder.glob(".cache")]
        if inside.is_dir()
        for name in ("run.json", "MANIFEST.json", "tokenizer.model", "byte_level.json", "scans")
    ):
        return "written by tfcli"
    if (folder / "config.json").exists() and any(folder.glob("*.safetensors")):
        return "a model"
    return None


def _no_such_file(argument: str, path: Path) -> NotFoundError:
    if weight := re.fullmatch(r"(.+:\d+),(\d+)", argument, re.DOTALL):
        hint = f"{weight[1]}.{weight[2]}, with a decimal point"
        return NotFoundError(f"file not found: {argument!r}", hint=hint)
    return file_not_found(path, named=argument)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not a possible file name, such as a long sentence
        return False
