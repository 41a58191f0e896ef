"""Where a text comes from: what of it the training text of a run has word for word.

After OLMoTrace (Liu et al., 2025, arXiv 2504.07096): of all longest matches those are marked that
chance hardly explains. How often chance alone would give the words of a match in a row is N times
the product of their shares in the training text, which has N words; fewer times than BOUND, and the
match is marked. White space of any kind and length counts as one space in both texts, so that lines
may be wrapped anywhere. Beside that stands the share of n-grams of words that the training text
lacks, of the text and of the run's held-out text (McCoy et al., 2021, arXiv 2111.09509).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DataError, NotFoundError
from tfcli.insight.matches import MAX_TEXT, WIDTH, Matcher
from tfcli.insight.passages import Passage, PassageFinder, Stretch
from tfcli.insight.white_space import collapse, collapse_blocks
from tfcli.insight.words import Counter, find_words, hash_words, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.insight.training_text import Block, TrainingText
    from tfcli.insight.words import Hashes, Integers

BOUND = 0.01  # occurrences by chance: a match below is marked
READINGS = 3  # of the training text
CLOSING = b".,;:!?)]}"  # what a span does not begin with: it ends something else


@dataclass(frozen=True)
class Span:
    """A stretch of whole words that the training text has too, and that goes on no further.

    Attributes:
        number: its rank, from 1: the least likely by chance is first. Equal stretches share it.
        begin, end: in bytes of the text.
        words: how many.
        log10_expected: how often chance would give it in the training text, as a power of ten.
        count: how often the training text has it; MOST_COUNTED: so often at least.
        passages: the first of these.

    """

    number: int
    begin: int
    end: int
    words: int
    log10_expected: float
    count: int
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class Copy:
    """The longest stretch of whole words that the training text has too, marked or not."""

    begin: int
    end: int
    words: int


@dataclass(frozen=True)
class Novelty:
    """The share of n-grams that the training text lacks; None for a text shorter than n words."""

    n: int
    text: float | None
    held_out: float | None


@dataclass(frozen=True)
class Trace:
    """What is known of where a text comes from.

    Attributes:
        spans: the marked ones, in the order of the text.
        longest: None if nothing of WIDTH bytes or more is common to both.
        marked_bytes: of the text, in spans.
        words: of the text.
        training_words: N.
        held_out_bytes: of the sample that its novelty is of.
        left_out: files of the training text that are not what they were.

    """

    text: bytes
    spans: tuple[Span, ...]
    longest: Copy | None
    novelty: tuple[Novelty, ...]
    marked_bytes: int
    words: int
    training_words: int
    held_out_bytes: int
    left_out: tuple[str, ...] = ()

    @property
    def ranked(self) -> list[Span]:
        """One span for each number, in their order."""
        return sorted({span.number: span for span in reversed(self.spans)}.values(),
                      key=lambda span: span.number)  # fmt: skip

    def words_of(self, span: Span | Copy) -> str:
        """What a span says."""
        return self.text[span.begin : span.end].decode()

    def to_json(self) -> dict[str, Any]:
        """The figures and the spans, for `--json`."""
        spans = [
            {
                "number": span.number, "begin": span.begin, "end": span.end,
                "text": self.words_of(span), "words": span.words,
                "log10_expected": round(span.log10_expected, 2), "count": span.count,
                "passages": [
                    {**asdict(each.place), "before": each.before, "after": each.after}
                    for each in span.passages
                ],
            }
            for span in self.spans
        ]  # fmt: skip
        return {
            "bytes": len(self.text),
            "words": self.words,
            "marked_bytes": self.marked_bytes,
            "longest": asdict(self.longest) | {"text": self.words_of(self.longest)}
            if self.longest
            else None,
            "spans": spans,
            "novelty": [
                {key: each and round(each, 6) for key, each in asdict(row).items()}
                for row in self.novelty
            ],
            "training_words": self.training_words,
            "held_out_bytes": self.held_out_bytes,
            "left_out": list(self.left_out),
            "bound": BOUND,
            "shortest": WIDTH,
        }


def trace(
    text: bytes, training: TrainingText, progress: Callable[[int], None] = lambda _: None
) -> Trace:
    """Looks for a text in the training text of a run.

    Takes about as much memory as forty times the text, and 200 MB.

    Args:
        text: UTF-8, at most MAX_TEXT bytes.
        progress: is told how many bytes of the training text were read, READINGS times over.

    Raises:
        DataError: the text is empty or too long, or nothing of the run's text is what it was.
        NotFoundError: its file is gone.

    """
    if not text.strip():
        raise DataError("no text to trace")
    if len(text) > MAX_TEXT:
        raise DataError(
            f"the text has {len(text):,} bytes, and at most {MAX_TEXT:,} are traced",
            hint="head -c 1M FILE | tfcli trace RUN",
        )
    sample = _check(training, progress)
    given, (text, origin) = text, collapse(text)
    words = _Words(text)
    sampled = [words_of(piece)[1:-1] for piece in sample]  # the outer ones may be cut
    matcher, counter = Matcher(text), Counter(words.hashes, [words.hashes, *sampled])
    blocks = training.blocks(lambda done: progress(training.bytes + done))
    _read(collapse_blocks(blocks), matcher, counter)
    words.weigh(counter)
    found = words.whole(matcher.spans())
    unlikely = [each for each in found if words.log_expected(*each) < math.log(BOUND)]
    stretches = _distinct(text, words.to_look_for(unlikely))
    finder = PassageFinder(text, stretches, words.last_end, whole_words=True)
    blocks = training.blocks(lambda done: progress(2 * training.bytes + done))
    for block in collapse_blocks(blocks):
        finder.add(block)
    finder.finish()
    spans = _number(text, words, stretches)
    longest = max((*found, *((each.begin, each.end) for each in spans)),
                  key=lambda each: each[1] - each[0], default=None)  # fmt: skip
    spans = tuple(
        replace(span, begin=int(origin[span.begin]), end=int(origin[span.end - 1]) + 1)
        for span in spans
    )
    rows = zip(counter.novelty([words.hashes]), counter.novelty(sampled), strict=True)
    return Trace(
        text=given,
        spans=spans,
        longest=longest
        and Copy(int(origin[longest[0]]), int(origin[longest[1] - 1]) + 1, words.count(*longest)),
        novelty=tuple(Novelty(n, own, held_out) for n, (own, held_out) in enumerate(rows, 1)),
        marked_bytes=_covered(spans),
        words=len(words.hashes),
        training_words=counter.total,
        held_out_bytes=sum(map(len, sample)),
        left_out=tuple(map(str, training.left_out)),
    )


def _check(training: TrainingText, progress: Callable[[int], None]) -> list[bytes]:
    """The held-out sample of a text; of one that has changed in part, of the rest of it."""
    try:
        return training.check(progress)
    except (DataError, NotFoundError):
        if not training.leave_out_changed():
            raise
        return training.check(progress)


def _read(blocks: Iterable[Block], matcher: Matcher, counter: Counter) -> None:
    """Matches and counts at the same time, each on a core of its own."""
    with ThreadPoolExecutor(1) as other:
        counted: Future[None] | None = None
        for block in blocks:
            if counted:
                counted.result()
            counted = other.submit(counter.add, block.data)
            matcher.add(block.data)
        if counted:
            counted.result()


class _Words:
    """The words of the text, where they are, and how likely."""

    def __init__(self, text: bytes) -> None:
        data = np.frombuffer(text, np.uint8)
        self._starts, self._ends = find_words(data)
        self._end_list = self._ends.tolist()
        self._openings = self._starts[~np.isin(data[self._starts], list(CLOSING))]
        self.hashes: Hashes = hash_words(data, self._starts, self._ends)
        self._logs = np.zeros(len(self.hashes) + 1)
        self._total = 1

    def weigh(self, counter: Counter) -> None:
        """Takes over how often the training text has each word."""
        self._total = max(1, counter.total)
        # part of a match, a word may be part of another one there, and never stand alone
        shares = np.maximum(counter.counts(self.hashes), 1) / self._total
        self._logs = np.concatenate([[0.0], np.cumsum(np.log(np.minimum(shares, 1.0)))])

    def whole(self, spans: Integers) -> list[tuple[int, int]]:
        """Spans without what they have of words at their ends, if WIDTH bytes are left."""
        found: dict[tuple[int, int], None] = {}
        for begin, end in spans.tolist():
            first = int(np.searchsorted(self._openings, begin))
            last = self.last_end(end)
            if first < len(self._openings) and last - self._openings[first] >= WIDTH:
                found[int(self._openings[first]), last] = None
        reached = 0
        longest = []
        for begin, end in sorted(found, key=lambda each: (each[0], -each[1])):
            if end > reached:
                longest.append((begin, end))
                reached = end
        return longest

    def to_look_for(self, spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Spans without their last word, then without their first as well.

        At the ends of a match, a word here may be part of a longer one there. What is found grows.
        """
        for begin, end in spans:
            shorter = self.last_end(end - 1)
            number = int(np.searchsorted(self._openings, begin, "right"))
            for start in (begin, *self._openings[number : number + 1].tolist()):
                if end - start >= WIDTH:
                    yield start, shorter if shorter - start >= WIDTH else end

    def starts_at(self, position: int) -> bool:
        """Whether a word begins at a byte."""
        number = int(np.searchsorted(self._starts, position))
        return number < len(self._starts) and int(self._starts[number]) == position

    def last_end(self, position: int) -> int:
        """Where the last word ends that ends at or before a byte."""
        number = bisect_right(self._end_list, position)
        return int(self._end_list[number - 1]) if number else 0

    def count(self, begin: int, end: int) -> int:
        """The words from one byte to another."""
        first, last = np.searchsorted(self._starts, [begin, end])
        return int(last - first)

    def log_expected(self, begin: int, end: int) -> float:
        """How often chance gives the words from one byte to another, in nats."""
        first, last = np.searchsorted(self._starts, [begin, end])
        return math.log(self._total) + float(self._logs[last] - self._logs[first])


