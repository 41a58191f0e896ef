"""Repeats in a text: lines, paragraphs, documents that were there before, or any stretch of bytes.

The first of equal ones stays. What is repeated is learned by heart first, and a model trained
without repeats is no worse (Lee et al., 2022, "Deduplicating Training Data Makes Language Models
Better", arXiv 2107.06499, whose exact substrings are the spans here).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

Unit = Literal["line", "paragraph", "document", "span"]

LEAST = {"line": 50, "paragraph": 50, "document": 50, "span": 200}  # bytes: shorter ones stay
MAX_SPANS_TEXT = 16 << 20  # bytes; looking for spans takes about 60 times as much memory
SEPARATOR = re.compile(rb"(<\|endoftext\|>|<\|end_of_text\|>)[ \t]*\r?\n?")
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64


@dataclass
class Removed:
    """What was left out.

    Attributes:
        units: lines, paragraphs, documents; stretches.
        bytes: of them.
        total_bytes: of the text.

    """

    units: int = 0
    bytes: int = 0
    total_bytes: int = 0


class TextUnit(NamedTuple):
    """A unit of a text.

    Attributes:
        text: with what separates it from the next.
        compared: what is compared of it.

    """

    text: bytes
    compared: bytes


def without_repeats(pieces: Iterable[TextUnit], least: int, removed: Removed) -> Iterator[bytes]:
    """A text without what it repeats.

    Args:
        pieces: the text, from `pieces_of`.
        least: bytes of what is compared; shorter ones stay.
        removed: takes what was left out.

    """
    seen: set[bytes] = set()
    for piece in pieces:
        removed.total_bytes += len(piece.text)
        if len(piece.compared) >= max(1, least):
            digest = hashlib.blake2b(piece.compared, digest_size=16).digest()
            if digest in seen:
                removed.units += 1
                removed.bytes += len(piece.text)
                continue
            seen.add(digest)
        yield piece.text


# --- lines, paragraphs, documents ---------------------------------------------------------------


def pieces_of(blocks: Iterable[bytes], unit: Unit) -> Iterator[TextUnit]:
    """Each line, paragraph or document of a text, compared without white space around it.

    Args:
        blocks: the text, cut anywhere.
        unit: not "span".

    """
    units = {"line": lines_of, "paragraph": _paragraphs, "document": _documents}[unit]
    for text, ending in units(blocks):
        yield TextUnit(text + ending, text.strip())


def lines_of(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Each line, and its newline."""
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line, b"\n"
    if rest:
        yield rest, b""


def _paragraphs(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Each run of lines that are not blank, and the blank lines after it."""
    text: list[bytes] = []
    blank: list[bytes] = []
    for line, newline in lines_of(blocks):
        if line.strip() and blank:
            yield b"".join(text), b"".join(blank)
            text, blank = [], []
        (text if line.strip() else blank).append(line + newline)
    if text or blank:
        yield b"".join(text), b"".join(blank)


def _documents(blocks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """What stands between lines with <|endoftext|>, and that line."""
    text: list[bytes] = []
    for line, newline in lines_of(blocks):
        if SEPARATOR.fullmatch(line + newline):
            yield b"".join(text), line + newline
            text = []
        else:
            text.append(line + newline)
    if text:
        yield b"".join(text), b""


# --- spans --------------------------------------------------------------------------------------


def without_spans(blocks: Iterable[bytes], least: int, removed: Removed) -> Iterator[bytes]:
    """A text, all at once, without what `remove_spans` removes.

    Raises:
        DataError: the text is too long.

    """
    text = b"".join(blocks)
    removed.total_bytes = len(text)
    yield remove_spans(text, least, removed)


def remove_spans(text: bytes, least: int, removed: Removed) -> bytes:
    """A text without every stretch of `least` bytes or more that it had before.

    What is left may repeat something anew where it was joined, so it is looked through until
    nothing is removed: the result of the result is the same.

    Raises:
        DataError: the text has more than MAX_SPANS_TEXT bytes.

    """
    if len(text) > MAX_SPANS_TEXT:
        raise DataError(
            f"the text has {len(text):,} bytes, and spans are looked for in {MAX_SPANS_TEXT:,}",
            hint="--by line   # or paragraph, document: of any length",
        )
    while spans := find_repeated_spans(text, least):
        kept, position = [], 0
        for begin, end in spans:
            kept.append(text[position:begin])
            position = end
            removed.units += 1
            removed.bytes += end - begin
        text = b"".join([*kept, text[position:]])
    return text


def find_repeated_spans(text: bytes, least: int) -> list[tuple[int, int]]:
    """Where all windows of `least` bytes lie that the text had before, apart from them; joined.

    Each stretch is cut to whole characters.
    """
    count = len(text) - least + 1
    if count < 2:
        return []
    hashes = _hash_windows(text, least, count)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    is_first = np.ones(count, bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    firsts = np.empty(count, np.int64)
    firsts[order] = order[np.maximum.accumulate(np.where(is_first, np.arange(count), 0))]
    again = np.flatnonzero(firsts + least <= np.arange(count))
    spans: list[tuple[int, int]] = []
    for run in np.split(again, np.flatnonzero(np.diff(again) != 1) + 1):
        for begin, end in _verified(text, run, firsts[run], least):
            if spans and begin <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], end)
            else:
                spans.append((begin, end))
    cut = ((_character(text, begin, 1), _character(text, end, -1)) for begin, end in spans)
    return [(begin, end) for begin, end in cut if begin < end]


def _hash_windows(text: bytes, width: int, count: int) -> NDArray[np.uint64]:
    """A number for each window that depends on its bytes alone."""
    sums = np.full(len(text) + 1, BASE)
    sums[0] = 1
    np.multiply.accumulate(sums, out=sums)  # powers of BASE
    sums[1:] = np.cumsum((np.frombuffer(text, np.uint8) + np.uint64(1)) * sums[:-1])
    sums[0] = 0
    hashes = sums[width:] - sums[:-width]
    inverses = np.full(count, np.uint64(pow(int(BASE), -1, 1 << 64)))
    inverses[0] = 1
    hashes *= np.multiply.accumulate(inverses, out=inverses)
    return hashes


def _verified(
    text: bytes, places: NDArray[np.int64], firsts: NDArray[np.int64], width: int
) -> Iterator[tuple[int, int]]:
    """The stretches of some places in a row whose bytes are those of the first places."""
    for part in np.split(np.arange(len(places)), np.flatnonzero(np.diff(firsts) != 1) + 1):
        if len(part):
            begin, end = int(places[part[0]]), int(places[part[-1]]) + width
            first = int(firsts[part[0]])
            if text[begin:end] == text[first : first + end - begin]:
                yield begin, end


def _character(text: bytes, position: int, step: int) -> int:
    """The first position from there on, or back, where a character begins."""
    while position < len(text) and text[position] & 0xC0 == 0x80:
        position += step
    return position
