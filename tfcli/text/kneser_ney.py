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
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.text.baselines import choose_discounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tfcli.text.ngram_index import NgramIndex

    Floats = NDArray[np.float64]
    Tokens = NDArray[np.intp]  # (n,)
    Logprobs = NDArray[np.float32]  # (n,) or (V,), natural logarithms

KEPT_BYTES = 64 << 20  # of what was counted after frequent contexts
FREQUENT = 32  # places; fewer are counted again
ENTRY_BYTES = 150  # of a token in a `_Context`


@dataclass(frozen=True, slots=True)
class NextToken:
    """What follows a context.

    Most tokens were never seen after more than one token of it. For them the longest n-grams say
    what the bigrams say, times a constant; so only the others are listed.

    Attributes:
        bigrams: (V,), log-probabilities after the last token alone.
        constant: the logarithm of that constant.
        seen: tokens and their log-probabilities, (n,) each; what comes later replaces what came
            before.
        left: the logarithm of what all contexts leave to the unigrams: 0 where none was seen, far
            below where one always has the same follower.

    """

    bigrams: Logprobs
    constant: float
    seen: Sequence[tuple[Tokens, Logprobs]]
    left: float

    def write_logprobs(self, row: Logprobs) -> None:
        """Writes the log-probabilities of all tokens into an array (V,)."""
        np.add(self.bigrams, np.float32(self.constant), out=row)
        for tokens, logprobs in self.seen:
            row[tokens] = logprobs


@dataclass(frozen=True)
class Bigrams:
    """What follows one token, or nothing.

    Attributes:
        chances: (V,), probabilities.
        logprobs: (V,), their logarithms.
        left: the logarithm of left(h).
        seen: whether the token is in the text; else these are the unigrams.

    """

    chances: Floats
    logprobs: Logprobs
    left: float
    seen: bool

    @cached_property
    def addresses(self) -> tuple[int, int]:
        """Of the two arrays in memory, for C."""
        return self.chances.ctypes.data, self.logprobs.ctypes.data


