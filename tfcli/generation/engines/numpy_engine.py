"""The numpy engine: the forward pass without torch, so that generation on a CPU starts at once.

All tokens of a forward pass, whatever row they belong to, go through the matrix products together;
only attention works row by row. If `decoder.c` was compiled, it does all of that in one call (see
`tfcli.generation.engines.native`), and the code here explains it.

Shapes are those of `tfcli.model.transformer`, with

    N  tokens of a forward pass, of all rows        R  rows
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.engines.native import NativeDecoder, load_library, status
from tfcli.generation.engines.numpy_layers import Block, ModelWeights, rotate
from tfcli.generation.engines.row_caches import RowCaches
from tfcli.model.safetensors_file import to_float32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tfcli.generation.engines.engine import Logits
    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]
    Integers = np.ndarray[Any, np.dtype[np.int64]]

MOST_TOKENS = 512  # of prompts that go through the matrix products together
PORTION = 1 << 37  # multiplications after which Ctrl-C is heard: two seconds at most
QUERY_BLOCK = 256  # queries whose scores are computed at once


class NumpyEngine:
    """Runs a model for several rows of text; see `Engine`.

    Args:
        config: the shape of the model.
        weights: by the names of `model.parameters`, in float32, bfloat16 or float16; the matrices
            are used in place.
        rows: R.
        int8: whether the matrices are quantized to eight bits.
        native: whether to use `decoder.c`, if it was compiled.
        on_read: is called after each portion of tokens that take several, with how many of them
            are read and how many there are.

    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Mapping[str, Array],
        rows: int = 1,
        *,
        int8: bool = False,
        native: bool = True,
        on_read: Callable[[int, int], None] | None = None,
    ) -> None:
        self.context_length, self.vocab_size = config.context_length, config.vocab_size
        self._config, self._on_read = config, on_read
        self._weights = ModelWeights(config, weights, int8=int8)
        self.weight_bytes = self._weights.nbytes
        self._portion = max(64, min(MOST_TOKENS, PORTION // self._weights.parameters))
        self._caches = RowCaches(config, rows)
        library = load_library() if native else None
        self.native = NativeDecoder(library, self._weights) if library else None
        threads = self.native.threads if self.native else None
        self.description = status(threads) if native else "numpy"

    def reset(self, row: int) -> None:
        """See `Engine`."""
        self._caches.reset(row)

    def copy_row(self, source: int, target: int) -> None:
        """See `Engine`."""
        self._caches.copy_row(source, target)

    def with_rows(self, rows: int) -> NumpyEngine:
        """See `Engine`."""
        other = copy.copy(self)
        other._caches = RowCaches(self._config, rows)
        if self.native:  # it has memory to calculate in
            other.native = self.native.with_own_scratch()
        return other

    def forward(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        last = np.cumsum([len(own) for own in tokens]) - 1
        return self._forward(rows, tokens, last)

    def forward_all(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        return self._forward(rows, tokens, np.arange(sum(len(own) for own in tokens)))

    def _forward(
        self, rows: Sequence[int], tokens: Sequence[Sequence[int]], wanted: Integers
    ) -> Logits:
        """Adds tokens to rows; returns the logits after those with the indices `wanted`.

        They come in portions, so that the memory for long prompts is bounded, and Ctrl-C is heard
        in between.
        """
        for row, own in zip(rows, tokens, strict=True):
            self._caches.reserve(row, int(self._caches.lengths[row]) + len(own))
        logits = np.empty((len(wanted), self.vocab_size), np.float32)
        begin = done = 0
        total = sum(len(own) for own in tokens)
        for some_rows, some_tokens in portions(rows, tokens, self._portion):
            end = begin + sum(len(own) for own in some_tokens)
            count = int(np.searchsorted(wanted[done:], end))
            own_wanted = wanted[done : done + count] - begin
            self._read(some_rows, some_tokens, own_wanted, logits[done : done + count])
            begin, done = end, done + count
            if self._on_read and total > self._portion:
                self._on_read(end, total)
        return logits

    def _read(
        self,
        rows: Sequence[int],
        tokens: Sequence[Sequence[int]],
        wanted: Integers,
        logits: Logits,
    ) -> None:
        """Adds tokens to rows; the logits after those of index `wanted` go into `logits`."""
        caches, weights = self._caches, self._weights
        batch = _Batch(rows, caches.lengths[list(rows)], [len(own) for own in tokens])
        x = self._embed(np.concatenate([np.asarray(own) for own in tokens]), batch.positions)
        if self.native:
            self.native.forward(
                x, caches.table, batch.rows, batch.positions, int(batch.ends.max()), wanted, logits
            )
        else:
            for number, block in enumerate(weights.blocks):
                x += block.out_proj(self._attend(number, block, x, batch))
                x += block.feed_forward(x)
            logits[:] = weights.head(weights.final_norm(x[wanted]))
        caches.lengths[list(rows)] = batch.ends

    def _embed(self, ids: Any, positions: Any) -> Array:
        """(N,) -> (N, E), a copy."""
        x = np.array(to_float32(self._weights.embedding[ids]))
        table = self._weights.position_table
        if table is not None:
            if self._config.positions == "sinusoidal":
                x *= np.float32(math.sqrt(self._config.d_model))
            x += to_float32(table[positions])
        return x

    def _attend(
        self, number: int, block: Block, x: Array, batch: _Batch
    ) -> Array:  # (N, E) -> (N, H D)
        queries_keys, values = block.project_qkv(x)  # (N, H + K, D), (N, K, D)
        if self._weights.rotary:
            tables = self._weights.rotary.up_to(int(batch.ends.max()))
            cosines, sines = (table[batch.positions] for table in tables)
            queries_keys = rotate(queries_keys, cosines, sines)
        heads = self._config.num_heads
        queries, keys = queries_keys[:, :heads], queries_keys[:, heads:]
        attended = np.empty(queries.shape, np.float32)
        for row, start, end, own in batch.parts():
            row_keys = self._caches.keys[row][number, :, :end]  # (K, S, D)
            row_values = self._caches.values[row][number, :, :end]
            row_keys[:, start:] = keys[own].swapaxes(0, 1)
            row_values[:, start:] = values[own].swapaxes(0, 1)
            window = self._config.sliding_window or end
            attended[own] = attention(queries[own], row_keys, row_values, window)
        return attended.reshape(len(x), -1)


def portions(
    rows: Sequence[int], tokens: Sequence[Sequence[int]], size: int
) -> Iterator[tuple[list[int], list[Sequence[int]]]]:
    """Rows and their tokens, in order, at most `size` tokens at a time."""
    some_rows: list[int] = []
    some_tokens: list[Sequence[int]] = []
    room = size
    for row, own in zip(rows, tokens, strict=True):
        begin = 0
        while begin < len(own):
            taken = own[begin : begin + room]
            some_rows.append(row)
            some_tokens.append(taken)
            begin += len(taken)
            room -= len(taken)
            if room == 0:
                yield some_rows, some_tokens
                some_rows, some_tokens, room = [], [], size
    if some_rows:
        yield some_rows, some_tokens


class _Batch:
    """The tokens of one forward pass: which row and position each has.

    Attributes:
        rows, positions: (N,), of each token.
        ends: the length of each row afterwards.

    """

    def __init__(self, rows: Sequence[int], starts: Integers, counts: Sequence[int]) -> None:
        self._distinct_rows, self._starts = rows, starts
        self.ends = starts + counts
        pairs = zip(starts, self.ends, strict=True)
        self.positions = np.concatenate([np.arange(start, end) for start, end in pairs])
        self.rows = np.repeat(np.asarray(rows, np.int64), counts)

    def parts(self) -> list[tuple[int, int, int, slice]]:
        """Of each row: its number, its length before and afterwards, and which tokens are its."""
        counts = self.ends - self._starts
        lasts = counts.cumsum()
        owns = [slice(last - count, last) for count, last in zip(counts, lasts, strict=True)]
        return list(zip(self._distinct_rows, self._starts, self.ends, owns, strict=True))


# --- attention ----------------------------------------------------------------------------------


def attention(queries: Array, keys: Array, values: Array, window: int) -> Array:
    """softmax(Q K^T) V for new positions of one row: (T, H, D) -> (T, H, D).

    Args:
        queries: of the last T of the S positions, scaled by 1 / sqrt(D) already.
        keys, values: (K, S, D).
        window: how many positions each query attends to, its own the last.

    """
    T, H, D = queries.shape
    K, S, _ = keys.shape
    if T > QUERY_BLOCK:  # the scores of all at once would take T times S of memory
        end = S - T + QUERY_BLOCK
        first = attention(queries[:QUERY_BLOCK], keys[:, :end], values[:, :end], window)
        rest = attention(queries[QUERY_BLOCK:], keys, values, window)
        return np.concatenate((first, rest))
    grouped = queries.reshape(T, K, H // K, D).transpose(1, 2, 0, 3)  # (K, H / K, T, D)
    scores = grouped @ keys[:, None].swapaxes(-1, -2)  # (K, H / K, T, S)
    if T > 1:
        scores[..., ~np.tri(T, S, S - T, dtype=bool)] = -np.inf  # later positions
    if window < S:
        scores[..., np.tri(T, S, S - T - window, dtype=bool)] = -np.inf  # before the window
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    attended: Any = scores @ values[:, None]  # (K, H / K, T, D)
    return attended.transpose(2, 0, 1, 3).reshape(T, H, D)  # type: ignore[no-any-return]
