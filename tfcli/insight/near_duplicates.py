"""Near-duplicates: lines, paragraphs, documents with a changed date, or another name.

How much two texts have in common is the Jaccard similarity of their shingles (Broder, "On the
resemblance and containment of documents", 1997), here all stretches of SHINGLE bytes:

    J(a, b) = |a ∩ b| / |a ∪ b|

MinHash keeps HASHES numbers of each text, of which two texts share J on average; texts that share
all numbers of a band are compared exactly (Leskovec et al., "Mining of Massive Datasets", 3.4). So
what is found is exact, and of pairs at the threshold at most MISSED are overlooked.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tfcli.errors import DataError
from tfcli.insight.repeats import Removed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from tfcli.insight.repeats import TextUnit

    Numbers = NDArray[np.uint64]

SHINGLE = 8  # bytes: as many as fit into a number, which is the shingle itself
HASHES = 128
MISSED = 0.01
MAX_NEAR_TEXT = 16 << 20  # bytes; a unit that is kept takes some 3 kB of memory
EXAMPLES = 10
AT_ONCE = 8192  # shingles that are hashed together: 8 MB


@dataclass(frozen=True)
class NearDuplicate:
    """A unit that nearly equals an earlier one.

    Attributes:
        line, first_line: on which each begins, from 1.
        similarity: of their shingles.
        text: how it begins.

    """

    line: int
    first_line: int
    similarity: float
    text: str


@dataclass
class RemovedNearDuplicates(Removed):
    """What was left out, with the first examples."""

    examples: list[NearDuplicate] = field(default_factory=list)


def without_near_duplicates(
    pieces: Iterable[TextUnit],
    least: int,
    threshold: float,
    removed: RemovedNearDuplicates,
) -> Iterator[bytes]:
    """A text without what nearly equals something before it that stayed.

    Done twice, it changes nothing the second time.

    Args:
        pieces: the text, from `pieces_of`.
        least: bytes of what is compared; shorter ones stay.
        threshold: the least similarity, above 0, 1 for equal shingles.
        removed: takes what was left out.

    Raises:
        DataError: the text has more than MAX_NEAR_TEXT bytes.

    """
    index = NearIndex(threshold)
    lines: list[int] = []  # on which each unit of the index begins
    line = 1
    for piece in _within_limit(pieces):
        removed.total_bytes += len(piece.text)
        at = line + piece.text[: len(piece.text) - len(piece.text.lstrip())].count(b"\n")
        line += piece.text.count(b"\n")
        if len(piece.compared) >= max(1, least):
            found = index.add_unless_near(piece.compared)
            if found:
                removed.units += 1
                removed.bytes += len(piece.text)
                if len(removed.examples) < EXAMPLES:
                    text = " ".join(piece.compared[:300].decode(errors="ignore").split())
                    removed.examples.append(
                        NearDuplicate(at, lines[found[0]], round(found[1], 3), text)
                    )
                continue
            lines.append(at)
        yield piece.text


def _within_limit(pieces: Iterable[TextUnit]) -> list[TextUnit]:
    """All of a text, before any of it is compared: half a text written would be worse than none."""
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece.text)
        if size > MAX_NEAR_TEXT:
            raise DataError(
                f"the text has more than {MAX_NEAR_TEXT:,} bytes, in which near repeats are found",
                hint="split it, or leave out --near: equal ones are found in a text of any length",
            )
    return found


class NearIndex:
    """Texts, none of which nearly equals one before it."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._rows, self._bands = choose_bands(threshold)
        self._texts: list[bytes] = []
        self._first: dict[int, int] = {}  # key -> the first text that has it
        self._others: dict[int, list[int]] = {}  # the rest, which most keys do not have

    def add_unless_near(self, text: bytes) -> tuple[int, float] | None:
        """Adds a text, unless it nearly equals one: then that one's number and the similarity."""
        own = shingles(text)
        keys = self._keys(own)
        candidates = {self._first[key] for key in keys if key in self._first}
        candidates.update(number for key in keys for number in self._others.get(key, ()))
        best = max(
            ((jaccard(own, shingles(self._texts[number])), -number) for number in candidates),
            default=(0.0, 0),
        )
        if candidates and best[0] >= self._threshold:
            return -best[1], best[0]
        for key in keys:
            if self._first.setdefault(key, len(self._texts)) != len(self._texts):
                self._others.setdefault(key, []).append(len(self._texts))
        self._texts.append(text)
        return None

    def _keys(self, own: Numbers) -> list[int]:
        """A key for each band: of its number, and the hashes in it."""
        hashes = minhash(own)
        return [
            int.from_bytes(
                hashlib.blake2b(part.tobytes(), digest_size=8, key=bytes([band])).digest()
            )
            for band, part in enumerate(hashes[: self._rows * self._bands].reshape(-1, self._rows))
        ]


def choose_bands(threshold: float) -> tuple[int, int]:
    """Into how many rows and bands the hashes are cut: the longest rows that overlook few pairs.

    Two texts of similarity J share all of a band's r hashes with probability J^r.
    """
    for rows in range(HASHES, 0, -1):
        bands = HASHES // rows
        if (1 - threshold**rows) ** bands <= MISSED:
            return rows, min(bands, 256)
    return 1, HASHES


def shingles(text: bytes) -> Numbers:
    """The different shingles of a text, sorted; white space of any length counts as one space."""
    plain = re.sub(rb"\s+", b" ", text)
    plain = plain.ljust(SHINGLE, b"\0")
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(plain, np.uint8), SHINGLE)
    return np.unique(np.ascontiguousarray(windows).view(np.uint64)[:, 0])


def jaccard(one: Numbers, other: Numbers) -> float:
    """The similarity of two sorted sets."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def minhash(own: Numbers) -> Numbers:
    """The least of each of HASHES hashes over the shingles of a text, (HASHES,)."""
    least = np.full(HASHES, np.iinfo(np.uint64).max, np.uint64)
    mixed = _mix(own)
    for begin in range(0, len(mixed), AT_ONCE):
        some = mixed[begin : begin + AT_ONCE]
        np.minimum(least, (some[:, None] * FACTORS + TERMS).min(axis=0), out=least)
    return least


def _mix(numbers: Numbers) -> Numbers:
    """Numbers that look random, each different (the end of SplitMix64; Steele et al., 2014)."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: Numbers = mixed ^ (mixed >> np.uint64(31))
    return result


_RANDOM = np.random.default_rng(0)
FACTORS = _RANDOM.integers(0, 1 << 63, HASHES, np.uint64) * np.uint64(2) + np.uint64(1)
TERMS = _RANDOM.integers(0, 1 << 63, HASHES, np.uint64) * np.uint64(2)