@dataclass(frozen=True, slots=True)
class _Context:
    """What follows a context, mixed with what follows shorter ones.

    Attributes:
        probabilities: of the tokens that were seen after it.
        tokens, logprobs: the same.
        left: left(h), for all others.

    """

    probabilities: Mapping[int, float]
    tokens: Tokens
    logprobs: Logprobs
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
        self._counts = np.bincount(seen, minlength=index.vocab_size)
        self.discounts = [
            choose_discounts(self._all_counts(length)).tolist()
            if discounts is None
            else list(discounts[length])
            for length in range(index.order)
        ]
        self._unigrams = self._mixed_unigrams(self._counts)
        logs = np.log(self._unigrams).astype(np.float32)
        self._no_context = Bigrams(self._unigrams, logs, 0.0, seen=False)
        self._bigrams: dict[int, Bigrams] = {}
        self._contexts: dict[tuple[int, int], _Context] = {}
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
        bigrams = self.bigrams_after(nearest[0] if nearest else None)
        if not bigrams.seen:
            return NextToken(bigrams.logprobs, 0.0, (), 0.0)
        contexts: list[_Context] = []
        shorter: Mapping[int, float] | None = None
        for length, (begin, end) in enumerate(slices[1:], 2):
            if begin == end:
                break  # neither was a longer one seen
            contexts.append(self._after_several(length, begin, end, shorter, bigrams.chances))
            shorter = contexts[-1].probabilities
        constant, seen = 0.0, []
        for context in reversed(contexts):
            seen.append((context.tokens, context.logprobs + np.float32(constant)))
            constant += math.log(context.left)
        return NextToken(bigrams.logprobs, constant, seen[::-1], bigrams.left + constant)

    def bigrams_after(self, token: int | None) -> Bigrams:
        """What follows a token; what was counted before is kept."""
        if token is None:
            return self._no_context
        found = self._bigrams.get(token)
        if found is None:
            ((begin, end),) = self.index.slices([token])
            if begin == end:
                return self._no_context
            tokens, shares, left = self._count(1, begin, end)
            chances = self._unigrams * left
            chances[tokens] += shares
            logs = np.log(chances).astype(np.float32)
            found = Bigrams(chances, logs, math.log(left), seen=True)
            self._keep(12 * len(chances))
            self._bigrams[token] = found
        return found

    def _after_several(
        self,
        length: int,
        begin: int,
        end: int,
        shorter: Mapping[int, float] | None,
        bigrams: Floats,
    ) -> _Context:
        """What follows a context of two tokens or more; kept where counting takes long.

        Args:
            shorter: of the context that is shorter by one, after which all that follow this one
                were seen as well; None where that is a single token.
            bigrams: of all tokens after that.

        """
        frequent = end - begin >= FREQUENT
        if frequent and (found := self._contexts.get((length, begin))):
            return found
        count = self._count if frequent else self._count_few
        tokens, shares, left = count(length, begin, end)
        before = map(bigrams.item if shorter is None else shorter.__getitem__, tokens)
        own = [share + left * chance for share, chance in zip(shares, before, strict=True)]
        logs = np.array(list(map(math.log, own)), np.float32)
        made = _Context(dict(zip(tokens, own, strict=True)), np.array(tokens), logs, left)
        if frequent:
            self._keep(ENTRY_BYTES * len(tokens))
            self._contexts[length, begin] = made
        return made

    def _count_few(self, length: int, begin: int, end: int) -> tuple[list[int], list[float], float]:
        """As `_count`, without the calls of numpy, each of which costs more than a few tokens."""
        followers: list[int] = self.index.followers[begin:end].tolist()
        if length < self._longest:
            marks = self.index.marks[begin:end].tolist()
            marked = zip(followers, marks, strict=True)
            followers = [token for token, mark in marked if mark >> length & 1]
        counts: dict[int, int] = {}
        for token in followers:
            counts[token] = counts.get(token, 0) + 1
        table, total = self.discounts[length], len(followers)
        discounts = [table[min(count, 3)] for count in counts.values()]
        pairs = zip(counts.values(), discounts, strict=True)
        shares = [(count - discount) / total for count, discount in pairs]
        return list(counts), shares, sum(discounts) / total

    def _count(self, length: int, begin: int, end: int) -> tuple[list[int], list[float], float]:
        """The tokens after the contexts of a slice, their shares, and left(h)."""
        seen = self.index.followers[begin:end]
        if length < self._longest:
            seen = seen[self._counted(length, begin, end)]
        followers, counts = _tally(seen, self.index.vocab_size)
        shares, left = self._shares(length, counts)
        return followers.tolist(), shares.tolist(), left

    def _shares(self, length: int, counts: NDArray[np.intp]) -> tuple[Floats, float]:
        """The first term of the formula for each follower, and left(h)."""
        discounts = np.array(self.discounts[length])[np.minimum(counts, 3)]
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
            return self._counts[self._counts > 0]
        contexts = self.index.contexts & ~self.index.masks[length]
        number = np.cumsum(np.diff(contexts, prepend=contexts[:1]) != 0)
        pairs = number * self.index.vocab_size + self.index.followers
        pairs = np.sort(pairs[self._counted(length, 0, len(pairs))])
        starts = np.flatnonzero(np.diff(pairs, prepend=pairs[:1] - 1))
        return np.diff(starts, append=len(pairs))

    def _mixed_unigrams(self, counts: NDArray[np.intp]) -> Floats:
        """p(w) of all tokens: with what is left for each of them."""
        if not counts.sum():
            return np.full(len(counts), 1 / len(counts))
        shares, left = self._shares(0, counts)
        return shares + left / len(counts)

    def _keep(self, size: int) -> None:
        """Makes room for more of what was counted."""
        self._kept += size
        if self._kept > KEPT_BYTES:
            self._contexts.clear()
            self._bigrams.clear()
            self._kept = size

    # --- leaving one out ------------------------------------------------------------------------

    def _leaving_out(self, slices: Sequence[tuple[int, int]], without: int) -> NextToken:
        """The probabilities with one place less, where that token follows.

        A longest n-gram then occurs once less. A shorter one loses a different token before it only
        if the n-gram that is longer by that token occurred there alone.
        """
        size = self.index.vocab_size
        assert len(slices) == self._longest, "such a history is long enough for every n-gram"
        whole = [(0, len(self.index)), *slices]
        occurs = [(self.index.followers[a:b] == without).sum() for a, b in whole]
        left, probabilities, bigrams = 0.0, self._unigrams, None
        for length, (begin, end) in enumerate(whole):
            if length == 0:
                counts = self._counts.copy()
            else:
                seen = self.index.followers[begin:end][self._counted(length, begin, end)]
                counts = np.bincount(seen, minlength=size)
            if length == self._longest or occurs[length + 1] == 1:
                counts[without] -= 1
            if length == 0:
                probabilities = self._mixed_unigrams(counts)
            elif counts.any():
                shares, rest = self._shares(length, counts)
                probabilities = shares + rest * probabilities
                left += math.log(rest)
            if length == 1:
                bigrams = probabilities
        logs = np.log(probabilities if bigrams is None else bigrams).astype(np.float32)
        own = np.log(probabilities).astype(np.float32)
        return NextToken(logs, 0.0, [(np.arange(size), own)], left)


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
