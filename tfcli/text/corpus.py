"""A corpus: documents from many sources, counted, fingerprinted, split into training and held-out.

The first reading counts and hashes; later ones stream the chunks again. What can be read only once
(a pipe) is copied to the disk first, so a corpus is never held in memory.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, DataError, InputOutputError, NotFoundError, UsageError
from tfcli.files import (
    disk_space,
    find_leftovers,
    read_checked_json,
    read_record,
    remove_abandoned,
    remove_file,
    store_by_content,
    write_checked_json,
)
from tfcli.text.byte_streams import STDIN, read_raw
from tfcli.text.chunks import Chunk
from tfcli.text.held_out import split
from tfcli.text.html import is_installed
from tfcli.text.pairs import same_form
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.reading_options import DEFAULT, ReadingOptions
from tfcli.text.scan import Fingerprint, Progress, SavedScan, Scan, scan_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.text.pairs import PairForm
    from tfcli.text.sources import Sources

    Follow = Callable[[Path, Reading], None]


# Scans and token ids, which are made again when deleted; and piped text, which cannot be.
CACHE = Path("checkpoints") / ".cache"
SCAN_SCHEMA = 8

# Of a disk that a pipe is copied to, a twentieth stays free, and that is as much as this at most.
MOST_LEFT_FREE = 1 << 30  # bytes


@dataclass(frozen=True)
class Part:
    """Sources with a weight of their own: those of one argument, or all of them together.

    Attributes:
        weight: how often its training rows come in an epoch, 1 being once.
        reading: how its sources are read.

    """

    sources: tuple[Path, ...]
    scan: Scan
    weight: float = 1.0
    reading: ReadingOptions = DEFAULT

    @property
    def form(self) -> PairForm | None:
        """Of its pairs of prompt and answer; None: it is text."""
        return self.scan.pairs.form if self.scan.pairs else None

    def split(self, follow: Follow | None = None) -> Iterator[tuple[Chunk, bool]]:
        """Its chunks in order, each with whether it is held out; one across a border is cut.

        Args:
            follow: is told each source before it is read, with what will have its rows, whole.

        """

        def chunks_of(source: Path) -> Iterator[Chunk]:
            reading = Reading()
            if follow:
                follow(source, reading)
            return read_chunks(source, self.reading, reading=reading, whole_rows=follow is not None)

        chunks = itertools.chain.from_iterable(map(chunks_of, self.sources))
        if pairs := self.scan.pairs:
            return ((chunk, chunk.key < pairs.held_out_below) for chunk in chunks)
        return split(chunks, self.scan.held_out)


@dataclass(frozen=True)
class Corpus:
    """Sources that can be read repeatedly, and what the first reading found.

    Attributes:
        parts: one, or as many as were given weights; each holds out some of its own.
        scan: of all parts together; the stretches held out count on from part to part.
        val: a text that was given to be held out, as a whole.
        notes: what the user should know of the sources: what was recognized or left out.
        arguments, exclude: what the sources were found by; see `Sources`.

    """

    parts: tuple[Part, ...]
    scan: Scan
    val: Part | None = None
    notes: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files of all parts."""
        return tuple(source for part in self.parts for source in part.sources)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each part."""
        return tuple(part.weight for part in self.parts)

    @property
    def all_parts(self) -> tuple[Part, ...]:
        """The parts to train on, and the text that was given to be held out."""
        return (*self.parts, self.val) if self.val else self.parts

    @property
    def form(self) -> PairForm | None:
        """Of its pairs of prompt and answer; None: it is text."""
        return self.parts[0].form

    @property
    def split_name(self) -> str:
        """What is held out, in a hash."""
        apart = f" {self.val.scan.fingerprint}" if self.val else ""
        return f"{self.scan.split_name}{apart}"

    def training(self) -> Iterator[Chunk]:
        """The chunks to train on."""
        for part in self.parts:
            yield from (chunk for chunk, held_out in part.split() if not held_out)

    def held_out(self, follow: Follow | None = None) -> Iterator[Chunk]:
        """The chunks to evaluate on: never trained on, not even by the tokenizer.

        Args:
            follow: see `Part.split`.

        """
        for part in self.all_parts:
            yield from (chunk for chunk, held_out in part.split(follow) if held_out)


def open_sources(
    sources: Sources,
    reading: ReadingOptions = DEFAULT,
    *,
    cache: Path,
    val_fraction: float = 0.1,
    val: Sources | None = None,
    progress: Progress = lambda _: None,
) -> Corpus:
    """Opens what the user's arguments stand for; with weights, each as a part of its own.

    Args:
        sources: from `find_sources`.
        reading: how the files are read.
        val: what to hold out; nothing of the others is then.
        cache, val_fraction, progress: as in `open_corpus`.

    Raises:
        DataError: no text, or not text; with weights, in any one of the arguments.

    """
    total = 0  # bytes of what was opened so far

    def opened(files: Sequence[Path], found: frozenset[Path], fraction: float) -> Corpus:
        nonlocal total
        before = total
        corpus = open_corpus(
            files, reading, optional=found, cache=cache, val_fraction=fraction,
            progress=lambda done: progress(before + done),
        )  # fmt: skip
        total += corpus.scan.bytes
        return corpus

    fraction = 0.0 if val else val_fraction
    if sources.weighted:
        each = [opened(group.files, sources.found, fraction) for group in sources.groups]
        if any(corpus.form for corpus in each):
            raise UsageError(
                "pairs cannot be combined with source weights (FILE:2)",
                hint="cat A A B > all.jsonl   # repeats a file",
            )
        parts = [
            replace(corpus.parts[0], weight=group.weight)
            for corpus, group in zip(each, sources.groups, strict=True)
        ]
        notes = tuple(note for corpus in each for note in corpus.notes)
        corpus = replace(join_parts(parts), notes=notes)
    else:
        corpus = opened(sources.files, sources.found, fraction)
    if val:
        apart = opened(val.files, val.found, 0.0)
        (part,) = apart.parts
        same_form([(sources.files[0], corpus.form), (val.files[0], part.form)])
        part = replace(part, scan=part.scan.all_held_out())
        corpus = replace(corpus, val=part, notes=(*corpus.notes, *apart.notes))
    return replace(corpus, arguments=sources.arguments, exclude=sources.exclude)


def join_parts(parts: Sequence[Part]) -> Corpus:
    """One corpus from several parts; a single part keeps its fingerprint."""
    if len(parts) == 1:
        return Corpus(tuple(parts), parts[0].scan)
    digest = hashlib.sha256()
    held_out: list[tuple[int, int]] = []
    total = 0
    for part in parts:
        digest.update(f"{part.scan.fingerprint} {part.scan.split_name}\n".encode())
        held_out += [(total + start, total + stop) for start, stop in part.scan.held_out]
        total += part.scan.bytes
    scan = Scan(
        bytes=total,
        documents=sum(part.scan.documents for part in parts),
        fingerprint=digest.hexdigest(),
        held_out=tuple(held_out),
    )
    return Corpus(tuple(parts), scan)


def open_corpus(
    files: Sequence[Path],
    reading: ReadingOptions = DEFAULT,
    *,
    cache: Path,
    val_fraction: float = 0.1,
    optional: frozenset[Path] = frozenset(),
    progress: Progress = lambda _: None,
) -> Corpus:
    """Reads the sources once, or finds the scan of an earlier reading of the same files.

    Args:
        files: what to read, in this order; `-` and other pipes are copied into `cache` first.
        reading: how they are read.
        cache: a folder for copies and scans; may be deleted at any time. What killed processes
            left there is removed.
        val_fraction: the share of the bytes to hold out: see `choose_held_out`.
        optional: the files that are left out where they are not text; any other is an error.
        progress: called with the number of bytes read so far.

    Raises:
        DataError: no text, or not text.

    """
    remove_cache_leftovers(cache)
    sources = tuple(
        _spool(path, cache, progress) if path == STDIN or not path.is_file() else path
        for path in files
    )
    may_go = tuple(path in optional for path in files)
    saved = cache / "scans" / f"{_identity(sources, may_go, reading, val_fraction)}.json"
    try:
        known = read_record(SavedScan, read_checked_json(saved, schema=SCAN_SCHEMA))
    except (NotFoundError, DamagedError, ValueError):
        try:
            known = scan_sources(sources, files, reading, optional, val_fraction, progress)
        except DataError:
            for source, path in zip(sources, files, strict=True):
                if source != path:
                    remove_file(source)  # nobody needs a copy of what is not text
            raise
        write_checked_json(saved, asdict(known))
    kept = [source for place, source in enumerate(sources) if place not in known.left_out]
    corpus = join_parts([Part(tuple(kept), known.scan, reading=reading)])
    return replace(corpus, notes=known.notes)


def begins_with(part: Part, scan: Scan) -> bool:
    """Whether a text begins with one that was scanned before."""
    fingerprint = Fingerprint()
    position = 0
    for source in part.sources:
        for chunk in read_chunks(source, part.reading):
            rest = scan.bytes - position
            if len(chunk.data) >= rest:
                fingerprint.add(Chunk(chunk.data[:rest], last=True))
                return fingerprint.hexdigest() == scan.fingerprint
            fingerprint.add(chunk)
            position += len(chunk.data)
    return False


def find_cache_leftovers(cache: Path) -> list[Path]:
    """What killed processes left in a cache; nothing that a running one is writing."""
    return [path for folder in _cache_folders(cache) for path in find_leftovers(folder)]


def remove_cache_leftovers(cache: Path) -> list[Path]:
    """Removes what killed processes left in a cache, at any time; returns what was removed."""
    return [path for folder in _cache_folders(cache) for path in remove_abandoned(folder)]


def _cache_folders(cache: Path) -> list[Path]:
    return [cache, *(path for path in sorted(cache.glob("[!.]*")) if path.is_dir())]


def _spool(pipe: Path, cache: Path, progress: Progress) -> Path:
    """Copies what can be read only once into the cache, under a name made from its content."""

    def blocks() -> Iterator[bytes]:
        total = 0
        for block in read_raw(pipe):
            _require_room(cache, total)
            yield block
            total += len(block)
            progress(total)

    suffix = "".join(pipe.suffixes) or ".txt"
    return store_by_content(cache / "piped", blocks(), suffix=suffix)


def _require_room(cache: Path, copied: int) -> None:
    """Raises InputOutputError before a text that may never end fills the disk."""
    free, size = disk_space(cache)
    if free < min(size // 20, MOST_LEFT_FREE):
        raise InputOutputError(
            f"the text from the pipe is too large for the disk of {cache}",
            why=f"{copied:,} bytes read so far, {free:,} free",
            hint="pass the file itself (it is not copied), or limit the input: "
            "... | head -c 1G | tfcli train -",
        )


def _identity(
    sources: tuple[Path, ...],
    optional: tuple[bool, ...],
    reading: ReadingOptions,
    val_fraction: float,
) -> str:
    """Identifies files by path, size and modification time, as git and make do."""
    # what was left out for want of a library is read once that is installed
    digest = hashlib.sha256(f"{SCAN_SCHEMA} {reading} {val_fraction} {is_installed()}\n".encode())
    for source, may_go in zip(sources, optional, strict=True):
        status = source.stat()
        digest.update(os.fsencode(source.resolve()))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\0{may_go}\n".encode())
    return digest.hexdigest()[:32]
