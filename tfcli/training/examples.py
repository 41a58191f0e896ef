"""The examples of step s: a pure function of the seed and s.

An example is a row of T + 1 token ids. It starts with the tokenizer's BOS token (or, without one,
its EOS token), so that a short prompt after that token looks like training data ("outputs shifted
right", Vaswani et al. 2017, figure 1). The objective decides what is input and what is predicted:
see `tfcli.training.objectives`.

Long texts are cut into windows, with a new offset and order in every epoch. Rows of whole documents
are in `tfcli.training.packing`.
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
    Weights = np.ndarray[tuple[int, int], np.dtype[np.float32]]
    Starts = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Examples:
    """Rows of token ids; all arrays of shape (B, T + 1).

    Attributes:
        ids: the tokens; the first of each row is `row_start`.
        is_target: which of them are targets; never the first, and no padding.
        segments: the number, within its row, of the document that each belongs to. An EOS token
            belongs to the document after it.
        positions: of each token, where documents are read each on its own; None: 0, 1, 2, ...
        weights: how much each counts as a target; None: all the same.

    """

    ids: Ids
    is_target: Flags
    segments: Ids
    positions: Ids | None = None
    weights: Weights | None = None


def make_examples(ids: Ids, is_target: Flags, special: SpecialTokens) -> Examples:
    """Examples whose segments follow from the EOS tokens in them."""
    return Examples(ids, is_target, (ids == document_end(special)).cumsum(1))


def document_end(special: SpecialTokens) -> int:
    """The token that ends every document."""
    assert special.eos is not None, "a tokenizer without an EOS token is refused for training"
    return special.eos


def row_start(special: SpecialTokens) -> int:
    """The first token of every row, which also pads short rows."""
    return document_end(special) if special.bos is None else special.bos


class Sampler(Protocol):
    """Chooses the examples of every step."""

    def examples(self, step: int) -> Examples:
        """The examples of optimizer step `step`, counted from 0."""


class WindowSampler:
    """Windows of `context` consecutive tokens of the text.

    Args:
        tokens: the training part, shape (tokens,), at least `context` of them.
        context: T, tokens in a row after the first.
        rows: rows in a batch.
        special: the tokenizer's special tokens.
        seed: of the offsets and the order.
        ends: the end of each part of the text, in tokens; None for a single part.
        weights: how often the rows of each part occur in an epoch. With 2.5, each occurs twice and
            half of them, redrawn every epoch, a third time.

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
        assert len(tokens) >= context, "the plan must choose a context no longer than the text"
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
        self.epoch_rows = sum(part.epoch_rows for part in self._parts)
        self._epoch = -1  # whose starts are in `_starts`
        self._starts = np.empty(0, np.int64)

    def examples(self, step: int) -> Examples:
        """See `Sampler`."""
        first = step * self._rows
        starts = [self._start(row) for row in range(first, first + self._rows)]
        windows = np.stack([self._tokens[s : s + self._context] for s in starts])
        ids = np.insert(windows.astype(np.int64), 0, row_start(self._special), axis=1)
        is_target = np.arange(self._context + 1) > 0
        return make_examples(ids, np.tile(is_target, (self._rows, 1)), self._special)

    def _start(self, row: int) -> int:
        epoch, index = divmod(row, self.epoch_rows)
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            starts = np.concatenate([part.draw(random) for part in self._parts])
            self._epoch, self._starts = epoch, starts[random.permutation(len(starts))]
        # the row of a part shorter than it extends into the next part
        return min(int(self._starts[index]), len(self._tokens) - self._context)


class _Part:
    """The starts of the rows of one part of the text in an epoch."""

    def __init__(self, start: int, end: int, context: int, weight: float) -> None:
        # one row fewer than would fit, so that the offset is free
        self._rows = max(1, (end - start) // context - 1)
        self._slack = max(0, end - start - self._rows * context)
        self._start = start
        self._context = context
        self.epoch_rows = max(1, round(self._rows * weight))

    def draw(self, random: np.random.Generator) -> Starts:
        """The starts of an epoch's rows; each pass over the part has an offset of its own."""
        passes = []
        for first in range(0, self.epoch_rows, self._rows):
            offset = int(random.integers(self._slack + 1))
            rows = np.arange(self._rows)
            if self.epoch_rows - first < self._rows:  # less than a full pass
                rows = random.permutation(rows)[: self.epoch_rows - first]
            passes.append(self._start + offset + rows * self._context)
        return np.concatenate(passes)


# --- evaluation ---------------------------------------------------------------------------------


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
    predicted from at least the `context - stride` tokens before it, or from all there are.

    Args:
        rows: windows in a batch.
        limit: approximate maximum number of targets, in windows evenly spaced over the text.

    """
    count = -(-len(tokens) // stride)
    num_windows = count if limit is None else max(1, min(count, limit // stride))
    chosen = np.arange(num_windows) * count // num_windows
    for first in range(0, num_windows, rows):
        some = chosen[first : first + rows]
        ids = np.full((len(some), context + 1), row_start(special), np.int64)
        is_target = np.zeros(ids.shape, np.bool_)
        for i, window_index in enumerate(some):
            begin = max(0, (window_index + 1) * stride - context)
            window = tokens[begin : (window_index + 1) * stride]
            ids[i, 1 : len(window) + 1] = window
            context_only = window_index * stride - begin
            is_target[i, 1 + context_only : len(window) + 1] = True
        yield make_examples(ids, is_target, special)


def document_rows(
    tokens: Tokens, *, context: int, rows: int, special: SpecialTokens
) -> Iterator[Examples]:
    """Gives each document rows of its own, after an EOS token, as if another had just ended.

        ids   <s>   </s>  t0  t1 ...        a document longer than a row continues in the next

    The last position of a row is a target only.
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
