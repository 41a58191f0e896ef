"""What came to the text of a run since it started, which a resumed run does not train on.

Looking costs no more than a listing: only files that were touched since then are read.
"""

from __future__ import annotations

import datetime
import glob
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import TfcliError
from tfcli.files import hash_file
from tfcli.text.corpus import open_corpus
from tfcli.text.sources import find_sources, split_weight
from tfcli.training.run_text import corpus_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.runs.run import Run

MOST_READ = 256 << 20  # bytes of a touched text that are read to see whether it changed


@dataclass(frozen=True)
class NewerText:
    """What came since.

    Attributes:
        files: texts that folders and globs did not have.
        bytes: of these.
        changed: files that are no longer what they were.

    """

    files: tuple[Path, ...] = ()
    bytes: int = 0
    changed: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.changed)


def newer_text(run: Run, cache: Path) -> NewerText:
    """Compares the folders and files of a run's text with what it recorded of them."""
    created = run.metadata.get("created")
    try:
        since = datetime.datetime.fromisoformat(str(created)).timestamp()
    except ValueError:
        return NewerText()
    files, size = _new_files(run, since, cache)
    return NewerText(files, size, _changed_files(run, since, cache))


def changed_files(run: Run, cache: Path) -> tuple[Path, ...]:
    """The files of a run's text that are not what they were, each of them read."""
    return _changed_files(run, 0.0, cache, most_read=None)


def command_with_all(run: Run) -> str:
    """The command that trains on a run's text as it is now, and begins with what was learned."""
    given = run.corpus.arguments
    named = [_from_here(each) for each in given] if given and not _through_pipe(run) else ["FILE"]
    excluded = [part for pattern in run.corpus.exclude for part in ("--exclude", pattern)]
    return f"tfcli {shlex.join(['train', *named, *excluded, '--from', run.argument])}"


def _new_files(run: Run, since: float, cache: Path) -> tuple[tuple[Path, ...], int]:
    """Texts in the folders that are neither known nor as old as the run."""
    corpus = corpus_of(run.corpus)
    known = {path.resolve() for part in corpus.all_parts for path in part.sources}
    folders = [each for each in run.corpus.arguments if _may_grow(split_weight(each)[0])]
    try:
        found = find_sources(folders, run.corpus.exclude).files if folders else ()
    except TfcliError:  # the folder is gone, or empty
        return (), 0
    new = [path for path in found if path.resolve() not in known and _touched(path, since)]
    if not new:
        return (), 0
    try:  # of a folder, what is not text was never meant
        text = open_corpus(
            new, corpus.parts[0].reading, cache=cache, optional=frozenset(new), val_fraction=0.0
        )
    except TfcliError:
        return (), 0
    return text.sources, text.scan.bytes


def _changed_files(
    run: Run, since: float, cache: Path, most_read: int | None = MOST_READ
) -> tuple[Path, ...]:
    """The touched sources of those parts of the text that changed, by their hashes if known."""
    recorded = zip(run.corpus.sources, run.corpus.files, strict=False)
    hashes = {Path(source): file.sha256 for source, file in recorded}
    changed: list[Path] = []
    for part in corpus_of(run.corpus).all_parts:
        touched = [path for path in part.sources if _touched(path, since)]
        if not touched or not all(path.is_file() for path in part.sources):
            continue  # where its text is gone, a run goes on with the tokens made of it
        size = sum(path.stat().st_size for path in part.sources)
        if most_read is None or size <= most_read:
            try:
                now = open_corpus(part.sources, part.reading, cache=cache)
            except TfcliError:
                continue
            if now.scan.fingerprint == part.scan.fingerprint:
                continue
            hashed = {path: hash_file(path) for path in touched if path in hashes}
            same = {p for p, found in hashed.items() if found and found.sha256 == hashes[p]}
            touched = [path for path in touched if path not in same] or touched
        changed += touched
    return tuple(changed)


def _may_grow(argument: str) -> bool:
    path = Path(argument)
    return path.is_dir() or (glob.has_magic(argument) and not path.exists())


def _through_pipe(run: Run) -> bool:
    return any(Path(source).parent.name == "piped" for source in run.corpus.sources)


def _touched(path: Path, since: float) -> bool:
    """Whether a file was written, or put where it is, after a moment in seconds since 1970."""
    try:
        status = path.stat()
    except OSError:
        return False
    return max(status.st_mtime, status.st_ctime) >= since


def _from_here(argument: str) -> str:
    """A path as it is typed in the current folder."""
    if not Path(argument).is_relative_to(Path.cwd()):
        return argument
    return os.path.relpath(argument)


def names_of(paths: Sequence[Path]) -> str:
    """Up to three files, and how many more there are."""
    listed = ", ".join(_from_here(str(path)) for path in paths[:3])
    return listed if len(paths) <= 3 else f"{listed} and {len(paths) - 3:,} more"
