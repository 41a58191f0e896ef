"""The first reading of a corpus: counts, hashes, and chooses what to hold out."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tfcli.errors import DataError, InputOutputError
from tfcli.text.encoding import converted_name, shown_name
from tfcli.text.held_out import Ranges, choose_held_out, held_out_whole
from tfcli.text.line_ends import LineEnds
from tfcli.text.pairs import ALL, PairForm, PairScan, choose_pairs, same_form
from tfcli.text.paragraphs import Paragraphs
from tfcli.text.readers import read_chunks
from tfcli.text.reading import MARKUP, Reading, describe_encoding, describe_markup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tfcli.text.chunks import Chunk
    from tfcli.text.reading_options import Format, ReadingOptions

Progress = Callable[[int], None]

PROMPT_BORDER = b"\xfe"  # another, so that it counts where a prompt ends
MAX_ENDS = 1 << 20  # ends of documents remembered to choose the split from: 8 MiB
DOCUMENT_BORDER = b"\xff"  # a byte that UTF-8 never contains, so that boundaries count in the hash
CONVERSIONS = ("iconv", "--encoding", "pandoc", "pdftotext")  # hints that are worth a note
NAMED = 3  # files that are left out and named


@dataclass(frozen=True)
class Scan:
    """What one reading of the sources found.

    Attributes:
        bytes: the length of all documents together, in UTF-8.
        documents: how many there are.
        fingerprint: SHA-256 of the documents and their boundaries.
        held_out: the stretches of these bytes that are held out, each from its first byte to
            before its last; where one starts inside a character, it starts after it.
        pairs: what is held out instead, where the documents are pairs of prompt and answer.

    """

    bytes: int
    documents: int
    fingerprint: str
    held_out: Ranges
    pairs: PairScan | None = None

    @property
    def training_bytes(self) -> int:
        """About how many bytes are left to train on."""
        if self.pairs:
            return self.bytes - self.pairs.held_out_bytes
        return self.bytes - sum(stop - start for start, stop in self.held_out)

    @property
    def split_name(self) -> str:
        """What is held out, in a hash; as in the first release where it is the end of the text."""
        if self.pairs:
            return f"pairs below {self.pairs.held_out_below}"
        match self.held_out:
            case ():
                return str(self.bytes)
            case ((start, stop),) if stop == self.bytes:
                return str(start)
        return str(self.held_out)

    def all_held_out(self) -> Scan:
        """The same, with all of it held out."""
        if self.pairs is None:
            return replace(self, held_out=((0, self.bytes),))
        pairs = replace(
            self.pairs, held_out_below=ALL, held_out_bytes=self.bytes,
            held_out_pairs=self.documents,
        )  # fmt: skip
        return replace(self, pairs=pairs)


class Fingerprint:
    """SHA-256 of documents and of where each ends."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, chunk: Chunk) -> None:
        """Adds the next chunk."""
        self._digest.update(chunk.data)
        if chunk.role == "prompt":
            self._digest.update(PROMPT_BORDER)
        if chunk.last:
            self._digest.update(DOCUMENT_BORDER)

    def hexdigest(self) -> str:
        """The fingerprint of all chunks so far."""
        return self._digest.hexdigest()

    def copy(self) -> Fingerprint:
        """One that goes on from here on its own."""
        other = Fingerprint()
        other._digest = self._digest.copy()
        return other


@dataclass(frozen=True)
class SavedScan:
    """A scan in the cache.

    Attributes:
        notes: what the user should know of the sources.
        left_out: which of the sources, counted from 0, were not text.

    """

    scan: Scan
    notes: tuple[str, ...]
    left_out: tuple[int, ...]


class _Notes:
    """What the user should know of the sources: of each, or counted where it holds for many."""

    def __init__(self, reading: ReadingOptions) -> None:
        self._reading = reading
        self._line_ends, self._paragraphs = LineEnds(), Paragraphs()
        self._own: list[str] = []  # of single sources
        self._markup: dict[Format, list[Path]] = {}
        self._encodings: dict[str, list[Path]] = {}  # other than the one that was named

    def add(self, data: bytes) -> None:
        """The next bytes of a source."""
        self._line_ends.add(data)
        self._paragraphs.add(data)

    def give_up(self, name: Path) -> None:
        """A source is left out."""
        self._line_ends.end(name, plain=False)
        self._paragraphs.end(name, prose=False, plain=False)

    def end(self, name: Path, facts: Reading) -> None:
        """A source has been read."""
        plain, reading = facts.format == "text", self._reading
        self._line_ends.end(name, plain=plain)
        self._paragraphs.end(name, prose=plain or facts.format in MARKUP, plain=plain)
        if facts.format in MARKUP and reading.format is None:
            self._markup.setdefault(facts.format, []).append(name)
            return
        if facts.has_own_encoding(reading):
            self._encodings.setdefault(facts.encoding, []).append(name)
            reading = replace(reading, encoding=facts.encoding)  # so that it is said once
        self._own += facts.notes(name, reading)

    def all(self) -> list[str]:
        """All of them."""
        return [
            *_shortened(self._own),
            *(describe_encoding(*each) for each in self._encodings.items()),
            *(describe_markup(*each) for each in self._markup.items()),
            *filter(None, [self._line_ends.note(), self._paragraphs.note()]),
        ]


