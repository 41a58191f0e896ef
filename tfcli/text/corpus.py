"""A corpus: documents from many sources, counted and fingerprinted, cut into training and held-out.

The first reading counts and hashes; later ones stream the pieces again. What can be read only
once (a pipe) is copied to the disk on the way, so a corpus is never held in memory.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from array import array
from bisect import bisect_left
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.files import read_json, read_record, remove_file, store_by_content, write_json
from tfcli.text.readers import STDIN, Piece, read_pieces, read_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

CACHE = Path("checkpoints") / ".cache"  # notes, piped text, token ids: made again when deleted
SCAN_SCHEMA = 1
DOCUMENT_BORDER = b"\xff"  # a byte that no UTF-8 text holds, so that borders count in the hash


@dataclass(frozen=True)
class Scan:
    """What one reading of the sources found.

    Attributes:
        bytes: the length of all documents together, in UTF-8.
        documents: how many there are.
        training_bytes: where the held-out part begins; if that falls inside a character, it
            begins after it.
        fingerprint: SHA-256 of the documents and their borders.

    """

    bytes: int
    documents: int
    training_bytes: int
    fingerprint: str


class Fingerprint:
    """SHA-256 of documents and of where each ends."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, piece: Piece) -> None:
        """Takes in the next piece."""
        self._digest.update(piece.data)
        if piece.last:
            self._digest.update(DOCUMENT_BORDER)

    def hexdigest(self) -> str:
        """The fingerprint of all pieces so far."""
        return self._digest.hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Sources that can be read again and again, and what the first reading found."""

    sources: tuple[Path, ...]
    scan: Scan

    def training(self) -> Iterator[Piece]:
        """The pieces to learn from."""
        return _before(self._pieces(), self.scan.training_bytes)

    def held_out(self) -> Iterator[Piece]:
        """The pieces to measure on: never trained on, not even by the tokenizer."""
        return _after(self._pieces(), self.scan.training_bytes)

    def _pieces(self) -> Iterator[Piece]:
        return itertools.chain.from_iterable(read_pieces(source) for source in self.sources)


def open_corpus(
    files: Sequence[Path],
    *,
    cache: Path,
    held_out_fraction: float = 0.1,
    progress: Callable[[int], None] = lambda _: None,
) -> Corpus:
    """Reads the sources once, or finds what an earlier reading of the same files noted down.

    Args:
        files: what to read, in this order; `-` and other pipes are copied into `cache` first.
        cache: a folder for copies and notes; may be deleted at any time.
        held_out_fraction: the share of the bytes to keep from training, at the end.
        progress: called with the number of bytes read so far.

    Raises:
        DataError: no text, or not text.

    """
    sources = tuple(
        _spool(path, cache, progress) if path == STDIN or not path.is_file() else path
        for path in files
    )
    note = cache / "scans" / f"{_identity(sources, held_out_fraction)}.json"
    try:
        scan = read_record(Scan, read_json(note))
    except (NotFoundError, DamagedError, ValueError):
        try:
            scan = _read_once(sources, files, held_out_fraction, progress)
        except DataError:
            for source, path in zip(sources, files, strict=True):
                if source != path:
                    remove_file(source)  # a copy of what is no text helps nobody
            raise
        write_json(note, asdict(scan))
    return Corpus(sources, scan)


def _read_once(
    sources: Sequence[Path],
    called: Sequence[Path],
    held_out_fraction: float,
    progress: Callable[[int], None],
) -> Scan:
    fingerprint = Fingerprint()
    total = 0
    ends = array("Q")  # where each document ends: 8 bytes a document is the memory this takes
    for source, name in zip(sources, called, strict=True):
        for piece in read_pieces(source, called=name):
            fingerprint.add(piece)
            total += len(piece.data)
            if piece.last:
                ends.append(total)
            progress(total)
    if total == 0:
        names = ", ".join(str(name) for name in called[:3])
        raise DataError(f"there is no text in {names}", why="empty" if sources else None)
    return Scan(
        bytes=total,
        documents=len(ends),
        training_bytes=choose_split(ends, held_out_fraction),
        fingerprint=fingerprint.hexdigest(),
    )


def choose_split(ends: Sequence[int], fraction: float) -> int:
    """Where the held-out part begins: near `1 - fraction` of the bytes, between documents if any.

    Args:
        ends: the byte where each document ends, in order; the last is the size of the corpus.
        fraction: the share to hold out, from 0 (nothing) to below 1.

    Returns:
        The next border of two documents after the wanted place if that leaves at least half of
        the wanted size; else the one before it if that is at most twice the wanted size; else
        the wanted place itself, inside a document; the end, where nothing would be left to
        train on.

    """
    total = ends[-1]
    wanted = int(total * (1 - fraction))
    index = bisect_left(ends, wanted)
    after = ends[index] if index < len(ends) else total
    before = ends[index - 1] if index else 0
    if total - after >= fraction * total / 2:
        return after
    if before and total - before <= 2 * fraction * total:
        return before
    return wanted or total


def _before(pieces: Iterable[Piece], border: int) -> Iterator[Piece]:
    position = 0
    for piece in pieces:
        if position >= border:
            return
        cut = _next_character(piece.data, border - position)
        yield Piece(piece.data[:cut], last=piece.last and cut == len(piece.data))
        position += len(piece.data)


def _after(pieces: Iterable[Piece], border: int) -> Iterator[Piece]:
    position = 0
    for piece in pieces:
        cut = _next_character(piece.data, max(0, border - position))
        if cut < len(piece.data):
            yield Piece(piece.data[cut:], last=piece.last)
        position += len(piece.data)


def _next_character(data: bytes, index: int) -> int:
    """The first place at or after `index` where a character begins, at most the end."""
    index = min(index, len(data))
    while index < len(data) and data[index] & 0xC0 == 0x80:
        index += 1
    return index


def _spool(pipe: Path, cache: Path, progress: Callable[[int], None]) -> Path:
    """Copies what can be read only once into the cache, under a name made from its content."""

    def arriving() -> Iterator[bytes]:
        total = 0
        for block in read_raw(pipe):
            yield block
            total += len(block)
            progress(total)

    suffix = "".join(pipe.suffixes) or ".txt"
    return store_by_content(cache / "piped", arriving(), suffix=suffix)


def _identity(sources: tuple[Path, ...], held_out_fraction: float) -> str:
    """Names files by path, size and time of change, as git and make do, to spare a reading."""
    digest = hashlib.sha256(f"{SCAN_SCHEMA} {held_out_fraction}\n".encode())
    for source in sources:
        status = source.stat()
        digest.update(os.fsencode(source.resolve()))
        digest.update(f"\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]