def _distinct(text: bytes, spans: Iterable[tuple[int, int]]) -> list[Stretch]:
    """The first of those that say the same."""
    first: dict[bytes, Stretch] = {}
    for begin, end in spans:
        first.setdefault(text[begin:end], Stretch(begin, end))
    return list(first.values())


def _number(text: bytes, words: _Words, stretches: Sequence[Stretch]) -> tuple[Span, ...]:
    """Ranks what was found, and puts it in the order of the text."""
    unlikely = math.log(BOUND)
    ranked = sorted(
        (
            each
            for each in stretches
            if each.count and words.log_expected(each.begin, each.end) < unlikely
        ),
        key=lambda each: words.log_expected(each.begin, each.end),
    )
    known: dict[bytes, tuple[int, Stretch]] = {}
    places: list[tuple[int, int, int]] = []  # begin, end, number
    for number, stretch in enumerate(ranked, 1):
        said = text[stretch.begin : stretch.end]
        if said not in known:
            known[said] = number, stretch
            places += [(*each, number) for each in _places(text, said, words)]
    stretch_of = dict(known.values())
    found: list[Span] = []
    reached = 0
    for begin, end, number in sorted(places, key=lambda each: (each[0], -each[1])):
        if end <= reached:
            continue  # within another
        reached = end
        likely = words.log_expected(begin, end) / math.log(10)
        stretch = stretch_of[number]
        found.append(Span(number, begin, end, words.count(begin, end), likely, stretch.count,
                          tuple(stretch.passages)))  # fmt: skip
    order = {number: place for place, number in enumerate(sorted({s.number for s in found}), 1)}
    return tuple(replace(span, number=order[span.number]) for span in found)


def _places(text: bytes, said: bytes, words: _Words) -> Iterator[tuple[int, int]]:
    """Where a text says something, in whole words; of what overlaps itself, the first."""
    begin = text.find(said)
    while begin >= 0:
        end = begin + len(said)
        whole = words.starts_at(begin) and words.last_end(end) == end
        if whole:
            yield begin, end
        begin = text.find(said, end if whole else begin + 1)


def _covered(spans: Sequence[Span]) -> int:
    """How many bytes are in at least one span."""
    covered = reached = 0
    for span in spans:
        covered += max(0, span.end - max(span.begin, reached))
        reached = max(reached, span.end)
    return covered
