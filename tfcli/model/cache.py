"""The memory of generation: what attention keeps of the positions before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from tfcli.model.config import ModelConfig


class KeyValueCache:
    """The keys and values of the positions seen so far, so that each is computed once.

    There is room for several rows of text, each of its own length, and for the model's whole
    context in each.
    """

    def __init__(self, config: ModelConfig, rows: int, like: Tensor) -> None:
        shape = (rows, config.num_kv_heads, config.context_length, config.head_dim)  # (R, K, S, D)
        self.keys = [like.new_zeros(shape) for _ in range(config.num_layers)]
        self.values = [like.new_zeros(shape) for _ in range(config.num_layers)]
        self.lengths = [0] * rows
        self.window = config.sliding_window or config.context_length

    def read(self, rows: Sequence[int], count: int) -> Reading:
        """What the model needs to read `count` more tokens into each of some rows.

        Their lengths grow at once.
        """
        starts = [self.lengths[row] for row in rows]
        for row in rows:
            self.lengths[row] += count
        device = self.keys[0].device
        positions = torch.tensor(starts, device=device)[:, None] + torch.arange(
            count, device=device
        )
        seen = max(starts) + count
        together = len(set(starts)) == 1  # then nothing has to be hidden from one of them
        masked = not together or seen > self.window
        return Reading(self, rows, positions, seen=seen, masked=masked)

    def copy(self, source: int, target: int) -> None:
        """Makes a row equal to another."""
        for table in (*self.keys, *self.values):
            table[target] = table[source]
        self.lengths[target] = self.lengths[source]


class Reading:
    """New positions of some rows of a cache, while the model reads them.

    Attributes:
        positions: (B, T), where each new token stands in its row.
        mask: (B, 1, T, S), which positions each new token sees; None where it is all before it.

    """

    def __init__(
        self,
        cache: KeyValueCache,
        rows: Sequence[int],
        positions: Tensor,
        *,
        seen: int,
        masked: bool,
    ) -> None:
        self._cache, self._seen = cache, seen
        device = positions.device
        first, count = rows[0], len(rows)
        if list(rows) == list(range(first, first + count)):  # side by side: seen where they are
            self._rows: slice | Tensor = slice(first, first + count)
            numbers = torch.arange(first, first + count, device=device)
        else:  # to be put together
            self._rows = numbers = torch.tensor(list(rows), device=device)
        self._row_numbers = numbers[:, None]  # (B, 1)
        self.positions = positions
        self.last = seen
        self.mask: Tensor | None = None
        if masked:
            back = positions[:, :, None] - torch.arange(seen, device=device)  # how far
            self.mask = ((back >= 0) & (back < cache.window))[:, None]

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds new positions of a layer (B, K, T, D); returns all of the rows (B, K, S, D)."""
        kept_keys, kept_values = self._cache.keys[layer], self._cache.values[layer]
        kept_keys[self._row_numbers, :, self.positions] = keys.transpose(1, 2)
        kept_values[self._row_numbers, :, self.positions] = values.transpose(1, 2)
        return kept_keys[self._rows, :, : self._seen], kept_values[self._rows, :, : self._seen]
