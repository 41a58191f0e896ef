"""Which tokens make up the examples of step s: a pure function of the seed and s.

An example is a row of T + 1 token ids. It begins with the tokenizer's begin token (or, where there
is none, its end token), so that a model that is given that and a short prompt meets what it met in
training ("outputs shifted right", Vaswani et al. 2017, figure 1). What is read of a row and what is
predicted is the objective's business: see `tfcli.training.objectives`.

Long texts are cut into windows, in every epoch at other places and in a fresh order. Rows of whole
documents are in `tfcli.training.packing`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.text.checked_tokens import CheckedTokens, Tokens
    from tfcli.text.tokenizer import SpecialTokens

    Ids = np.ndarray[tuple[int, int], np.dtype[np.int64]]
    Flags = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    Starts = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Examples:
    """Rows of token ids; all arrays of shape (B, T + 1).

    Attributes:
        ids: the tokens; the first of each row begins it.
        is_target: which of them are to be learned; never the first, and no padding.
        segments: the number of the document that each belongs to, counted within its row. The end
            token of a document counts with what follows it, which it introduces.

    """

    ids: Ids
    is_target: Flags
    segments: Ids


def make_examples(ids: Ids, is_target: Flags, special: SpecialTokens) -> Examples:
    """Examples whose segments are told by the end tokens in them."""
    return Examples(ids, is_target, (ids == document_end(special)).cumsum(1))


def document_end(special: SpecialTokens) -> int:
    """The token that ends every document."""
    assert special.eos is not None, "a tokenizer without an end token is refused for training"
    return special.eos


def row_start(special: SpecialTokens) -> int:
    """The token that every row begins with, which also fills up short rows."""
    return document_end(special) if special.bos is None else special.bos


class Sampler(Protocol):
    """Chooses the examples of every step.

    Attributes:
        epoch_rows: rows in an epoch.

    """

    @property
    def epoch_rows(self) -> int: ...

    def examples(self, step: int) -> Examples:
        """The examples that optimizer step number `step` (from 0) learns from."""


class WindowSampler:
    """Windows of `context` tokens, in their order in the text.

    Args:
        tokens: the training part, shape (tokens,), at least `context` of them.
        context: T, tokens in a row after the first.
        rows: rows in a batch.
        special: the tokenizer's special tokens.
        seed: of the order.
        ends: where each part of the text ends, in tokens; None for a single part.
        weights: how often the rows of each part come in an epoch. With 2.5 each comes twice and
            a half of them, drawn anew every epoch, a third time.

    """

    def __init__(
        self,
        tokens: Tokens | CheckedTokens,
        *,
        context: int,
        rows: int,
        special: SpecialTokens,
        seed: int,
        ends: Sequence[int] | None = None,
        weights: Sequence[float] = (1.0,),
    ) -> None:
        assert len(tokens) >= context, "the plan chooses a context that the text can fill"
        self._tokens = tokens
        self._context = context
        self._rows = rows
        self._special = special
        self._seed = seed
        borders = [0, *(ends or [len(tokens)])]
        self._parts = [
            _Part(start, end, context, weight)
            for (start, end), weight in zip(itertools.pairwise(borders), weights, strict=True)
            if end > start
        ]
        self._epoch_rows = sum(part.epoch_rows for part in self._parts)
        self._epoch = -1  # the one whose order is at hand
        self._starts = np.empty(0, np.int64)

    @property
    def epoch_rows(self) -> int:
        """Rows in an epoch."""
        return self._epoch_rows

    def examples(self, step: int) -> Examples:
        """See `Sampler`."""
        first = step * self._rows
        starts = [self._start(row) for row in range(first, first + self._rows)]
        windows = np.stack([self._tokens[s : s + self._context] for s in starts])
        ids = np.insert(windows.astype(np.int64), 0, row_start(self._special), axis=1)
        is_target = np.arange(self._context + 1) > 0
        return make_examples(ids, np.tile(is_target, (self._rows, 1)), self._special)

    def _start(self, row: int) -> int:
        epoch, place = divmod(row, self._epoch_rows)
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            starts = np.concatenate([part.draw(random) for part in self._parts])
            self._epoch, self._starts = epoch, starts[random.permutation(len(starts))]
        # a part shorter than a row runs on into the next
        return min(int(self._starts[place]), len(self._tokens) - self._context)


class _Part:
    """Where the rows of one part of the text begin, in an epoch."""

    def __init__(self, start: int, end: int, context: int, weight: float) -> None:
        # one row less than would fit, so that the cuts can fall anywhere
        self._rows = max(1, (end - start) // context - 1)
        self._slack = max(0, end - start - self._rows * context)
        self._start = start
        self._context = context
        self.epoch_rows = max(1, round(self._rows * weight))

    def draw(self, random: np.random.Generator) -> Starts:
        """The starts of an epoch's rows; every round through the part is cut at other places."""
        rounds = []
        for first in range(0, self.epoch_rows, self._rows):
            phase = int(random.integers(self._slack + 1))
            rows = np.arange(self._rows)
            if self.epoch_rows - first < self._rows:  # less than a whole round
                rows = random.permutation(rows)[: self.epoch_rows - first]
            rounds.append(self._start + phase + rows * self._context)
        return np.concatenate(rounds)


# --- for evaluation -----------------------------------------------------------------------------


def sliding_windows(
    tokens: Tokens,
    *,
    context: int,
    stride: int,
    rows: int,
    special: SpecialTokens,
    limit: int | None = None,
) -> Iterator[Examples]:
    """Slides a window of `context` tokens over a text; each token is a target exactly once.

    The window moves by `stride` and its last `stride` tokens are the targets, so that each is
    predicted from at least the `context - stride` before it, or from all there are.

    Args:
        rows: windows in a batch.
        limit: about how many targets to take at most, as windows spread evenly over the text.

    """
    count = -(-len(tokens) // stride)
    wanted = count if limit is None else max(1, min(count, limit // stride))
    chosen = np.arange(wanted) * count // wanted
    for first in range(0, wanted, rows):
        some = chosen[first : first + rows]
        ids = np.full((len(some), context + 1), row_start(special), np.int64)
        is_target = np.zeros(ids.shape, np.bool_)
        for i, place in enumerate(some):
            begin = max(0, (place + 1) * stride - context)
            window = tokens[begin : (place + 1) * stride]
            ids[i, 1 : len(window) + 1] = window
            context_only = place * stride - begin
            is_target[i, 1 + context_only : len(window) + 1] = True
        yield make_examples(ids, is_target, special)


def document_rows(
    tokens: Tokens, *, context: int, rows: int, special: SpecialTokens
) -> Iterator[Examples]:
    """Puts each document in rows of its own, after the end token of an imagined one before it.

        ids   <s>   </s>  t0  t1 ...        a document longer than a row goes on in the next

    The last position of a row is left to what is predicted from it.
    """
    ends = np.flatnonzero(tokens == document_end(special)) + 1
    lines = [
        document[i : i + context - 1]
        for document in np.split(tokens, ends)
        for i in range(0, len(document), context - 1)
    ]
    for first in range(0, len(lines), rows):
        some = lines[first : first + rows]
        ids = np.full((len(some), context + 1), row_start(special), np.int64)
        ids[:, 1] = document_end(special)
        is_target = np.zeros(ids.shape, np.bool_)
        for i, line in enumerate(some):
            ids[i, 2 : len(line) + 2] = line
            is_target[i, 2 : len(line) + 2] = True
        yield make_examples(ids, is_target, special)
