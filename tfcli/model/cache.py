"""The KV cache: the keys and values that attention computed for earlier positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from tfcli.model.config import ModelConfig

MIN_CAPACITY = 64  # positions


class KVCache:
    """Keys and values of several rows of text, so that each position is computed once.

    Rows have lengths of their own. The tensors hold `capacity` positions of every row; they are
    made when the first keys are stored, in the number format and on the device of these keys, and
    double when the longest row needs it.

    Args:
        rows: R, how many there are.
        device: where the model is.

    Attributes:
        lengths: how many positions each row holds.
        capacity: S, how many it can hold without growing; at most the model's context.
        version: changes with the tensors, for whoever recorded where they are.

    """

    def __init__(self, config: ModelConfig, rows: int, device: torch.device | str = "cpu") -> None:
        self._context, self._device = config.context_length, device
        self.window = config.sliding_window or config.context_length
        self.lengths = [0] * rows
        self.capacity = self._capacity_for(0)
        self.version = 0
        self._heads, self._head_dim = config.num_kv_heads, config.head_dim
        self._tensors: list[Tensor | None] = [None] * config.num_layers  # (2, R, K, S, D)
        self._longest = 0  # row since all were last empty

    @property
    def nbytes(self) -> int:
        """The memory it takes."""
        return sum(tensor.nbytes for tensor in self._tensors if tensor is not None)

    def extend(self, rows: Sequence[int], count: int) -> CacheView:
        """Lengthens some rows by `count` positions each, which the model has to fill.

        Returns:
            The view that the model fills them through.

        """
        starts = [self.lengths[row] for row in rows]
        longest = max(starts) + count
        self.reserve(longest)
        for row in rows:
            self.lengths[row] += count
        first = torch.tensor(starts, device=self._device)[:, None]
        positions = first + torch.arange(count, device=self._device)
        # rows of one length need no mask: causal attention is what they want
        masked = len(set(starts)) > 1 or longest > self.window
        return CacheView(self, rows, positions, length=longest, masked=masked)

    def reserve(self, length: int) -> None:
        """Sees that every row can hold `length` positions."""
        assert length <= self._context, "more positions than the model has"
        if length > self.capacity:
            self.capacity = self._capacity_for(length)
            self.version += 1

    def reset(self, row: int) -> None:
        """Empties a row. Once all are empty, what the last texts did not need is freed."""
        if not self.lengths[row]:
            return
        self._longest = max(self._longest, self.lengths[row])
        self.lengths[row] = 0
        if any(self.lengths):
            return
        needed, self._longest = self._capacity_for(self._longest), 0
        if needed < self.capacity:
            self.capacity = needed
            self.version += 1
            self._tensors = [None] * len(self._tensors)

    @torch.inference_mode()
    def copy_row(self, source: int, target: int) -> None:
        """Makes a row equal to another."""
        length = self.lengths[source]
        for tensor in self._tensors:
            if tensor is not None:
                tensor[:, target, :, :length] = tensor[:, source, :, :length]
        self.lengths[target] = length

    def tensors(self, layer: int, like: Tensor) -> Tensor:
        """The keys and the values of a layer, (2, R, K, S, D), with room for `capacity`."""
        tensor = self._tensors[layer]
        if tensor is not None and tensor.shape[3] == self.capacity:
            return tensor
        shape = (2, len(self.lengths), self._heads, self.capacity, self._head_dim)
        # zeros, since attention multiplies what it masks by 0, and 0 * NaN is NaN
        larger = like.new_zeros(shape)
        if tensor is not None:
            larger[:, :, :, : tensor.shape[3]] = tensor
        self._tensors[layer] = larger
        return larger

    def _capacity_for(self, length: int) -> int:
        """The next power of two, within the bounds."""
        return min(self._context, max(MIN_CAPACITY, 1 << (length - 1).bit_length()))


class CacheView:
    """New positions of some rows of a cache, for one forward pass.

    Attributes:
        positions: (B, T), the positions of the new tokens.
        length: S, how many positions attention looks at.
        mask: (B, 1, T, S), which of them each token sees; None if causal attention is right.

    """

    def __init__(
        self,
        cache: KVCache,
        rows: Sequence[int],
        positions: Tensor,
        *,
        length: int,
        masked: bool,
    ) -> None:
        self._cache = cache
        self.positions, self.length = positions, length
        device = positions.device
        first, count = rows[0], len(rows)
        if list(rows) == list(range(first, first + count)):  # neighbors: used where they are
            self._rows: slice | Tensor = slice(first, first + count)
            indices = torch.arange(first, first + count, device=device)
        else:  # copied
            self._rows = indices = torch.tensor(list(rows), device=device)
        self._row_indices = indices[:, None]  # (B, 1)
        self.mask: Tensor | None = None
        if masked:
            distance = positions[:, :, None] - torch.arange(length, device=device)
            self.mask = ((distance >= 0) & (distance < cache.window))[:, None]

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Stores new keys and values of a layer, (B, K, T, D); returns all of these rows.

        Returns:
            keys, values: (B, K, S, D).

        """
        all_keys, all_values = self._cache.tensors(layer, like=keys)
        all_keys[self._row_indices, :, self.positions] = keys.transpose(1, 2)
        all_values[self._row_indices, :, self.positions] = values.transpose(1, 2)
        return all_keys[self._rows, :, : self.length], all_values[self._rows, :, : self.length]
