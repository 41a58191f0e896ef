"""The memory of generation: what attention keeps of the positions before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from tfcli.model.config import ModelConfig


class KeyValueCache:
    """The keys and values of the positions seen so far, so that each is computed once.

    Room for `length` positions is taken at the start; `filled` of them are in use.
    """

    def __init__(self, config: ModelConfig, batch_size: int, length: int, like: Tensor) -> None:
        shape = (batch_size, config.num_kv_heads, length, config.head_dim)  # (B, K, S, D)
        self.keys = [like.new_zeros(shape) for _ in range(config.num_layers)]
        self.values = [like.new_zeros(shape) for _ in range(config.num_layers)]
        self.filled = 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds the new positions of one layer; returns all of its keys and values so far."""
        end = self.filled + keys.shape[2]
        self.keys[layer][:, :, self.filled : end] = keys
        self.values[layer][:, :, self.filled : end] = values
        return self.keys[layer][:, :, :end], self.values[layer][:, :, :end]
