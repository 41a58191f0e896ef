"""Which tokens make batch number s: a pure function of the seed and s.

A row is `context` tokens in their order in the text. What the model reads is the same row shifted
right, with `<s>` in front ("outputs shifted right", Vaswani et al. 2017, figure 1):

    targets   t0  t1  t2  t3
    inputs    <s> t0  t1  t2

So every token is predicted once, and a model that is given `<s>` and a short prompt meets what it
met in training. In each epoch the text is cut at other places and the rows come in a fresh order.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfcli.text.tokenizer import BEGIN, END, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.text.checked_tokens import CheckedTokens, Tokens

    Ids = np.ndarray[tuple[int, int], np.dtype[np.int64]]
    Starts = np.ndarray[tuple[int], np.dtype[np.int64]]

IGNORE_INDEX = -1  # a position that is only there to fill the row


@dataclass(frozen=True)
class Batch:
    """Rows to learn from: `inputs` and `targets`, both of shape (rows, context)."""

    inputs: Ids
    targets: Ids

    def part(self, rows: range) -> Batch:
        """Some of its rows."""
        chosen = slice(rows.start, rows.stop)
        return Batch(self.inputs[chosen], self.targets[chosen])


class Batches:
    """The training rows of every step.

    Args:
        tokens: the training part, shape (tokens,), at least `context` of them.
        context: tokens in a row.
        rows: rows in a batch.
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
        seed: int,
        ends: Sequence[int] | None = None,
        weights: Sequence[float] = (1.0,),
    ) -> None:
        assert len(tokens) >= context, "the plan chooses a context that the text can fill"
        self._tokens = tokens
        self._context = context
        self._rows = rows
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

    def batch(self, step: int) -> Batch:
        """The batch that update number `step` (from 0) learns from."""
        first = step * self._rows
        starts = [self._start(row) for row in range(first, first + self._rows)]
        targets = np.stack([self._tokens[s : s + self._context] for s in starts])
        return shift_right(targets.astype(np.int64))

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


def shift_right(targets: Ids) -> Batch:
    """Puts `<s>` in front of each row and drops its last token, to make the inputs."""
    inputs = np.roll(targets, 1, axis=1)
    inputs[:, 0] = BEGIN
    inputs[inputs == IGNORE_INDEX] = BEGIN
    return Batch(inputs, targets)


def drop_tokens(batch: Batch, share: float, *, seed: int, step: int) -> Batch:
    """Puts `<unk>` in the place of a random share of the inputs; the targets stay.

    So no target can be learnt by heart from the one token before it. The same places for the same
    seed and step, whoever works on which rows. Xie et al., "Data Noising as Smoothing in Neural
    Network Language Models", 2017, section 3.2 (blank noising).
    """
    random = np.random.Generator(np.random.Philox(key=[seed, step]))
    blank = random.random(batch.inputs.shape, np.float32) < share
    blank &= (batch.inputs != BEGIN) & (batch.inputs != END)  # they say what begins here
    return Batch(np.where(blank, UNKNOWN, batch.inputs), batch.targets)


def evaluation_batches(
    tokens: Tokens, *, context: int, stride: int, rows: int, limit: int | None = None
) -> Iterator[Batch]:
    """Slides a window of `context` tokens over a text; each token is a target exactly once.

    The window moves by `stride` and its last `stride` tokens are the targets, so that each is
    predicted from at least the `context - stride` before it, or from all there are.

    Args:
        limit: about how many targets to take at most, as windows spread evenly over the text.

    """
    count = -(-len(tokens) // stride)
    wanted = count if limit is None else max(1, min(count, limit // stride))
    chosen = np.arange(wanted) * count // wanted
    for first in range(0, wanted, rows):
        some = chosen[first : first + rows]
        inputs = np.full((len(some), context), BEGIN, np.int64)
        targets = np.full((len(some), context), IGNORE_INDEX, np.int64)
        for i, place in enumerate(some):
            begin = max(0, (place + 1) * stride - context)
            window = tokens[begin : (place + 1) * stride]
            inputs[i, 1 : len(window)] = window[:-1]
            seen = place * stride - begin  # what is only there to be seen
            targets[i, seen : len(window)] = window[seen:]
        yield Batch(inputs, targets)


def document_batches(tokens: Tokens, *, context: int, rows: int) -> Iterator[Batch]:
    """Puts each document in rows of its own, after the `</s>` of an imagined one before it.

    targets   --    t0    t1 ...        a document longer than a row goes on in the next
    inputs    <s>   </s>  t0 ...
    """
    ends = np.flatnonzero(tokens == END) + 1
    lines = [
        document[i : i + context - 1]
        for document in np.split(tokens, ends)
        for i in range(0, len(document), context - 1)
    ]
    for first in range(0, len(lines), rows):
        some = lines[first : first + rows]
        targets = np.full((len(some), context), IGNORE_INDEX, np.int64)
        for row, line in zip(targets, some, strict=True):
            row[1 : len(line) + 1] = line
        batch = shift_right(targets)
        batch.inputs[:, 1] = END
        yield batch
