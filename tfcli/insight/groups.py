"""How well a model knows each part of a text: nats and tokens a byte by source, or by a field.

A model is worse where its text had little, and a tokenizer cuts finer what it has seen less of
(Petrov et al., "Language Model Tokenizers Introduce Unfairness Between Languages", 2023,
arXiv 2305.15425). Texts are compared in bytes, so that a vocabulary favors none; intervals are by
bootstrap over documents, since the bytes of one document are not independent of each other.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfcli.errors import DataError
from tfcli.generation.scoring import document_start, score
from tfcli.insight.statistics import ratio_interval
from tfcli.text.byte_streams import STDIN
from tfcli.text.encoding import shown_name
from tfcli.text.readers import read_chunks
from tfcli.text.reading import Reading
from tfcli.text.rows import NO_VALUE, field_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from tfcli.generation.engines.engine import Engine
    from tfcli.insight.statistics import Values
    from tfcli.text.reading_options import ReadingOptions
    from tfcli.text.tokenizer import Tokenizer

ROWS = 32
FEW = 10  # documents or pieces, below which an interval says little
PIECE = 4000  # bytes; a longer document is cut, so that a book has an interval, too
AT_ONCE = 1 << 20  # bytes of texts that are scored together
MOST_GROUPS = 1000
BREAK = re.compile("\\n+|[.!?] +|。|！|？| ".encode())


@dataclass(frozen=True)
class DocumentPiece:
    """A document, or a part of one.

    Attributes:
        begins, ends: whether it is the first, and the last, of its document.

    """

    group: str
    text: str
    begins: bool = True
    ends: bool = True


@dataclass
class Sums:
    """What was added up of a group: one number for each piece."""

    nats: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # of documents: the number of their last piece

    def add(self, piece: DocumentPiece, nats: float, tokens: int) -> None:
        """The figures of the next piece."""
        self.nats.append(nats)
        self.tokens.append(tokens)
        self.bytes.append(len(piece.text.encode()))
        if piece.ends:
            self.ends.append(len(self.bytes))

    @property
    def units(self) -> tuple[list[Values], bool]:
        """Nats, tokens and bytes of what is drawn for intervals, and whether that is documents.

        Of few documents their pieces, which are more alike than documents are.
        """
        every = [np.array(each, float) for each in (self.nats, self.tokens, self.bytes)]
        if len(self.ends) < FEW:
            return every, False
        starts = [0, *self.ends[:-1]]
        return [np.add.reduceat(each, starts) for each in every], True


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums and between which values it lies, at 95 %; None where nothing tells."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class GroupLoss:
    """What a model makes of a group.

    Attributes:
        name: of its source, or the value of the field.
        interval_over: what the intervals are over: whole documents, or pieces of few.
        ratio: its nats per byte over those of the best group that is not `few`, if there is one.
        few: whether it has too few documents and pieces for its interval to say much.

    """

    name: str
    documents: int
    bytes: int
    tokens: int
    nats_per_byte: Ratio
    tokens_per_byte: Ratio
    interval_over: Literal["documents", "pieces"]
    ratio: float
    few: bool

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def read_pieces(
    sources: Sequence[Path],
    options: ReadingOptions,
    by: str | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Iterator[DocumentPiece]:
    """The documents of some files, long ones in pieces, each with its group.

    Args:
        by: the field of rows that tells the group, with dots where it is nested; None: the file.
        note: is told which rows of a file were skipped.

    Raises:
        DataError: a file cannot be read as text, or none of its rows has the field.

    """
    names = _names(sources)
    for source in sources:
        reading, found = Reading(), False
        group, rest, begins = names[source], b"", True
        fields: list[str] = []
        for chunk in read_chunks(source, options, reading=reading, whole_rows=by is not None):
            if by is not None:
                row = reading.row
                value = field_value(row, by)
                found |= value is not None
                group = NO_VALUE if value is None else value
                fields = sorted(row) if isinstance(row, dict) else []
            *whole, rest = _cut(rest + chunk.data)
            for piece in whole:
                yield DocumentPiece(group, piece.decode(errors="replace"), begins, ends=False)
                begins = False
            if chunk.last:
                yield DocumentPiece(group, rest.decode(errors="replace"), begins)
                rest, begins = b"", True
        for each in reading.skipped(source):
            note(f"Note: {each}.")
        if by is not None and not found:
            raise DataError(
                f"no row of {shown_name(source)} has the field {by!r}",
                why=f"its fields: {', '.join(fields)[:300]}" if fields else "it has no rows",
                hint=None if fields else "--field NAME names the column of the text in a table",
            )


def pieces_of_text(group: str, text: str) -> list[DocumentPiece]:
    """A document of a group, in pieces if it is long."""
    pieces = [piece.decode(errors="replace") for piece in _cut(text.encode())]
    last = len(pieces) - 1
    return [DocumentPiece(group, piece, number == 0, number == last)
            for number, piece in enumerate(pieces)]  # fmt: skip


def _names(sources: Sequence[Path]) -> dict[Path, str]:
    """What to call each file: its name, or its path where several have that name."""
    names = [source.name for source in sources]
    called = {s: str(s) if names.count(s.name) > 1 else s.name for s in sources}
    return called | {STDIN: str(shown_name(STDIN))}


def _cut(data: bytes) -> list[bytes]:
    """A text in pieces of PIECE bytes or a little more, cut after lines or sentences."""
    pieces, start = [], 0
    while len(data) - start > 2 * PIECE:
        found = BREAK.search(data, start + PIECE, start + 2 * PIECE)
        end = found.end() if found else start + 2 * PIECE
        while data[end] & 0xC0 == 0x80:  # within a character
            end += 1
        pieces.append(data[start:end])
        start = end
    return [*pieces, data[start:]]


def audit_groups(
    engine: Engine,
    tokenizer: Tokenizer,
    pieces: Iterable[DocumentPiece],
    *,
    rows: int,
    many_documents: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> list[GroupLoss]:
    """Scores texts, and adds up by group; the lowest loss first, those with few documents last.

    Args:
        rows: of the engine.
        many_documents: whether the model was trained on several, so that it knows a beginning.
        progress: is told how many bytes are scored.

    Raises:
        DataError: there are more than MOST_GROUPS groups.

    """
    groups: dict[str, Sums] = {}
    start = document_start(tokenizer.special, many_documents=many_documents)
    done = 0
    for some in _batches(pieces):
        ids = [tokenizer.encode(piece.text) for piece in some]
        scored = score(
            engine, ids, tokenizer.special, rows=rows, stride=max(1, engine.context_length // 2),
            starts=[start if piece.begins else [] for piece in some],
        )  # fmt: skip
        for piece, own, logprobs in zip(some, ids, scored, strict=True):
            sums = groups.setdefault(piece.group, Sums())
            sums.add(piece, -math.fsum(logprobs), len(own))
            done += sums.bytes[-1]
            progress(done)
        if len(groups) > MOST_GROUPS:
            raise DataError(
                f"more than {MOST_GROUPS:,} groups",
                why=f"such as {', '.join(list(groups)[:5])}"[:200],
                hint="--by FIELD   # one with fewer values",
            )
    return _compare(groups)


def _batches(pieces: Iterable[DocumentPiece]) -> Iterator[list[DocumentPiece]]:
    """Texts that are scored together."""
    some: list[DocumentPiece] = []
    size = 0
    for piece in pieces:
        some.append(piece)
        size += len(piece.text)
        if size >= AT_ONCE:
            yield some
            some, size = [], 0
    if some:
        yield some


def _compare(groups: dict[str, Sums]) -> list[GroupLoss]:
    groups = {name: sums for name, sums in groups.items() if sum(sums.bytes)}
    losses = {name: math.fsum(sums.nats) / sum(sums.bytes) for name, sums in groups.items()}
    few = {name: len(sums.units[0][2]) < FEW for name, sums in groups.items()}
    ordered = sorted(losses, key=lambda name: (few[name], losses[name]))
    best = losses[ordered[0]] if ordered else 0.0
    found = []
    for name in ordered:
        sums = groups[name]
        (nats, tokens, sizes), of_documents = sums.units
        found.append(GroupLoss(
            name=name,
            documents=len(sums.ends),
            bytes=sum(sums.bytes),
            tokens=sum(sums.tokens),
            nats_per_byte=_ratio(nats, sizes),
            tokens_per_byte=_ratio(tokens, sizes),
            interval_over="documents" if of_documents else "pieces",
            ratio=losses[name] / best if best else 1.0,
            few=few[name],
        ))  # fmt: skip
    return found


def _ratio(above: Values, below: Values) -> Ratio:
    """Of the sums, with its interval."""
    low, high = ratio_interval(above, below)
    value = math.fsum(above) / math.fsum(below)
    return Ratio(value, *(each if math.isfinite(each) else None for each in (low, high)))
