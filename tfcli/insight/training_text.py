"""The training text of a run, read again in blocks, with the places its bytes come from.

A block is some documents, each followed by BORDER, which UTF-8 never contains: no match crosses it.
What is held out is left out, and counts as the end of a document.
"""

from __future__ import annotations

import shlex
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DataError, NotFoundError
from tfcli.files import hash_file
from tfcli.text.held_out import split
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.scan import Fingerprint
from tfcli.text.sources import find_sources
from tfcli.training.run_text import corpus_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tfcli.runs.corpus_metadata import SourceFile
    from tfcli.runs.run import Run
    from tfcli.text.chunks import Chunk
    from tfcli.text.corpus import Corpus, Part

BORDER = b"\xff"  # between documents
BLOCK = 1 << 20  # bytes, about
SAMPLE, SLICES = 1 << 16, 16  # bytes of held-out text, and of how many places they are


@dataclass(frozen=True)
class Place:
    """Where something stands.

    Attributes:
        file: the path of its file.
        line: in plain text, and in the text of a page or a book; from 1.
        row: in a table or JSON; of JSON lines, the number of the line.

    """

    file: str
    line: int | None
    row: int | None


@dataclass
class Block:
    """A part of the training text.

    Attributes:
        data: the documents, each with a BORDER behind it; one that goes on has none.
        starts: where the parts from different places begin in `data`.
        places: of each of these, its place.

    """

    data: bytes
    starts: list[int] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)

    def place(self, position: int) -> Place:
        """Where a byte of the block stands."""
        number = bisect_right(self.starts, position) - 1
        place = self.places[number]
        if place.line is None:
            return place
        lines = self.data.count(b"\n", self.starts[number], position)
        return replace(place, line=place.line + lines)


class TrainingText:
    """The text of a run.

    Args:
        files: where it is now; none: where it was.

    Attributes:
        corpus: what its files and its held-out part are.
        left_out: files that are not what they were, see `leave_out_changed`.

    Raises:
        DataError: the run was imported: its text is not known.

    """

    def __init__(self, run: Run, files: Sequence[str] = ()) -> None:
        if not run.corpus.training_tokens:
            raise DataError(
                f"the training text of {run.name!r} is not known",
                why="the run was imported",
                hint=f"tfcli train FILE --from {shlex.quote(run.argument)}   # on your text",
            )
        self.run = run
        self.corpus = corpus_of(run.corpus)
        if files:
            self.corpus = _moved(run, self.corpus, find_sources(files).files)
        self.bytes = run.corpus.bytes
        self.left_out: tuple[Path, ...] = ()

    def check(self, progress: Callable[[int], None] = lambda _: None) -> list[bytes]:
        """Reads the text once, and compares it with the run's fingerprint.

        Returns:
            Pieces of held-out text, evenly spaced, SAMPLE bytes together at most; none if nothing
            is held out.

        Raises:
            NotFoundError: a file is gone.
            DataError: the text is no longer what the run was trained on.

        """
        sample = _Sample(self.held_out_bytes)
        done = 0
        for part in self.corpus.all_parts:
            reader = _Reader(part)
            for data, is_held_out, _ in reader.pieces():
                if is_held_out:
                    sample.add(data)
                done += len(data)
                progress(done)
            if reader.fingerprint.hexdigest() != part.scan.fingerprint:
                names = [str(source) for source in self._changed(part) or part.sources]
                more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
                raise DataError(
                    f"the text of {self.run.name!r} is not what it was trained on",
                    why=f"the SHA-256 of {names[0]}{more} is not that in its run.json",
                    hint="--source PATH   # where the text as it was is now; or train a run of "
                    "the text as it is",
                )
        return sample.slices()

    def leave_out_changed(self) -> bool:
        """Goes on with the files that are what they were; whether that is possible.

        It is where these are known by their hashes, and where the lengths of the others' texts
        follow: that of a single one, or those of plain text.
        """
        parts, left_out = [], []
        for part in self.corpus.parts:
            changed = self._changed(part)
            left_out += changed
            if len(changed) < len(part.sources):
                rest = self._rest(part, changed) if changed else part
                if rest is None:
                    return False
                parts.append(rest)
        if not left_out or not parts:
            return False
        self.corpus = replace(self.corpus, parts=tuple(parts))
        self.left_out = tuple(left_out)
        self.bytes = sum(part.scan.bytes for part in self.corpus.all_parts)
        return True

    def _rest(self, part: Part, changed: Sequence[Path]) -> Part | None:
        """A part without some files, and with what is held out of the others."""
        others = [source for source in part.sources if source not in changed]
        fingerprint, lengths = Fingerprint(), dict.fromkeys(others, 0)
        for source in others:
            for chunk in read_chunks(source, part.reading):
                fingerprint.add(chunk)
                lengths[source] += len(chunk.data)
        missing = part.scan.bytes - sum(lengths.values())
        recorded = self._recorded()
        were = [missing] if len(changed) == 1 else [recorded[source].bytes for source in changed]
        if missing != sum(were):
            return None
        lengths |= dict(zip(changed, were, strict=True))
        held_out: list[tuple[int, int]] = []
        position = shift = 0  # in the text as it was, and how much of it is left out until there
        for source in part.sources:
            end = position + lengths[source]
            if source in changed:
                shift += lengths[source]
            else:
                held_out += [
                    (max(start, position) - shift, min(stop, end) - shift)
                    for start, stop in part.scan.held_out
                    if start < end and stop > position
                ]
            position = end
        scan = replace(
            part.scan, bytes=part.scan.bytes - missing, held_out=tuple(_joined(held_out)),
            fingerprint=fingerprint.hexdigest(),
        )  # fmt: skip
        return replace(part, sources=tuple(others), scan=scan)

    def _recorded(self) -> dict[Path, SourceFile]:
        return dict(zip(self.corpus.sources, self.run.corpus.files, strict=False))

    def _changed(self, part: Part) -> list[Path]:
        """The files of a part that are gone or not what they were, by the hash of each."""
        known = self._recorded()
        hashed = {source: hash_file(source) for source in part.sources if source in known}
        return [s for s, found in hashed.items() if not found or found.sha256 != known[s].sha256]

    def blocks(
        self, progress: Callable[[int], None] = lambda _: None, *, held_out: bool = False
    ) -> Iterator[Block]:
        """What was trained on, in order, or what was held out."""
        block, size, done = _Growing(), 0, 0
        for part in self.corpus.all_parts if held_out else self.corpus.parts:
            reader = _Reader(part)
            for data, is_held_out, last in reader.pieces():
                done += len(data)
                if is_held_out != held_out:
                    block.end_document()
                    continue
                block.add(data, reader.place)
                if last:
                    block.end_document()
                size += len(data)
                if size >= BLOCK:
                    yield block.take()
                    size = 0
                    progress(done)
            block.end_document()
        yield block.take()
        progress(self.bytes)

    @property
    def held_out_bytes(self) -> int:
        """About how many bytes are held out."""
        parts = self.corpus.all_parts
        return sum(stop - start for part in parts for start, stop in part.scan.held_out)

    @property
    def training_bytes(self) -> int:
        """About how many bytes were trained on."""
        return sum(part.scan.training_bytes for part in self.corpus.parts)


