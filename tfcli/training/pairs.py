"""Rows of pairs of prompt and answer, in which the answers and their ends are the targets.

    ids        <s>  p  p  a  a </s>  q  q  b </s>  --     two pairs in a row
    is_target            x  x   x           x   x
    positions   0   1  2  3  4   5   1  2  3   4          each as if it were alone

Each pair is read as in generation, right after BOS: it attends to the first position of its row and
to itself, and its positions count from there. So a pair has the same loss in any row. Pairs are
never cut: one that is longer than a row is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tfcli.errors import DataError
from tfcli.training.examples import Examples, document_end, row_start
from tfcli.training.packing import document_bounds, pack
from tfcli.training.sizing import PAIR_HEAD_DIM, SHORT_PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tfcli.model.config import ModelConfig
    from tfcli.text.checked_tokens import CheckedTokens, Tokens
    from tfcli.text.token_cache import Targets, TokenizedCorpus
    from tfcli.text.tokenizer import SpecialTokens
    from tfcli.training.examples import Starts
    from tfcli.training.options import TrainOptions

LEAST_CONTEXT, MOST_CONTEXT = 16, 1024
STEP = 8  # contexts are multiples of it
SHORT_LAYERS, SHORT_WIDTH = 2, 128  # see docs/pairs.md
SHARE_THAT_FITS = 0.999  # of all pairs, at least, unless they are longer than `MOST_CONTEXT`


@dataclass(frozen=True)
class PairTokens:
    """Pairs as ids, one after the other.

    Attributes:
        tokens, is_target: shape (tokens,).
        starts, lengths: of each pair, in tokens; its end counts.

    """

    tokens: Tokens | CheckedTokens
    is_target: Targets
    starts: Starts
    lengths: Starts

    @classmethod
    def of(
        cls, tokens: Tokens | CheckedTokens, is_target: Targets, special: SpecialTokens
    ) -> PairTokens:
        """Finds the pairs by the tokens that end them."""
        return cls(tokens, is_target, *document_bounds(tokens, document_end(special)))

    @classmethod
    def to_train_on(cls, corpus: TokenizedCorpus, special: SpecialTokens) -> PairTokens | None:
        """Those of a corpus that are trained on; None: it is text."""
        if corpus.training_targets is None:
            return None
        return cls.of(corpus.training, corpus.training_targets, special)

    @classmethod
    def held_out(cls, corpus: TokenizedCorpus, special: SpecialTokens) -> PairTokens:
        """Those of a corpus that are held out; none, where it is text."""
        if corpus.held_out_targets is None:
            return cls.of(corpus.held_out[:0], np.empty(0, np.bool_), special)
        return cls.of(corpus.held_out, corpus.held_out_targets, special)

    def __len__(self) -> int:
        return len(self.lengths)

    def prompt_hashes(self) -> NDArray[np.uint64]:
        """(pairs,), the same number for the same prompt: a sum of its ids, weighted by place."""
        if not len(self):
            return np.empty(0, np.uint64)
        tokens = np.asarray(self.tokens[:], np.uint64) + np.uint64(1)
        weights = np.random.Generator(np.random.Philox(0)).integers(
            2**64, size=int(self.lengths.max()), dtype=np.uint64, endpoint=False
        )
        places = np.arange(len(tokens)) - np.repeat(self.starts, self.lengths)
        return np.add.reduceat(
            np.where(self.is_target[: len(tokens)], np.uint64(0), tokens * weights[places]),
            self.starts,
        )

    def that_fit(self, context: int) -> PairTokens:
        """Without those of more than `context` tokens."""
        fit = self.lengths <= context
        return PairTokens(self.tokens, self.is_target, self.starts[fit], self.lengths[fit])

    def rows(
        self,
        rows: Sequence[Sequence[int]],
        *,
        context: int,
        special: SpecialTokens,
        prompt_loss: float = 0.0,
        apart: bool = True,
    ) -> Examples:
        """Rows of some pairs each.

        Args:
            apart: False where no row has more than one, so that plain causal rows will do.
            prompt_loss: the weight of prompt tokens as targets. The first of a prompt is none: all
                it could be predicted from is BOS.

        """
        ids = np.full((len(rows), context + 1), row_start(special), np.int64)
        is_target = np.zeros(ids.shape, np.bool_)
        segments, positions = np.zeros_like(ids), np.zeros_like(ids)
        weights = np.ones(ids.shape, np.float32) if prompt_loss else None
        for i, pairs in enumerate(rows):
            column = 1
            for number, pair in enumerate(pairs, 1):
                length = int(self.lengths[pair])
                own = slice(int(self.starts[pair]), int(self.starts[pair]) + length)
                place = slice(column, column + length)
                ids[i, place], is_target[i, place] = self.tokens[own], self.is_target[own]
                segments[i, place], positions[i, place] = number, np.arange(1, length + 1)
                if weights is not None:
                    weights[i, place] = np.where(self.is_target[own], 1.0, prompt_loss)
                    is_target[i, column + 1 : column + length] = True
                column += length
        return Examples(ids, is_target, segments, positions if apart else None, weights)


class PairSampler:
    """Rows of whole pairs, packed once; their order is redrawn in each epoch.

    Args:
        pairs: those to train on.
        context: T.
        rows: rows in a batch.
        seed: of the order.
        prompt_loss: see `PairTokens.rows`.

    Raises:
        DataError: every pair is longer than a row.

    """

    def __init__(
        self,
        pairs: PairTokens,
        *,
        context: int,
        rows: int,
        special: SpecialTokens,
        seed: int,
        prompt_loss: float = 0.0,
    ) -> None:
        self._pairs = pairs.that_fit(context)
        require_pairs(self._pairs, context)
        self._context, self._rows, self._special = context, rows, special
        self._seed, self._prompt_loss = seed, prompt_loss
        self._packed = pack_rows(self._pairs, context)
        self._apart = any(len(row) > 1 for row in self._packed)
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    @property
    def epoch_rows(self) -> int:
        """Rows in an epoch."""
        return len(self._packed)

    def examples(self, step: int) -> Examples:
        """See `Sampler`."""
        chosen = [self._row(row) for row in range(step * self._rows, (step + 1) * self._rows)]
        return self._pairs.rows(
            chosen, context=self._context, special=self._special, prompt_loss=self._prompt_loss,
            apart=self._apart,
        )  # fmt: skip

    def _row(self, row: int) -> Sequence[int]:
        epoch, index = divmod(row, self.epoch_rows)
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            self._epoch, self._order = epoch, random.permutation(self.epoch_rows)
        return self._packed[int(self._order[index])]


def require_pairs(fitting: PairTokens, context: int) -> None:
    """Raises DataError where there is none that fits."""
    if not len(fitting):
        raise DataError(
            f"every pair is longer than the context of {context:,} tokens",
            hint="a larger --context-length, or shorter pairs",
        )


def pack_rows(pairs: PairTokens, context: int) -> list[list[int]]:
    """Which pairs each row holds."""
    row_of = pack(pairs.lengths, context, closed=False)
    packed: list[list[int]] = [[] for _ in range(int(row_of.max(initial=-1)) + 1)]
    for pair, row in enumerate(row_of.tolist()):
        packed[row].append(pair)
    return packed


def held_out_rows(
    pairs: PairTokens, *, context: int, rows: int, special: SpecialTokens, limit: int | None = None
) -> Iterator[Examples]:
    """The pairs that fit, in rows.

    Args:
        rows: in a batch.
        limit: approximate maximum number of tokens, in pairs evenly spaced.

    """
    fitting = pairs.that_fit(context)
    total = int(fitting.lengths.sum())
    count = len(fitting) if limit is None or total <= limit else len(fitting) * limit // total
    count = min(max(count, 1), len(fitting))
    chosen = np.arange(count) * len(fitting) // max(count, 1)
    some = PairTokens(
        fitting.tokens, fitting.is_target, fitting.starts[chosen], fitting.lengths[chosen]
    )
    packed = pack_rows(some, context)
    for first in range(0, len(packed), rows):
        yield some.rows(packed[first : first + rows], context=context, special=special)


def context_for(lengths: Starts) -> int:
    """A context in which all pairs fit but for a few; at most `MOST_CONTEXT` tokens."""
    needed = int(np.quantile(lengths, SHARE_THAT_FITS, method="higher"))
    if lengths.max() <= 1.5 * needed:
        needed = int(lengths.max())
    return max(LEAST_CONTEXT, min(MOST_CONTEXT, -(-needed // STEP) * STEP))


def for_pairs(
    options: TrainOptions, corpus: TokenizedCorpus, special: SpecialTokens, base: ModelConfig | None
) -> TrainOptions:
    """What the user asked for, and a context and a size that suit the pairs, if none were.

    A time budget chooses the size from measured steps: see `sizing.candidate_models`.
    """
    pairs = PairTokens.to_train_on(corpus, special)
    if pairs is None:
        return options
    if options.context_length is None:
        longest = base.context_length if base else MOST_CONTEXT
        options = replace(options, context_length=min(context_for(pairs.lengths), longest))
    assert options.context_length is not None, "just chosen"
    named = (options.size, options.num_layers, options.d_model, options.num_heads)
    if base or options.timed or any(named) or options.context_length > SHORT_PAIRS:
        return options
    return replace(
        options, num_layers=SHORT_LAYERS, d_model=SHORT_WIDTH,
        num_heads=SHORT_WIDTH // PAIR_HEAD_DIM,
    )  # fmt: skip
