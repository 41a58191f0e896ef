"""A corpus: documents from many sources, counted, fingerprinted, split into training and held-out.

The first reading counts and hashes; later ones stream the chunks again. What can be read only once
(a pipe) is copied to the disk first, so a corpus is never held in memory.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from array import array
from bisect import bisect_left
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files import (
    find_leftovers,
    read_checked_json,
    read_record,
    remove_abandoned,
    remove_file,
    store_by_content,
    write_checked_json,
)
from tfcli.text.readers import STDIN, Chunk, read_chunks, read_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.text.readers import Sources

CACHE = (
    Path("checkpoints") / ".cache"
)  # scans and token ids, which are recreated; and piped text, which cannot be
SCAN_SCHEMA = 1
MAX_ENDS = 1 << 20  # ends of documents remembered to choose the split from: 8 MiB
DOCUMENT_BORDER = b"\xff"  # a byte that UTF-8 never contains, so that boundaries count in the hash


@dataclass(frozen=True)
class Scan:
    """What one reading of the sources found.

    Attributes:
        bytes: the length of all documents together, in UTF-8.
        documents: how many there are.
        training_bytes: where the held-out part starts; if that falls inside a character, it
            starts after it.
        fingerprint: SHA-256 of the documents and their boundaries.

    """

    bytes: int
    documents: int
    training_bytes: int
    fingerprint: str


class Fingerprint:
    """SHA-256 of documents and of where each ends."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, chunk: Chunk) -> None:
        """Adds the next chunk."""
        self._digest.update(chunk.data)
        if chunk.last:
            self._digest.update(DOCUMENT_BORDER)

    def hexdigest(self) -> str:
        """The fingerprint of all chunks so far."""
        return self._digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """Sources with a weight of their own: those of one argument, or all of them together.

    Attributes:
        weight: how often its training rows come in an epoch, 1 being once.

    """

    sources: tuple[Path, ...]
    scan: Scan
    weight: float = 1.0

    def split(self) -> Iterator[tuple[Chunk, bool]]:
        """Its chunks in order, each with whether it is held out; one across the split is cut."""
        chunks = itertools.chain.from_iterable(read_chunks(source) for source in self.sources)
        return _split(chunks, self.scan.training_bytes)


