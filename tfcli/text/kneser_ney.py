"""The probabilities of the next token by an interpolated, modified Kneser-Ney n-gram model.

Chen & Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", 1998, section 3,
down to the uniform distribution. With c(hw) how often token w follows the tokens h, and h' being h
without its first token,

    p(w | h) = max(0, c(hw) - D(c(hw))) / c(h)  +  left(h) p(w | h')

where left(h) is the sum of all discounts D after h, over c(h); after an unseen h, p is p(w | h').
Below the longest n-grams c(hw) is the number of different tokens seen before hw (Kneser & Ney,
1995). The probabilities of all V tokens after any h sum to 1, and none is 0.

`tfcli.text.baselines` has the same formula over bytes, for a whole text at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.text.baselines import choose_discounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tfcli.text.ngram_index import NgramIndex

    Probabilities = NDArray[np.float32]  # (V,)
    Floats = NDArray[np.float64]
    Level = tuple[np.ndarray[Any, Any], Probabilities, float]  # followers, their shares, left

KEPT_BYTES = 64 << 20  # of what was counted after frequent contexts
FREQUENT = 16  # places; fewer are counted again as fast as they are found


@dataclass(frozen=True)
class NextToken:
    """What follows a context.

    Attributes:
        probabilities: (V,), of the longest n-grams.
        bigrams: (V,), of the last token alone.
        left: the natural logarithm of what all longer contexts leave to single tokens: 0 where
            none of them was seen, far below where one always has the same follower.

    """

    probabilities: Probabilities
    bigrams: Probabilities
    left: float


class KneserNey:
    """Probabilities from an index.

    Args:
        discounts: for each length of context, from 0 on, those of counts 0, 1, 2, and 3 or more;
            None: Chen & Goodman's estimates, for which all n-grams are counted.

    """

    def __init__(
        self, index: NgramIndex, discounts: Sequence[Sequence[float]] | None = None
    ) -> None:
        self.index = index
        self._longest = index.order - 1  # tokens of context
        seen = index.followers[self._counted(0, 0, len(index))]
        self._unigrams = np.bincount(seen, minlength=index.vocab_size)
        self.discounts = [
            choose_discounts(self._all_counts(length)) if discounts is None
            else np.array(discounts[length], np.float64)
            for length in range(index.order)
        ]  # fmt: skip
        self._no_context = self._mixed_unigrams(self._unigrams)
        self._levels: dict[tuple[int, int], Level] = {}
        self._bigrams: dict[int, Probabilities] = {}
        self._kept = 0  # bytes

    def after(self, history: Sequence[int], *, without: int | None = None) -> NextToken:
        """The probabilities of the token that follows a history, which may be empty.

        Args:
            without: a token that follows this history in the text: once less, as if it were not
                there. The discounts stay.

        """
        index = self.index
        nearest = index.known(history[-self._longest :], self._longest)
        slices = index.slices(nearest) if nearest else []
        if without is not None:
            return self._leaving_out(slices, without)
        probabilities = bigrams = self._no_context
        left = 0.0
        for length, (begin, end) in enumerate(slices, 1):
            if begin == end:
                break  # neither was a longer one seen
            followers, shares, rest = self._level(length, begin, end)
            left += math.log(rest)
            if length == 1:
                if begin not in self._bigrams:
                    bigrams = probabilities * np.float32(rest)
                    bigrams[followers] += shares
                    self._keep(bigrams.nbytes)
                    self._bigrams[begin] = bigrams
                probabilities = bigrams = self._bigrams[begin]
            else:
                probabilities = probabilities * np.float32(rest)
                probabilities[followers] += shares
        return NextToken(probabilities, bigrams, left)

    def _level(self, length: int, begin: int, end: int) -> Level:
        """What follows the contexts of a slice; kept where counting takes long."""
        if end - begin == 1:  # most contexts
            discount = float(self.discounts[length][1])
            share = np.array([1 - discount], np.float32)
            return self.index.followers[begin:end], share, discount
        if end - begin < FREQUENT:
            return self._count(length, begin, end)
        found = self._levels.get((length, begin))
        if found is None:
            found = self._count(length, begin, end)
            self._keep(found[0].nbytes + found[1].nbytes)
            self._levels[length, begin] = found
        return found

    def _count(self, length: int, begin: int, end: int) -> Level:
        seen = self.index.followers[begin:end]
        if length < self._longest:
            seen = seen[self._counted(length, begin, end)]
        followers, counts = _tally(seen, self.index.vocab_size)
        shares, left = self._shares(length, counts)
        return followers, shares.astype(np.float32), left

    def _shares(self, length: int, counts: NDArray[np.intp]) -> tuple[Floats, float]:
        """The first term of the formula for each follower, and left(h)."""
        discounts = self.discounts[length][np.minimum(counts, 3)]
        total = counts.sum()
        return (counts - discounts) / total, float(discounts.sum() / total)

    def _counted(self, length: int, begin: int, end: int) -> NDArray[np.bool_]:
        """Which places of a slice count: one for each different token before the n-gram."""
        if length == self._longest:
            return np.ones(end - begin, np.bool_)
        marks: NDArray[np.bool_] = (self.index.marks[begin:end] & (1 << length)) != 0
        return marks

    def _all_counts(self, length: int) -> NDArray[np.intp]:
        """c(hw) of every n-gram with a context of that length."""
        if length == 0:
            return self._unigrams[self._unigrams > 0]
        contexts = self.index.contexts & np.uint64(~self.index.masks[length] & (1 << 64) - 1)
        number = np.cumsum(np.diff(contexts, prepend=contexts[:1]) != 0)
        pairs = number * self.index.vocab_size + self.index.followers
        pairs = np.sort(pairs[self._counted(length, 0, len(pairs))])
        starts = np.flatnonzero(np.diff(pairs, prepend=pairs[:1] - 1))
        return np.diff(starts, append=len(pairs))

    def _mixed_unigrams(self, counts: NDArray[np.intp]) -> Probabilities:
        """p(w) of all tokens: with what is left for each of them."""
        if not counts.sum():
            return np.full(len(counts), 1 / len(counts), np.float32)
        shares, left = self._shares(0, counts)
        return (shares + left / len(counts)).astype(np.float32)

    def _keep(self, size: int) -> None:
        """Makes room for more of what was counted."""
        self._kept += size
        if self._kept > KEPT_BYTES:
            self._levels.clear()
            self._bigrams.clear()
            self._kept = size

    # --- leaving one out ------------------------------------------------------------------------

    def _leaving_out(self, slices: Sequence[tuple[int, int]], without: int) -> NextToken:
        """The probabilities with one place less, where that token follows.

        A longest n-gram then occurs once less. A shorter one loses a different token before it only
        if the n-gram that is longer by that token occurred there alone.
        """
        size = self.index.vocab_size
        whole = [(0, len(self.index)), *slices]
        occurs = [(self.index.followers[a:b] == without).sum() for a, b in whole]
        left, bigrams = 0.0, None
        for length, (begin, end) in enumerate(whole):
            if length == 0:
                counts = self._unigrams.copy()
            else:
                seen = self.index.followers[begin:end][self._counted(length, begin, end)]
                counts = np.bincount(seen, minlength=size)
            if length == self._longest or occurs[length + 1] == 1:
                counts[without] -= 1
            if length == 0:
                probabilities = self._mixed_unigrams(counts)
            elif counts.any():
                shares, rest = self._shares(length, counts)
                probabilities = (shares + rest * probabilities).astype(np.float32)
                left += math.log(rest)
            if length == 1:
                bigrams = probabilities
        return NextToken(probabilities, probabilities if bigrams is None else bigrams, left)


def _tally(tokens: np.ndarray[Any, Any], vocab_size: int) -> tuple[NDArray[np.intp], Any]:
    """The different tokens, and how often each is there."""
    if 8 * len(tokens) > vocab_size:
        counts = np.bincount(tokens, minlength=vocab_size)
        found = counts.nonzero()[0]
        return found, counts[found]
    ordered = np.sort(tokens)
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    edges = np.concatenate([[0], starts, [len(ordered)]])
    return ordered[edges[:-1]], edges[1:] - edges[:-1]
