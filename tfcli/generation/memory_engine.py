"""An engine whose logits are mixed with what the n-grams of the training text say.

It stands in the place of the model's engine, so sampling, beam search, structured output, scoring
and batches take it as they take any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.generation.mixing import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.generation.engines.engine import Engine, Logits
    from tfcli.generation.mixing import Weights
    from tfcli.text.kneser_ney import KneserNey

MIXED_NUMBERS = 1 << 22  # of V at a time: 16 MB an array


class MemoryEngine:
    """See `tfcli.generation.engines.engine.Engine`.

    Args:
        engine: of the model.
        memory: of the text that the model was trained on; its V is the model's.
        bos: the token with which rows begin: before the first of a text, nothing is known.

    """

    def __init__(
        self, engine: Engine, memory: KneserNey, weights: Weights, *, bos: int | None, rows: int
    ) -> None:
        self._engine, self._memory, self._bos = engine, memory, bos
        self._weights = weights.astype(np.float32)
        self._length = memory.index.order - 1  # tokens of context
        self._histories: list[list[int]] = [[] for _ in range(rows)]
        self.context_length, self.vocab_size = engine.context_length, engine.vocab_size
        self.weight_bytes = engine.weight_bytes
        self.description = f"{engine.description}, with a memory of {len(memory.index):,} tokens"

    def forward(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        logits = self._engine.forward(rows, tokens)
        histories = [self._append(row, new) for row, new in zip(rows, tokens, strict=True)]
        return self._mix(logits, histories)

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
        mixed = [self._mix(logits[at : at + size], histories[at : at + size]) for at in parts]
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
        engine = self._engine.with_rows(rows)
        return MemoryEngine(engine, self._memory, self._weights, bos=self._bos, rows=rows)

    def _append(self, row: int, tokens: Sequence[int]) -> list[int]:
        """The last tokens of a row, after some more; nothing from before `bos`."""
        history = [*self._histories[row], *tokens][-self._length :]
        if self._bos in history:
            last = len(history) - 1 - history[::-1].index(self._bos)
            history = history[last + 1 :]
        self._histories[row] = history
        return history

    def _mix(self, logits: Logits, histories: Sequence[list[int]]) -> Logits:
        following = [self._memory.after(history) for history in histories]
        return gather(np.asarray(logits, np.float32), following).mix(self._weights)