@dataclass(frozen=True)
class Corpus:
    """Sources that can be read repeatedly, and what the first reading found.

    Attributes:
        parts: one, or as many as were given weights; each holds out its own end.
        scan: of all parts together.

    """

    parts: tuple[Part, ...]
    scan: Scan

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files of all parts."""
        return tuple(source for part in self.parts for source in part.sources)

    @property
    def weights(self) -> tuple[float, ...]:
        """The weight of each part."""
        return tuple(part.weight for part in self.parts)

    def training(self) -> Iterator[Chunk]:
        """The chunks to train on."""
        for part in self.parts:
            for chunk, held_out in part.split():
                if held_out:
                    break
                yield chunk

    def held_out(self) -> Iterator[Chunk]:
        """The chunks to evaluate on: never trained on, not even by the tokenizer."""
        for part in self.parts:
            yield from (chunk for chunk, held_out in part.split() if held_out)


def open_sources(
    sources: Sources,
    *,
    cache: Path,
    val_fraction: float = 0.1,
    progress: Callable[[int], None] = lambda _: None,
) -> Corpus:
    """Opens what the user's arguments stand for; with weights, each as a part of its own.

    Args:
        sources: from `find_sources`.
        cache, val_fraction, progress: as in `open_corpus`.

    Raises:
        DataError: no text, or not text; with weights, in any one of the arguments.

    """
    if not sources.weighted:
        return open_corpus(sources.files, cache=cache, val_fraction=val_fraction, progress=progress)
    parts: list[Part] = []
    for group in sources.groups:
        before = sum(part.scan.bytes for part in parts)
        (part,) = open_corpus(
            group.files,
            cache=cache,
            val_fraction=val_fraction,
            progress=lambda done, before=before: progress(before + done),  # type: ignore[misc]
        ).parts
        parts.append(replace(part, weight=group.weight))
    return join_parts(parts)


def join_parts(parts: Sequence[Part]) -> Corpus:
    """One corpus from several parts; a single part keeps its fingerprint."""
    if len(parts) == 1:
        return Corpus(tuple(parts), parts[0].scan)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.scan.fingerprint} {part.scan.training_bytes}\n".encode())
    scan = Scan(
        bytes=sum(part.scan.bytes for part in parts),
        documents=sum(part.scan.documents for part in parts),
        training_bytes=sum(part.scan.training_bytes for part in parts),
        fingerprint=digest.hexdigest(),
    )
    return Corpus(tuple(parts), scan)


def open_corpus(
    files: Sequence[Path],
    *,
    cache: Path,
    val_fraction: float = 0.1,
    progress: Callable[[int], None] = lambda _: None,
) -> Corpus:
    """Reads the sources once, or finds the scan of an earlier reading of the same files.

    Args:
        files: what to read, in this order; `-` and other pipes are copied into `cache` first.
        cache: a folder for copies and scans; may be deleted at any time. What killed processes
            left there is removed.
        val_fraction: the share of the bytes to hold out, at the end.
        progress: called with the number of bytes read so far.

    Raises:
        DataError: no text, or not text.

    """
    remove_cache_leftovers(cache)
    sources = tuple(
        _spool(path, cache, progress) if path == STDIN or not path.is_file() else path
        for path in files
    )
    saved = cache / "scans" / f"{_identity(sources, val_fraction)}.json"
    try:
        scan = read_record(Scan, read_checked_json(saved, schema=SCAN_SCHEMA))
    except (NotFoundError, DamagedError, ValueError):
        try:
            scan = _scan(sources, files, val_fraction, progress)
        except DataError:
            for source, path in zip(sources, files, strict=True):
                if source != path:
                    remove_file(source)  # nobody needs a copy of what is not text
            raise
        write_checked_json(saved, asdict(scan))
    return join_parts([Part(sources, scan)])


def find_cache_leftovers(cache: Path) -> list[Path]:
    """What killed processes left in a cache; nothing that a running one is writing."""
    return [path for folder in _cache_folders(cache) for path in find_leftovers(folder)]


def remove_cache_leftovers(cache: Path) -> list[Path]:
    """Removes what killed processes left in a cache, at any time; returns what was removed."""
    return [path for folder in _cache_folders(cache) for path in remove_abandoned(folder)]


def _cache_folders(cache: Path) -> list[Path]:
    return [cache, *(path for path in sorted(cache.glob("[!.]*")) if path.is_dir())]


def _scan(
    sources: Sequence[Path],
    names: Sequence[Path],
    val_fraction: float,
    progress: Callable[[int], None],
) -> Scan:
    """Reads all sources, each called by its name in errors."""
    fingerprint = Fingerprint()
    total = 0
    documents = 0
    ends = array("Q")  # where documents end; of very many, only some
    step = 1
    for source, name in zip(sources, names, strict=True):
        for chunk in read_chunks(source, name=name):
            fingerprint.add(chunk)
            total += len(chunk.data)
            if chunk.last:
                documents += 1
                if documents % step == 0:
                    ends.append(total)
                if len(ends) == MAX_ENDS:
                    ends, step = ends[1::2], 2 * step
            progress(total)
    if total == 0:
        listed = ", ".join(str(name) for name in names[:3])
        raise DataError(f"no text in {listed}", why="empty" if sources else None)
    if not ends or ends[-1] != total:
        ends.append(total)
    return Scan(
        bytes=total,
        documents=documents,
        training_bytes=choose_split(ends, val_fraction),
        fingerprint=fingerprint.hexdigest(),
    )


def choose_split(ends: Sequence[int], fraction: float) -> int:
    """Where the held-out part starts: near `1 - fraction` of the bytes, between documents if any.

    Args:
        ends: the byte where each document ends, in order; the last is the size of the corpus.
        fraction: the share to hold out, from 0 (nothing) to below 1.

    Returns:
        The next document boundary after the target if that leaves at least half of the share to
        hold out; else the one before it if that is at most twice the share; else the target
        itself, inside a document. The end, if nothing would be left to train on.

    """
    total = ends[-1]
    target = int(total * (1 - fraction))
    index = bisect_left(ends, target)
    after = ends[index] if index < len(ends) else total
    before = ends[index - 1] if index else 0
    if total - after >= fraction * total / 2:
        return after
    if before and total - before <= 2 * fraction * total:
        return before
    return target or total


def _split(chunks: Iterable[Chunk], training_bytes: int) -> Iterator[tuple[Chunk, bool]]:
    """Marks with True what comes after `training_bytes`; cuts the chunk across it."""
    position = 0
    for chunk in chunks:
        cut = _next_character(chunk.data, max(0, training_bytes - position))
        if cut == len(chunk.data):
            yield chunk, False
        elif cut == 0:
            yield chunk, True
        else:
            yield Chunk(chunk.data[:cut], last=False), False
            yield Chunk(chunk.data[cut:], last=chunk.last), True
        position += len(chunk.data)


def _next_character(data: bytes, index: int) -> int:
    """The first position at or after `index` where a character starts, at most the end."""
    index = min(index, len(data))
    while index < len(data) and data[index] & 0xC0 == 0x80:
        index += 1
    return index


def _spool(pipe: Path, cache: Path, progress: Callable[[int], None]) -> Path:
    """Copies what can be read only once into the cache, under a name made from its content."""

    def blocks() -> Iterator[bytes]:
        total = 0
        for block in read_raw(pipe):
            yield block
            total += len(block)
            progress(total)

    suffix = "".join(pipe.suffixes) or ".txt"
    return store_by_content(cache / "piped", blocks(), suffix=suffix)


def _identity(sources: tuple[Path, ...], val_fraction: float) -> str:
    """Identifies files by path, size and modification time, as git and make do."""
    digest = hashlib.sha256(f"{SCAN_SCHEMA} {val_fraction}\n".encode())
    for source in sources:
        status = source.stat()
        digest.update(os.fsencode(source.resolve()))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
