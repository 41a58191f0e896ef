"""Where in the training text some stretches of another text stand, how long they go on, how often.

The training text passes a second time. Wherever the first bytes of a stretch come by, the bytes
after them are compared, over the ends of blocks, until the two texts differ.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tfcli.insight.matches import WIDTH, WindowClasses
from tfcli.insight.training_text import BORDER, Block, Place
from tfcli.insight.words import is_border

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST = 10  # passages of a stretch that are kept
MOST_COUNTED = 10_000  # of a stretch
CONTEXT = 80  # bytes before and after a passage, about


@dataclass
class Passage:
    """A place in the training text that a stretch repeats.

    Attributes:
        before, after: what stands around it in its document, cut at words.

    """

    place: Place
    before: str
    after: str = ""


@dataclass
class Stretch:
    """What is looked for.

    Attributes:
        begin: where it begins in its text.
        end: where it ends, after a whole word; grows with what is found.
        count: how often the training text has it; MOST_COUNTED: so often at least.
        passages: the first of them, at most MOST.

    """

    begin: int
    end: int
    count: int = 0
    passages: list[Passage] = field(default_factory=list)


@dataclass
class _Growing:
    """A place where a stretch was begun and may go on in the next block."""

    stretch: Stretch
    passage: Passage | None  # None: not needed
    matched: int = 0  # bytes
    differs: bool = False  # from then on, what is read stands after the match
    after: bytes = b""
    next: bytes = b""  # the first bytes that stand after the match


class PassageFinder:
    """Finds the passages of stretches while the training text passes.

    Args:
        text: the text they are of.
        stretches: each of WIDTH bytes at least.
        last_word: the end of the last whole word before a byte of the text.
        most: how many passages of each are kept.
        whole_words: whether a passage has to begin and to end with a word there, too.

    """

    def __init__(
        self,
        text: bytes,
        stretches: Sequence[Stretch],
        last_word: Callable[[int], int],
        *,
        most: int = MOST,
        whole_words: bool = False,
    ) -> None:
        self._whole_words = whole_words
        self._text, self._last_word, self._most = text, last_word, most
        begins = np.array([stretch.begin for stretch in stretches], np.int64)
        self._classes = WindowClasses(text, WIDTH, begins)
        self._by_class = defaultdict(list)
        for stretch in stretches:
            self._by_class[int(self._classes.of[stretch.begin])].append(stretch)
        self._growing: list[_Growing] = []
        self._previous = Block(b"")
        self._tail = b""  # the end of the previous block

    def add(self, block: Block) -> None:
        """The next block of the training text."""
        self._growing = [each for each in self._growing if self._goes_on(each, block.data, 0)]
        together = self._tail + block.data
        first = max(0, len(self._tail) - (WIDTH - 1))  # windows before were complete before
        classes = self._classes.find(np.frombuffer(together, np.uint8)[first:])
        for hit in np.flatnonzero(classes >= 0).tolist():
            for stretch in self._by_class[int(classes[hit])]:
                if stretch.count < MOST_COUNTED:
                    self._begin(stretch, together, first + hit, block)
        self._previous, self._tail = block, together[-(CONTEXT + WIDTH) :]

    def finish(self) -> None:
        """To be called when all of the training text has passed."""
        for growing in self._growing:
            self._end(growing)
        self._growing = []

    def _begin(self, stretch: Stretch, data: bytes, position: int, block: Block) -> None:
        here = self._text[stretch.begin : stretch.begin + 4]
        if self._whole_words and not is_border(data[max(0, position - 4) : position], here):
            return  # the end of a longer word there
        ahead = common_prefix(self._text, stretch.begin, data, position)
        ends_here = position + ahead < len(data)
        if ends_here and self._last_word(stretch.begin + ahead) < stretch.end:
            return
        passage = None
        may_be_longer = not ends_here or stretch.begin + ahead > stretch.end
        if len(stretch.passages) < self._most or (self._most and may_be_longer):
            before = data[max(0, position - CONTEXT) : position].rpartition(BORDER)[2]
            in_block = position - len(self._tail)
            place = (
                block.place(in_block) if in_block >= 0
                else self._previous.place(in_block + len(self._previous.data))
            )  # fmt: skip
            passage = Passage(place, _whole_words(before, from_start=False))
        growing = _Growing(stretch, passage)
        if self._goes_on(growing, data, position):
            self._growing.append(growing)

    def _goes_on(self, growing: _Growing, data: bytes, position: int) -> bool:
        """Compares the next bytes; False when no more are needed."""
        if not growing.differs:
            begin = growing.stretch.begin + growing.matched
            ahead = common_prefix(self._text, begin, data, position)
            growing.matched += ahead
            position += ahead
            if position == len(data):
                return True
            growing.differs = True
            growing.next = data[position : position + 4]
        if growing.passage:
            growing.after += data[position : position + CONTEXT - len(growing.after)]
            if BORDER not in growing.after and len(growing.after) < CONTEXT:
                return True
        self._end(growing)
        return False

    def _end(self, growing: _Growing) -> None:
        """Counts a passage, if none was longer."""
        stretch = growing.stretch
        matched = stretch.begin + growing.matched
        end = self._last_word(matched)
        if self._whole_words and end == matched:
            said = self._text[max(stretch.begin, end - 4) : end]
            if not is_border(said, growing.next):  # the beginning of a longer word there
                end = self._last_word(end - 1)
        if end < stretch.end:
            return
        if end > stretch.end:
            stretch.end, stretch.count, stretch.passages = end, 0, []
        stretch.count += 1
        if growing.passage and len(stretch.passages) < self._most:
            after = self._text[end:matched] + growing.after.partition(BORDER)[0]
            growing.passage.after = _whole_words(after[:CONTEXT], from_start=True)
            stretch.passages.append(growing.passage)


def common_prefix(one: bytes, begin: int, other: bytes, start: int) -> int:
    """How many bytes of `one` from `begin` equal those of `other` from `start`."""
    longest = min(len(one) - begin, len(other) - start)
    equal, size = 0, WIDTH
    while equal < longest and size:
        size = min(size, longest - equal)
        ahead = slice(begin + equal, begin + equal + size)
        if one[ahead] == other[start + equal : start + equal + size]:
            equal += size
            size *= 2
        else:
            size //= 2
    return equal


def _whole_words(context: bytes, *, from_start: bool) -> str:
    """What stands around a passage, cut at its far end where it may end in the middle of a word."""
    text = context.decode(errors="ignore")
    if len(context) < CONTEXT - 1:
        return text
    far = text[-CONTEXT // 4 :] if from_start else text[: CONTEXT // 4]
    if " " not in far.strip():
        return text
    return text.rpartition(" ")[0] if from_start else text.partition(" ")[2]
