"""Packing: rows of several whole documents, for texts of many short ones.

    ids   <s>   </s>  t0  t1 ... </s>  u0  u1 ... </s>  --    several documents in a row

Each row starts with an EOS token, as if another document had just ended, as in `document_rows`. A
document longer than a row fills rows of its own, and its remainder is packed like a short one.
Best-fit decreasing (Johnson, "Near-optimal bin packing algorithms", 1973) leaves little padding.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

import numpy as np

from tfcli.training.examples import Examples, document_end, make_examples, row_start

if TYPE_CHECKING:
    from tfcli.text.checked_tokens import CheckedTokens, Tokens
    from tfcli.text.tokenizer import SpecialTokens
    from tfcli.training.examples import Starts

SEARCH_BLOCK = 1 << 20  # ids searched for ends of documents at once


class PackedSampler:
    """Rows of documents; only documents longer than a row are split.

    Args:
        tokens: the training part, shape (tokens,), at least one of them.
        context: T, at least 2; the first position has no target.
        rows: rows in a batch.
        special: the tokenizer's special tokens.
        seed: of the order of the rows, redrawn in each epoch; their contents stay the same.

    """

    def __init__(
        self,
        tokens: Tokens | CheckedTokens,
        *,
        context: int,
        rows: int,
        special: SpecialTokens,
        seed: int,
    ) -> None:
        self._tokens = tokens
        self._context = context
        self._rows = rows
        self._special = special
        self._seed = seed
        self._starts, self._lengths = _cut_documents(tokens, context - 1, document_end(special))
        ended = int(tokens[len(tokens) - 1]) == document_end(special)
        row_of = pack(self._lengths, context - 1, closed=not ended)
        self._order = np.argsort(row_of, kind="stable")  # the chunks, row after row
        self._firsts = np.searchsorted(row_of[self._order], np.arange(row_of.max() + 2))
        self._epoch = -1
        self._row_order = np.empty(0, np.int64)

    @property
    def epoch_rows(self) -> int:
        """Rows in an epoch."""
        return len(self._firsts) - 1

    def examples(self, step: int) -> Examples:
        """See `Sampler`."""
        ids = np.full((self._rows, self._context + 1), row_start(self._special), np.int64)
        ids[:, 1] = document_end(self._special)
        is_target = np.zeros(ids.shape, np.bool_)
        for i, row in enumerate(range(step * self._rows, (step + 1) * self._rows)):
            packed_row = self._packed_row(row)
            column = 2
            for chunk in self._order[self._firsts[packed_row] : self._firsts[packed_row + 1]]:
                start, length = int(self._starts[chunk]), int(self._lengths[chunk])
                if column == 2 and start:  # inside a long document: start from the token before
                    ids[i, 1] = self._tokens[start - 1]
                ids[i, column : column + length] = self._tokens[start : start + length]
                is_target[i, column : column + length] = True
                column += length
        return make_examples(ids, is_target, self._special)

    def _packed_row(self, row: int) -> int:
        epoch, index = divmod(row, self.epoch_rows)
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            self._epoch, self._row_order = epoch, random.permutation(self.epoch_rows)
        return int(self._row_order[index])


def _cut_documents(tokens: Tokens | CheckedTokens, size: int, eos: int) -> tuple[Starts, Starts]:
    """The starts and lengths of the chunks of all documents, of at most `size` tokens each."""
    begins, lengths = document_bounds(tokens, eos)
    counts = -(-lengths // size)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = np.repeat(begins, counts) + number * size
    return starts, np.minimum(size, np.repeat(begins + lengths, counts) - starts)


def document_bounds(tokens: Tokens | CheckedTokens, eos: int) -> tuple[Starts, Starts]:
    """The start and the length of each document, in tokens."""
    found = [
        np.flatnonzero(tokens[first : first + SEARCH_BLOCK] == eos) + first + 1
        for first in range(0, len(tokens), SEARCH_BLOCK)
    ]
    ends = np.unique(np.concatenate([*found, [len(tokens)]]).astype(np.int64))
    begins = np.concatenate([[0], ends[:-1]])[: len(ends)]
    return begins, ends - begins


def pack(lengths: Starts, size: int, *, closed: bool) -> Starts:
    """The row of each chunk, so that no row holds more than `size` tokens.

    Args:
        closed: whether nothing may follow the last chunk, since it has no EOS token.

    """
    needed = lengths.copy()
    if closed:
        needed[-1] = size
    row_of = np.empty(len(needed), np.int64)
    rooms: list[int] = []  # sizes of free space in rows that are not full, unique and sorted
    rows: dict[int, list[int]] = {}  # the rows by their free space
    count = 0
    for chunk in np.argsort(-needed, kind="stable"):
        length = int(needed[chunk])
        at = bisect_left(rooms, length)
        if at == len(rooms):
            row, room = count, size
            count += 1
        else:
            room = rooms[at]
            row = rows[room].pop()
            if not rows[room]:
                del rooms[at]
        row_of[chunk] = row
        left = room - length
        if left:
            if not rows.setdefault(left, []):
                insort(rooms, left)
            rows[left].append(row)
    return row_of
