"""How often a text goes on in one way rather than another: what a model of it could have learned.

Of a pair of sentences only what differs is counted, after as many of the words before it as the
text has. "The nurse said that she" and "... that he": how often is either in the text? If neither
is, then how often are "nurse said that she" and "nurse said that he", and so on, at last "she" and
"he". Case and punctuation do not count.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Words = tuple[str, ...]

WORD = re.compile(r"\w+")
HALF = 0.5  # added to both counts, so that their odds are finite (Haldane, 1956)


@dataclass(frozen=True)
class TextOdds:
    """What a text has of a pair.

    Attributes:
        words: how many words before the difference the two counts have in common.
        more, less: how often either is in the text.

    """

    words: int
    more: int
    less: int

    @property
    def log_odds(self) -> float:
        """log((more + 1/2) / (less + 1/2))."""
        return math.log((self.more + HALF) / (self.less + HALF))


def text_odds(texts: Iterable[str], pairs: Sequence[tuple[str, str]]) -> list[TextOdds | None]:
    """The odds of each pair of sentences in a text; None where it has neither way at all.

    Args:
        texts: the pieces of the text; what spans two of them counts.

    """
    differences = [_difference(_words(more), _words(less)) for more, less in pairs]
    phrases = {
        before[len(before) - length :] + way
        for before, *ways in differences
        for way in ways
        for length in range(len(before) + 1)
    }
    counts = count_phrases(texts, phrases)
    return [_longest(before, more, less, counts) for before, more, less in differences]


def _longest(before: Words, more: Words, less: Words, counts: dict[Words, int]) -> TextOdds | None:
    for length in range(len(before), -1, -1):
        shared = before[len(before) - length :]
        found = TextOdds(length, counts[shared + more], counts[shared + less])
        if found.more or found.less:
            return found
    return None


def _difference(more: Words, less: Words) -> tuple[Words, Words, Words]:
    """The words before the first difference, and what differs up to the last: at least a word."""
    same = 0
    while same < min(len(more), len(less)) and more[same] == less[same]:
        same += 1
    after = 0
    while after < min(len(more), len(less)) - same and more[-1 - after] == less[-1 - after]:
        after += 1
    if same in (len(more) - after, len(less) - after):  # one has words that the other lacks
        if after:
            after -= 1
        elif same:
            same -= 1
    return more[:same], more[same : len(more) - after], less[same : len(less) - after]


def count_phrases(texts: Iterable[str], phrases: Iterable[Words]) -> dict[Words, int]:
    """How often each sequence of words is in a text; 0 for one without words."""
    wanted = set(phrases)
    numbers = {word: i for i, word in enumerate(sorted({w for p in wanted for w in p}), 1)}
    parts = [np.array([numbers.get(word, 0) for word in _words(text)], np.int32) for text in texts]
    words = np.concatenate(parts) if parts else np.empty(0, np.int32)
    return {phrase: _count(words, [numbers[word] for word in phrase]) for phrase in wanted}


def _count(words: np.ndarray[Any, Any], phrase: list[int]) -> int:
    if not phrase or len(words) < len(phrase):
        return 0
    places = np.flatnonzero(words[len(phrase) - 1 :] == phrase[-1])
    for offset, word in enumerate(phrase[:-1]):
        places = places[words[places + offset] == word]
    return len(places)


def _words(text: str) -> Words:
    return tuple(WORD.findall(text.lower()))