def scan_sources(
    sources: Sequence[Path],
    names: Sequence[Path],
    reading: ReadingOptions,
    optional: frozenset[Path],
    val_fraction: float,
    progress: Progress,
) -> SavedScan:
    """Reads all sources, each called by its name in errors."""
    found, notes = _Ends(), _Notes(reading)
    left_out: dict[int, str] = {}
    conversions: dict[str, str] = {}  # by program: of the first that it would make text of
    forms: list[tuple[Path, PairForm | None]] = []
    no_rows = False  # in any of them
    names = [*map(shown_name, names)]
    for place, (source, name) in enumerate(zip(sources, names, strict=True)):
        facts, before_bytes = Reading(), found.bytes
        before = found.mark() if name in optional else None
        try:
            for chunk in read_chunks(source, reading, name=name, reading=facts):
                found.add(chunk)
                notes.add(chunk.data)
                progress(found.bytes)
        except (DataError, InputOutputError) as error:
            if before is None:
                raise
            found.go_back_to(before)
            notes.give_up(name)
            left_out[place], command = _why_left_out(error, name, names)
            if command:
                conversions.setdefault(command.split()[0], command)
            continue
        notes.end(name, facts)
        if found.bytes > before_bytes:
            forms.append((name, facts.form))
        no_rows |= facts.rows is not None and not facts.rows.rows
    if found.blank:
        listed = ", ".join(str(name) for name in names[:3])
        empty = "only white space" if found.bytes else "no rows" if no_rows else "empty"
        why = next(iter(left_out.values()), empty if sources else None)
        raise DataError(f"no text in {listed}", why=why)
    form = same_form(forms)
    scan = Scan(
        bytes=found.bytes,
        documents=found.documents,
        fingerprint=found.fingerprint.hexdigest(),
        held_out=() if form else choose_held_out(found.ends, val_fraction),
        pairs=choose_pairs(found.keys, found.sizes, val_fraction, form) if form else None,
    )
    said = notes.all()
    if len(forms) == found.documents == len(found.ends):  # each file is one document
        said += _describe_held_out(
            [str(forms[n][0]) for n in held_out_whole(found.ends, scan.held_out)]
        )
    return SavedScan(scan, (*said, *_describe(left_out, conversions)), tuple(left_out))


def _why_left_out(
    error: DataError | InputOutputError, name: Path, names: Sequence[Path]
) -> tuple[str, str | None]:
    """Why a file is left out, and the command that would make text of it, unless it has run."""
    command = error.hint if error.hint and error.hint.startswith(CONVERSIONS) else None
    converted = converted_name(name)
    if command and command.startswith("iconv") and converted in names:
        return f"{name}, already converted: {converted.name} is read", None
    return error.what, command


def _describe_held_out(files: list[str]) -> list[str]:
    """Which files nothing is learned from."""
    more = f" and {len(files) - NAMED:,} more" if len(files) > NAMED else ""
    return [f"held out as a whole: {', '.join(files[:NAMED])}{more}"] if files else []


def _shortened(notes: list[str]) -> list[str]:
    """The first few of many notes, and how many more there are."""
    more = len(notes) - 2 * NAMED
    return notes if more <= 0 else [*notes[: 2 * NAMED], f"... and {more:,} more files like these"]


def _describe(left_out: dict[int, str], conversions: dict[str, str]) -> list[str]:
    """The note on what is left out, and the commands that would make text of it."""
    reasons = list(left_out.values())
    if not reasons:
        return []
    more = f"; and {len(reasons) - NAMED:,} more" if len(reasons) > NAMED else ""
    commands = "; or ".join(re.sub(" +# +", ", ", each) for each in conversions.values())
    command = f" (try: {commands})" if commands else ""
    return [f"left out: {'; '.join(reasons[:NAMED])}{more}{command}"]


class _Ends:
    """Counts and hashes chunks, and remembers where documents end; of very many, only some."""

    def __init__(self) -> None:
        self.bytes = self.documents = 0
        self.blank = True  # nothing but white space so far
        self.fingerprint = Fingerprint()
        self._ends = array("Q")
        self._step = 1
        self.keys, self.sizes = array("Q"), array("Q")  # of pairs
        self._size = 0  # of the pair so far

    def add(self, chunk: Chunk) -> None:
        """The next chunk."""
        self.fingerprint.add(chunk)
        self.bytes += len(chunk.data)
        self.blank = self.blank and not chunk.data.strip()
        if chunk.role != "text":
            self._add_pair(chunk)
        if chunk.last:
            self.documents += 1
            if self.documents % self._step == 0:
                self._ends.append(self.bytes)
            if len(self._ends) == MAX_ENDS:
                self._ends, self._step = self._ends[1::2], 2 * self._step

    def _add_pair(self, chunk: Chunk) -> None:
        self._size += len(chunk.data)
        if chunk.last:
            self.keys.append(chunk.key)
            self.sizes.append(self._size)
            self._size = 0

    @property
    def ends(self) -> Sequence[int]:
        """Where documents end, and where all of them do."""
        if not self._ends or self._ends[-1] != self.bytes:
            return [*self._ends, self.bytes]
        return self._ends

    def mark(self) -> tuple[int, int, Fingerprint, array[int], int, int]:
        """Where it is now; takes no time, however many ends there are."""
        return (
            self.bytes, self.documents, self.fingerprint.copy(),
            self._ends, len(self._ends), self._step,
        )  # fmt: skip

    def go_back_to(self, mark: tuple[int, int, Fingerprint, array[int], int, int]) -> None:
        """Forgets what was added since a mark."""
        # an array that was thinned out since is another one; this was only appended to
        self.bytes, self.documents, self.fingerprint, self._ends, count, self._step = mark
        del self._ends[count:]
        del self.keys[self.documents :], self.sizes[self.documents :]  # none, if they are texts
        self._size = 0
