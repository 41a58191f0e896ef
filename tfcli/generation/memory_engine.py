"""An engine whose logits are mixed with what the n-grams of the training text say.

It stands in the place of the model's engine, so sampling, beam search, structured output, scoring
and batches take it as they take any other.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tfcli.generation.mixing import gather
from tfcli.generation.native_memory import NativeMixture, memory_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.generation.engines.engine import Engine, Logits
    from tfcli.generation.mixing import Weights
    from tfcli.text.kneser_ney import KneserNey

MIXED_NUMBERS = 1 << 22  # of V at a time: 16 MB an array


class Mixture(Protocol):
    """A memory and the weights with which a model is mixed with it."""

    def mix(self, logits: Logits, histories: Sequence[Sequence[int]]) -> Logits:
        """The logits of the mixture after T histories: (T, V) -> (T, V), perhaps in place."""

    def with_own_scratch(self) -> Mixture:
        """The same, which can be in use at the same time."""


class PlainMixture:
    """A `Mixture` without compiled code."""

    def __init__(self, ngrams: KneserNey, weights: Weights) -> None:
        self._ngrams, self._weights = ngrams, weights.astype(np.float32)

    def mix(self, logits: Logits, histories: Sequence[Sequence[int]]) -> Logits:
        """See `Mixture`."""
        following = [self._ngrams.after(history) for history in histories]
        return gather(np.asarray(logits, np.float32), following).mix(self._weights)

    def with_own_scratch(self) -> PlainMixture:
        """See `Mixture`."""
        return self


def open_mixture(ngrams: KneserNey, weights: Weights, *, native: bool = True) -> Mixture:
    """The compiled mixture, or the plain one where it was not compiled or is not wanted."""
    library = memory_library() if native else None
    if library is None:
        return PlainMixture(ngrams, weights)
    return NativeMixture(library, ngrams, weights)


class MemoryEngine:
    """See `tfcli.generation.engines.engine.Engine`.

    Args:
        engine: of the model.
        memory: of the text that the model was trained on; its V is the model's.
        bos: the token with which rows begin: before the first of a text, nothing is known.
        native: whether to use `engines/memory.c`, if it was compiled.

    """

    def __init__(
        self,
        engine: Engine,
        memory: KneserNey,
        weights: Weights,
        *,
        bos: int | None,
        rows: int,
        native: bool = True,
    ) -> None:
        self._engine, self._bos = engine, bos
        self._mixture = open_mixture(memory, weights, native=native)
        self._length = memory.index.order - 1  # tokens of context
        self._histories: list[list[int]] = [[] for _ in range(rows)]
        self.context_length, self.vocab_size = engine.context_length, engine.vocab_size
        self.weight_bytes = engine.weight_bytes
        self.description = f"{engine.description}, with a memory of {len(memory.index):,} tokens"

    def forward(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        logits = self._engine.forward(rows, tokens)
        histories = [self._append(row, new) for row, new in zip(rows, tokens, strict=True)]
        return self._mixture.mix(logits, histories)

    def forward_all(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        logits = self._engine.forward_all(rows, tokens)
        histories = [
            self._append(row, [token])
            for row, new in zip(rows, tokens, strict=True)
            for token in new
        ]
        size = max(1, MIXED_NUMBERS // self.vocab_size)
        parts = range(0, len(histories), size)
        mixed = [
            self._mixture.mix(logits[at : at + size], histories[at : at + size]) for at in parts
        ]
        return np.concatenate(mixed)

    def reset(self, row: int) -> None:
        """See `Engine`."""
        self._engine.reset(row)
        self._histories[row] = []

    def copy_row(self, source: int, target: int) -> None:
        """See `Engine`."""
        self._engine.copy_row(source, target)
        self._histories[target] = self._histories[source]

    def with_rows(self, rows: int) -> MemoryEngine:
        """See `Engine`."""
        other = copy.copy(self)
        other._engine, other._histories = self._engine.with_rows(rows), [[] for _ in range(rows)]
        other._mixture = self._mixture.with_own_scratch()
        return other

    def _append(self, row: int, tokens: Sequence[int]) -> list[int]:
        """The last tokens of a row, after some more; nothing from before `bos`."""
        history = [*self._histories[row], *tokens][-self._length :]
        if self._bos in history:
            last = len(history) - 1 - history[::-1].index(self._bos)
            history = history[last + 1 :]
        self._histories[row] = history
        return history
