"""Words as the unit of chance and of novelty: found and hashed in whole blocks of text at once.

A word is a run of letters, digits and `_`; each punctuation mark, symbol, Chinese character or kana
is a word of its own; white space only separates. Upper and lower case differ. So it is for every
tokenizer, and a match in the middle of a token counts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tfcli.insight.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.intp]
    Bytes = NDArray[np.uint8]
    Hashes = NDArray[np.uint64]

LONGEST = 10  # words of an n-gram
AT_ONCE = 1 << 14  # words that are hashed at once, so that their bytes stay in the cache

SPACE, LETTER, GOES_ON = 0, 1, 2  # kinds of bytes; the last is not the first byte of its character
ALONE = {3: 1, 4: 2, 5: 3, 6: 4}  # first bytes of characters that are words: kind -> size
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64
MIX = np.uint64(0xBF58476D1CE4E5B9)


def _kinds() -> Bytes:
    kinds = np.full(256, LETTER, np.uint8)
    kinds[:0x21] = kinds[0x7F] = SPACE
    punctuation = [byte for byte in range(0x21, 0x7F) if not chr(byte).isalnum()]
    kinds[[byte for byte in punctuation if byte != ord("_")]] = 3
    kinds[0x80:0xC0] = GOES_ON
    kinds[0xC2] = 4  # U+0080 to U+00BF: signs such as ¿ and «
    kinds[0xE2:0xEA] = kinds[0xEF] = 5  # U+2000 to U+9FFF, U+F000 to U+FFFF: dashes, kana, Chinese
    kinds[0xF0:0xF5] = 6  # emoji, rarer Chinese characters
    kinds[0xFF] = 3  # between documents
    return kinds


KINDS = _kinds()


def find_words(data: Bytes) -> tuple[Integers, Integers]:
    """Where each word begins, and where it ends, both in bytes: (words,) each."""
    kinds = KINDS[data]
    after_space = np.ones(len(data), bool)
    after_space[1:] = kinds[:-1] == SPACE
    alone = kinds >= 3
    ended = np.zeros(len(data), bool)  # whether a character ended here that is a word
    for kind, size in ALONE.items():
        ended[size:] |= kinds[:-size] == kind
    is_start = (kinds != SPACE) & (after_space | ((kinds != GOES_ON) & (alone | ended)))
    is_end = kinds != SPACE
    is_end[:-1] &= (kinds[1:] == SPACE) | is_start[1:]
    return np.flatnonzero(is_start), np.flatnonzero(is_end) + 1


def is_border(before: bytes, after: bytes) -> bool:
    """Whether no word goes on from the end of some bytes to others that follow them."""
    if not before or not after or KINDS[after[0]] == SPACE or KINDS[before[-1]] == SPACE:
        return True
    near = before[-4:] + after[:4]  # the characters on both sides
    return len(before[-4:]) in find_words(np.frombuffer(near, np.uint8))[0]


def hash_words(data: Bytes, starts: Integers, ends: Integers) -> Hashes:
    """A number for each word that depends on its bytes alone, not on where it stands."""
    hashes = np.empty(len(starts), np.uint64)
    for first in range(0, len(starts), AT_ONCE):
        own = slice(first, first + AT_ONCE)
        offset = starts[first]
        hashes[own] = _hash(data[offset : ends[own][-1]], starts[own] - offset, ends[own] - offset)
    return hashes


def _hash(data: Bytes, starts: Integers, ends: Integers) -> Hashes:
    powers, inverses = _powers((len(data) | 0xFFFF).bit_length())
    sums = np.empty(len(data) + 1, np.uint64)
    sums[0] = 0
    np.cumsum((data + np.uint64(1)) * powers[: len(data)], out=sums[1:])
    hashes: Hashes = (sums[ends] - sums[starts]) * inverses[starts]
    hashes ^= hashes >> np.uint64(31)
    hashes *= MIX
    hashes ^= hashes >> np.uint64(29)
    return hashes * BASE


@cache
def _powers(bits: int) -> tuple[Hashes, Hashes]:
    """BASE and its inverse to the powers 0 to 2^bits - 1."""
    inverse = pow(int(BASE), -1, 1 << 64)
    both = []
    for base in (BASE, np.uint64(inverse)):
        factors = np.full(1 << bits, base)
        factors[0] = 1
        both.append(np.multiply.accumulate(factors))
    return both[0], both[1]


def words_of(text: bytes) -> Hashes:
    """The hashes of the words of a text."""
    data = np.frombuffer(text, np.uint8)
    return hash_words(data, *find_words(data))


def ngrams(words: Hashes) -> list[Hashes]:
    """The hashes of all n-grams of words, for n from 1 to LONGEST."""
    found = [words]
    for n in range(2, LONGEST + 1):
        found.append(found[-1][:-1] * MIX + words[n - 1 :])
    return found


class Counter:
    """Counts words of the training text, and notes which n-grams it has.

    Args:
        words: whose occurrences are counted; of the text asked about.
        texts: hashes of the words of texts whose n-grams are looked for.

    """

    def __init__(self, words: Hashes, texts: Sequence[Hashes]) -> None:
        self._words = np.unique(words)
        self._lookup = Lookup(self._words)
        self._counts = np.zeros(len(self._words), np.int64)
        self.total = 0  # words of the training text
        each = [ngrams(text) for text in texts]
        self._grams = [
            np.unique(np.concatenate([own[n] for own in each] or [self._words[:0]]))
            for n in range(LONGEST)
        ]
        self._lookups = list(map(Lookup, self._grams))
        self._found = [np.zeros(len(own), bool) for own in self._grams]
        self._before: Hashes = np.zeros(0, np.uint64)  # the last words, which n-grams begin with

    def add(self, data: bytes) -> None:
        """The next block of the training text, which begins and ends between two words."""
        words = words_of(data)
        self.total += len(words) - data.count(b"\xff")
        _, which = self._lookup.find(words)
        self._counts += np.bincount(which, minlength=len(self._words))
        together = np.concatenate([self._before, words])
        self._before = together[-(LONGEST - 1) :]
        starts, grams = np.arange(len(together)), together
        for n in range(LONGEST):
            if n:  # only where the n-gram without its last word was found
                inside = starts + n < len(together)
                starts = starts[inside]
                grams = grams[inside] * MIX + together[starts + n]
            where, which = self._lookups[n].find(grams)
            self._found[n][which] = True
            starts, grams = starts[where], grams[where]

    def counts(self, words: Hashes) -> NDArray[np.int64]:
        """How often the training text has each of some words, which were given at first."""
        return self._counts[np.searchsorted(self._words, words)]

    def novelty(self, texts: Sequence[Hashes]) -> list[float | None]:
        """The share of the n-grams of texts that the training text lacks, for n from 1.

        None where the texts are too short to have any.
        """
        each = [ngrams(text) for text in texts]
        shares: list[float | None] = []
        for n in range(LONGEST):
            own = np.concatenate([grams[n] for grams in each] or [self._words[:0]])
            found = self._found[n][np.searchsorted(self._grams[n], own)]
            shares.append(float(1 - found.mean()) if len(own) else None)
        return shares