def _joined(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Stretches in order, those in one that touch."""
    joined: list[tuple[int, int]] = []
    for start, stop in stretches:
        if joined and joined[-1][1] == start:
            start = joined.pop()[0]
        joined.append((start, stop))
    return joined


class _Growing:
    """A block that is being put together."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._block = Block(b"")
        self._ended = True  # nothing of a document is open

    def add(self, data: bytes, place: Place) -> None:
        self._block.starts.append(self._size)
        self._block.places.append(place)
        self._append(data)
        self._ended = False

    def end_document(self) -> None:
        if not self._ended:
            self._append(BORDER)
        self._ended = True

    def take(self) -> Block:
        block = self._block
        block.data = b"".join(self._parts)
        self._parts, self._size, self._block = [], 0, Block(b"")
        return block

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)


class _Reader:
    """Reads a part of a corpus, and knows where what it has just read stands."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._source, self._reading = Path(), Reading()
        self._passed: list[bytes] = []  # what of the chunk is before the piece
        self.fingerprint = Fingerprint()

    @property
    def place(self) -> Place:
        """Where the piece begins that was given last."""
        rows = self._reading.rows
        if rows is not None:
            return Place(str(self._source), None, rows.number)
        lines = sum(piece.count(b"\n") for piece in self._passed)
        return Place(str(self._source), self._reading.line + lines, None)

    def pieces(self) -> Iterator[tuple[bytes, bool, bool]]:
        """Its text: some bytes, whether they are held out, and whether the document ends."""
        for chunk, held_out in split(self._chunks(), self._part.scan.held_out):
            yield chunk.data, held_out, chunk.last
            self._passed.append(chunk.data)

    def _chunks(self) -> Iterator[Chunk]:
        for source in self._part.sources:
            self._source, self._reading = source, Reading()
            options = self._part.reading
            try:
                for chunk in read_chunks(source, options, reading=self._reading):
                    self._passed = []
                    self.fingerprint.add(chunk)
                    yield chunk
            except NotFoundError as error:
                error.hint = "--source FILE   # where the same text is now"
                raise


class _Sample:
    """Pieces of a text, evenly spaced, taken while it passes.

    Args:
        total: length of the text.

    """

    def __init__(self, total: int) -> None:
        whole = total <= SAMPLE
        size = total if whole else SAMPLE // SLICES
        starts = [0] if whole else [total * number // SLICES for number in range(SLICES)]
        self._wanted = [(start, start + size) for start in starts]
        self._taken: list[list[bytes]] = [[] for _ in starts]
        self._position = 0

    def add(self, data: bytes) -> None:
        """The next bytes."""
        for (start, stop), taken in zip(self._wanted, self._taken, strict=True):
            first, last = max(0, start - self._position), stop - self._position
            if first < len(data) and last > 0:
                taken.append(data[first:last])
        self._position += len(data)

    def slices(self) -> list[bytes]:
        """What was taken."""
        return [piece for taken in self._taken if (piece := b"".join(taken))]


def _moved(run: Run, corpus: Corpus, files: Sequence[Path]) -> Corpus:
    """The text with other places of its files, in the same order."""
    if len(files) != len(corpus.sources):
        raise DataError(
            f"the text of {run.name!r} has {len(corpus.sources):,} files, not {len(files):,}",
            hint=f"tfcli runs show {shlex.quote(run.argument)} --json   # run.corpus.sources",
        )
    rest = iter(files)
    parts = tuple(replace(part, sources=tuple(next(rest) for _ in part.sources))
                  for part in corpus.parts)  # fmt: skip
    return replace(corpus, parts=parts)


def texts_of(run: Run, files: Sequence[str] = ()) -> Iterator[str]:
    """The training text of a run in pieces, without the borders of its documents.

    Args:
        files: where it is now; none: where it was.

    Raises:
        NotFoundError: a file is gone.
        DataError: the text is no longer what the run was trained on.

    """
    text = TrainingText(run, files)
    text.check()
    for block in text.blocks():
        for document in block.data.split(BORDER):
            yield document.decode(errors="replace")
