"""The numpy engine: the same model without torch, for writing on a CPU at once.

All tokens that are read at once, whatever row they belong to, go through the matrix products
together; only attention looks at one row at a time. Where `decoder.c` was compiled, it does all of
that in one call (see `tfcli.generation.engines.native`), and what stands here explains it.

Shapes are those of `tfcli.model.transformer`, with

    N  tokens read, of all rows        R  rows        L  positions that a row has in its cache
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.engines.native import NativeDecoder, load_library, status
from tfcli.generation.engines.numpy_layers import (
    Layer,
    Linear,
    Norm,
    position_table,
    rotary_tables,
    rotate,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.generation.engines.engine import Logits
    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]
    Places = np.ndarray[Any, np.dtype[np.int64]]

FEW = 2  # rows for which single tokens are computed one after the other
ROOM = 64  # positions that there is room for at first
PORTION = 256  # positions whose scores are computed at once
FEW_INT8 = 16  # the same where a product of several would first need the weights as floats


class NumpyEngine:
    """Runs a model for several rows of text; see `Engine`.

    Args:
        config: the shape of the model.
        weights: by the names of `tfcli.model.layout`; those that need no change are used in place.
        rows: how many texts there is room for.
        int8: whether the matrices are rounded to eight bits.
        native: whether `decoder.c` is used, where it was compiled.

    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, Array],
        rows: int = 1,
        *,
        int8: bool = False,
        native: bool = True,
    ) -> None:
        self.config = config
        self.context_length, self.vocab_size = config.context_length, config.vocab_size
        self._embedding = weights["embedding.weight"]
        table = self._embedding if config.tied_head else weights["head.weight"]
        self.head = Linear(table, int8=int8)
        self._positions = position_table(config, weights)
        if config.positions == "rotary":
            self.cosines, self.sines = rotary_tables(config)
        self.layers = [
            Layer(config, weights, f"blocks.{number}.", int8=int8)
            for number in range(config.num_layers)
        ]
        self.final_norm = Norm(config, weights, "final_norm.")
        self.keys, self.values = self._caches(rows, min(ROOM, config.context_length))
        self._lengths = np.zeros(rows, np.int64)
        self.weight_bytes = self.head.nbytes + sum(layer.nbytes for layer in self.layers)
        self._library = load_library() if native else None
        self.native = NativeDecoder(self._library, self) if self._library else None
        threads = self.native.threads if self.native else None
        self.description = status(threads) if native else "numpy"

    # --- rows -----------------------------------------------------------------------------------

    def forget(self, row: int) -> None:
        """See `Engine`."""
        self._lengths[row] = 0

    def copy(self, source: int, target: int) -> None:
        """See `Engine`."""
        length = self._lengths[source]
        for cache in (self.keys, self.values):
            cache[:, target, :, :length] = cache[:, source, :, :length]
        self._lengths[target] = length

    def _caches(self, rows: int, room: int) -> tuple[Array, Array]:
        """Keys and values, (layers, R, K, S, D) each, with room for S positions in each row."""
        config = self.config
        shape = (config.num_layers, rows, config.num_kv_heads, room, config.head_dim)
        return np.empty(shape, np.float32), np.empty(shape, np.float32)

    def _make_room(self, longest: int) -> None:
        """Sees that there is room for so many positions: few texts are as long as the context."""
        assert longest <= self.context_length, "more positions than the model has"
        room = self.keys.shape[3]
        if longest <= room:
            return
        larger = min(self.context_length, max(2 * room, longest))
        keys, values = self._caches(len(self._lengths), larger)
        for row in self._lengths.nonzero()[0]:  # what is empty takes no memory yet
            length = self._lengths[row]
            keys[:, row, :, :length] = self.keys[:, row, :, :length]
            values[:, row, :, :length] = self.values[:, row, :, :length]
        self.keys, self.values = keys, values
        if self._library:
            self.native = NativeDecoder(self._library, self)

    # --- reading --------------------------------------------------------------------------------

    def read(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        lasts = np.cumsum([len(own) for own in tokens]) - 1
        return self._read(rows, tokens, lasts)

    def read_all(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        return self._read(rows, tokens, np.arange(sum(len(own) for own in tokens)))

    def _read(self, rows: Sequence[int], tokens: Sequence[Sequence[int]], wanted: Places) -> Logits:
        """Adds tokens to rows; the logits after those in the places `wanted`, counted over all."""
        reading = _Reading(rows, self._lengths[list(rows)], [len(own) for own in tokens])
        self._make_room(reading.longest)
        x = self._embed(np.concatenate([np.asarray(own) for own in tokens]), reading.positions)
        if self.native:
            logits = self.native.read(x, reading.row_of_each, reading.positions, wanted)
        else:
            for number, layer in enumerate(self.layers):
                together = layer.into_attention(x)
                x += layer.outward(self._attend(number, layer, together, reading))
                x += layer.feed_forward(x)
            logits = self.head(self.final_norm.apply(x[wanted]))
        self._lengths[list(rows)] = reading.ends
        return logits

    def _embed(self, ids: Any, positions: Any) -> Array:
        """(N,) -> (N, E), a copy."""
        x = self._embedding[ids]
        if self._positions is not None:
            if self.config.positions == "sinusoidal":
                x *= np.float32(math.sqrt(self.config.d_model))
            x += self._positions[positions]
        return x  # type: ignore[no-any-return]

    def _attend(
        self, number: int, layer: Layer, together: Array, reading: _Reading
    ) -> Array:  # (N, (H + 2 K) D) -> (N, H D)
        turned, values = layer.queries_keys_values(together)  # (N, H + K, D), (N, K, D)
        if self.config.positions == "rotary":
            positions = reading.positions
            turned = rotate(turned, self.cosines[positions], self.sines[positions])
        heads = self.config.num_heads
        queries, keys = turned[:, :heads], turned[:, heads:]
        all_keys, all_values = self.keys[number], self.values[number]  # (R, K, S, D)
        gathered = np.empty(queries.shape, np.float32)
        for row, start, end, own in reading.parts():
            all_keys[row, :, start:end] = keys[own].swapaxes(0, 1)
            all_values[row, :, start:end] = values[own].swapaxes(0, 1)
            seen_keys, seen_values = all_keys[row, :, :end], all_values[row, :, :end]
            window = self.config.sliding_window or end
            gathered[own] = gather(queries[own], seen_keys, seen_values, window)
        return gathered.reshape(len(together), -1)


class _Reading:
    """Which tokens are read at once, and where they stand.

    Attributes:
        ends: (rows,), how long each row is then.
        positions, row_of_each: (N,), where each token stands.

    """

    def __init__(self, rows: Sequence[int], starts: Places, counts: Sequence[int]) -> None:
        self._rows, self._starts = rows, starts
        self.ends = starts + counts
        self.longest = int(self.ends.max())
        pairs = zip(starts, self.ends, strict=True)
        self.positions = np.concatenate([np.arange(start, end) for start, end in pairs])
        self.row_of_each = np.repeat(np.asarray(rows, np.int64), counts)

    def parts(self) -> list[tuple[int, int, int, slice]]:
        """For each row: its number, start, end, and which of all the tokens are its own."""
        counts = self.ends - self._starts
        lasts = counts.cumsum()
        owns = [slice(last - count, last) for count, last in zip(counts, lasts, strict=True)]
        return list(zip(self._rows, self._starts, self.ends, owns, strict=True))


# --- attention ----------------------------------------------------------------------------------


def gather(queries: Array, keys: Array, values: Array, window: int) -> Array:
    """softmax(Q K^T) V for new positions of one row: (T, H, D), keys and values (K, S, D).

    The queries are those of the last T of the S positions, scaled by 1 / sqrt(D) already; each sees
    `window` positions, the last of them its own.
    """
    T, H, D = queries.shape
    K, S, _ = keys.shape
    if T > PORTION:  # the scores of all at once would take T times S of memory
        end = S - T + PORTION
        first = gather(queries[:PORTION], keys[:, :end], values[:, :end], window)
        rest = gather(queries[PORTION:], keys, values, window)
        return np.concatenate((first, rest))
    grouped = queries.reshape(T, K, H // K, D).transpose(1, 2, 0, 3)  # (K, H / K, T, D)
    scores = grouped @ keys[:, None].swapaxes(-1, -2)  # (K, H / K, T, S)
    if T > 1:
        scores[..., ~np.tri(T, S, S - T, dtype=bool)] = -np.inf  # what comes after is not seen
    if window < S:
        scores[..., np.tri(T, S, S - T - window, dtype=bool)] = -np.inf  # nor what is too far back
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    gathered: Any = scores @ values[:, None]  # (K, H / K, T, D)
    return gathered.transpose(2, 0, 1, 3).reshape(T, H, D)  # type: ignore[no-any-return]
