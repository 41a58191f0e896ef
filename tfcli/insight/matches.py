"""What two texts have in common: every longest stretch of one that the other repeats.

The training text passes once, in blocks. Every window of `width` bytes of it is looked up among
those of the text asked about, by two numbers of eight bytes that hold it completely: no hash can be
mistaken for it. Windows that match one after the other on a diagonal (the same distance between the
two texts) are one match, however long.

    t, q      where a window begins in the training text, and in the text asked about
    diagonal  t - q
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.insight.lookup import Lookup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Bytes = NDArray[np.uint8]
    Words = NDArray[np.uint64]

WIDTH = 16  # bytes: the shortest match that is found, and the widest window possible
MAX_TEXT = 1 << 20  # bytes of the text asked about
MOST_PLACES = 64  # of one window in it that are looked at: where it repeats itself, the first
PAIRS = 1 << 19  # of t and q that are compared at once
AT_ONCE = 1 << 17  # windows that are looked up at once, so that they stay in the cache
FACTORS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # odd, as good as random
NONE = -1  # the class of a window that the text asked about does not have


def windows(data: Bytes, width: int) -> tuple[Words, Words]:
    """The first eight and the last eight bytes of every window, (len(data) - width + 1,) each."""
    count = max(0, len(data) - width + 1)
    padded = data if width >= 8 else np.concatenate([data, np.zeros(8, np.uint8)])
    last = max(0, width - 8)
    pair = [
        np.ndarray((count,), "<u8", padded.data, offset, (1,)) if count else np.zeros(0, np.uint64)
        for offset in (0, last)
    ]
    if width < 8:
        mask = np.uint64((1 << 8 * width) - 1)
        pair = [each & mask for each in pair]
    return pair[0], pair[1]


def hash_windows(first: Words, last: Words) -> Words:
    """A number for each window whose highest bits depend on all of its bytes."""
    return first * FACTORS[0] + last * FACTORS[1]


class WindowClasses:
    """The windows of a text, numbered so that equal ones have one number, their class.

    Windows of one byte repeated have none: in tables and indented code they match everywhere.

    Attributes:
        of: (windows,), the class of each window of the text, or NONE.

    """

    def __init__(self, text: bytes, width: int, starts: Integers | None = None) -> None:
        data = np.frombuffer(text, np.uint8)
        self.width = width
        first, last = windows(data, width)
        hashes = hash_windows(first, last)
        repeated = np.arange(256, dtype=np.uint64) * np.uint64(
            ((1 << 8 * min(width, 8)) - 1) // 255
        )
        useful = (first != last) | (first != repeated[data[: len(first)]])
        if starts is not None:  # only the windows that begin there
            useful &= np.isin(np.arange(len(first)), starts)
        keys, samples, classes = np.unique(hashes[useful], return_index=True, return_inverse=True)
        self.of = np.full(len(first), NONE, np.int32)
        self.of[useful] = classes
        self._first, self._last = first[useful][samples], last[useful][samples]
        self._lookup = Lookup(keys)

    def find(self, data: Bytes) -> NDArray[np.int32]:
        """The class of each window of another text, or NONE."""
        first, last = windows(data, self.width)
        found = np.full(len(first), NONE, np.int32)
        for start in range(0, len(first), AT_ONCE):
            a, b = first[start : start + AT_ONCE], last[start : start + AT_ONCE]
            where, which = self._lookup.find(hash_windows(a, b))
            same = (self._first[which] == a[where]) & (self._last[which] == b[where])
            found[start + where[same]] = which[same]
        return found


class Matcher:
    """Finds the longest matches of a text while the training text passes.

    Args:
        text: at most MAX_TEXT bytes.
        width: length of the shortest match, from 1 to WIDTH.
        most_places: of a window that the text repeats, so many are looked at, and others count as
            different from all: a match ends there.

    """

    def __init__(self, text: bytes, width: int = WIDTH, most_places: int = MOST_PLACES) -> None:
        self._classes = WindowClasses(text, width)
        self._width = width
        of = self._classes.of
        known = np.flatnonzero(of >= 0)
        places = known[np.argsort(of[known], kind="stable")]  # q, class by class
        counts = np.bincount(of[known], minlength=int(of.max(initial=NONE)) + 1)
        begins = np.cumsum(counts) - counts
        nth = np.arange(len(places)) - np.repeat(begins, counts)
        self._places = places[nth < most_places]
        self._counts = np.minimum(counts, most_places)
        self._begins = np.cumsum(self._counts) - self._counts
        self._of = np.full(len(of) + 1, NONE, np.int32)  # behind the last window there is none
        self._of[self._places] = of[self._places]
        self._best = np.zeros(len(of) + 1, np.int64)  # length of the longest match from each q
        self._tail = np.zeros(0, np.uint8)  # bytes whose windows are not complete yet
        self._last_class = NONE
        self._t = 0  # of the last window that was looked up, plus 1
        self._open: Integers = np.zeros(0, np.int64)  # beginnings of matches that may go on

    def add(self, data: bytes) -> None:
        """The next bytes of the training text."""
        together = np.concatenate([self._tail, np.frombuffer(data, np.uint8)])
        classes = self._classes.find(together)
        self._tail = together[len(classes) :]
        for start in range(0, len(classes), AT_ONCE):
            part = classes[start : start + AT_ONCE]
            self._match(np.concatenate([[np.int32(self._last_class)], part]))
            self._last_class = int(part[-1])

    def spans(self) -> Integers:
        """The matches that are not within longer ones, in order: begin and end, (spans, 2).

        To be called once, when all of the training text has passed.
        """
        self._match(np.array([self._last_class, NONE], np.int32))
        begins = np.flatnonzero(self._best)
        ends = begins + self._best[begins]
        reached = np.maximum.accumulate(np.concatenate([[0], ends]))[:-1]
        return np.stack([begins, ends], 1)[ends > reached]

    def _match(self, classes: NDArray[np.int32]) -> None:
        """Goes on with the windows after the last one, which is the first of `classes` again."""
        begun, ended = [self._open], [np.zeros(0, np.int64)]
        for t, q in self._pairs(classes):
            here = self._key(self._t - 1 + t, q)
            before, after = classes[t - 1], classes[np.minimum(t + 1, len(classes) - 1)]
            # whether the windows before do not match, and those after
            begins = (q == 0) | (before == NONE) | (before != self._of[q - 1])
            ends = (after == NONE) | (after != self._of[q + 1])
            begun.append(here[begins & (t > 0)])
            ended.append(here[ends & (t < len(classes) - 1)])
        self._t += len(classes) - 1
        starts, ends = np.concatenate(begun), np.sort(np.concatenate(ended))
        if len(ends):
            nearest = np.minimum(np.searchsorted(ends, starts), len(ends) - 1)
            closed = (ends[nearest] >= starts) & (ends[nearest] // MAX_TEXT == starts // MAX_TEXT)
            lengths = (ends[nearest] - starts + self._width)[closed]
            np.maximum.at(self._best, starts[closed] % MAX_TEXT, lengths)
            starts = starts[~closed]
        self._open = starts

    def _pairs(self, classes: NDArray[np.int32]) -> Iterator[tuple[Integers, Any]]:
        """All t and q with the same window, some at a time."""
        hits = np.flatnonzero(classes >= 0)
        counts = self._counts[classes[hits]]
        total = np.cumsum(counts)
        start = 0
        while start < len(hits):
            before = total[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(total, before + PAIRS, "right")))
            own = counts[start:stop]
            t = np.repeat(hits[start:stop], own)
            firsts = np.repeat(self._begins[classes[hits[start:stop]]], own)
            nth = np.arange(len(t)) - np.repeat(np.cumsum(own) - own, own)
            yield t, self._places[firsts + nth]
            start = stop

    @staticmethod
    def _key(t: Any, q: Any) -> Any:
        """One number for a pair, in the order of diagonals, then of the text."""
        return (t - q + MAX_TEXT) * MAX_TEXT + q
