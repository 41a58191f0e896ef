"""The numpy engine: the same model without torch, for writing on a CPU at once.

A small model spends its time in calls, a large one in reading its weights. So what can be put
together is put together when the weights are opened: query, key and value are one matrix, gate and
up another, each with the norm before it folded in:

    W (weight * x / rms(x)) = (W * weight) x / rms(x)

All tokens that are read at once, whatever row they belong to, go through these products together;
only attention looks at one row at a time. Shapes are those of `tfcli.model.transformer`, with

    N  tokens read, of all rows        R  rows        L  positions that a row has in its cache
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.generation.engines.engine import Logits
    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]

GELU_SCALE = math.sqrt(2 / math.pi)


class NumpyEngine:
    """Runs a model for several rows of text; see `Engine`.

    Args:
        config: the shape of the model.
        weights: by the names of `tfcli.model.layout`; those that need no change are used in place.
        rows: how many texts there is room for.

    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array], rows: int = 1) -> None:
        self.config = config
        self.context_length, self.vocab_size = config.context_length, config.vocab_size
        self._embedding = weights["embedding.weight"]
        self._head = self._embedding if config.tied_head else weights["head.weight"]
        self._positions = _position_table(config, weights)
        if config.positions == "rotary":
            self._cosines, self._sines = _rotary_tables(config)
        self._layers = [
            _Layer(config, weights, f"blocks.{number}.") for number in range(config.num_layers)
        ]
        self._final_norm = _Norm(config, weights, "final_norm.")
        # (layers, R, K, S, D); memory that is never touched is never taken
        shape = (config.num_layers, rows, config.num_kv_heads, config.context_length)
        self._keys = np.empty((*shape, config.head_dim), np.float32)
        self._values = np.empty((*shape, config.head_dim), np.float32)
        self._lengths = np.zeros(rows, np.intp)
        matrices = [matrix for layer in self._layers for matrix in layer.matrices()]
        self.weight_bytes = sum(matrix.nbytes for matrix in (*matrices, self._head))

    # --- rows -----------------------------------------------------------------------------------

    def forget(self, row: int) -> None:
        """See `Engine`."""
        self._lengths[row] = 0

    def copy(self, source: int, target: int) -> None:
        """See `Engine`."""
        length = self._lengths[source]
        for cache in (self._keys, self._values):
            cache[:, target, :, :length] = cache[:, source, :, :length]
        self._lengths[target] = length

    # --- reading --------------------------------------------------------------------------------

    def read(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        x = self._encode(rows, tokens)
        if len(x) > len(rows):
            x = x[np.cumsum([len(own) for own in tokens]) - 1]
        return self._predict(x)

    def read_all(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """See `Engine`."""
        return self._predict(self._encode(rows, tokens))

    def _predict(self, x: Array) -> Logits:  # (N, E) -> (N, V)
        return self._final_norm.apply(x) @ self._head.T

    def _encode(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Array:
        """Everything but the final norm and the head: (N, E)."""
        starts = self._lengths[list(rows)]
        ends = starts + [len(own) for own in tokens]
        assert ends.max() <= self.context_length, "more positions than the model has"
        if len(rows) == 1:
            ids: Any = np.asarray(tokens[0])
            positions: Any = slice(starts[0], ends[0])
        else:
            ids = np.concatenate([np.asarray(own) for own in tokens])
            positions = np.concatenate(
                [np.arange(start, end) for start, end in zip(starts, ends, strict=True)]
            )
        x = self._embedding[ids]  # (N, E), a copy
        if self._positions is not None:
            if self.config.positions == "sinusoidal":
                x *= np.float32(math.sqrt(self.config.d_model))
            x += self._positions[positions]
        reading = _Reading(np.asarray(rows), starts, ends)
        for number, layer in enumerate(self._layers):
            x += layer.attention_out(self._attend(number, layer, x, positions, reading))
            x += layer.feed_forward(x)
        self._lengths[list(rows)] = ends
        return x  # type: ignore[no-any-return]

    def _attend(
        self, number: int, layer: _Layer, x: Array, positions: Any, reading: _Reading
    ) -> Array:  # (N, E) -> (N, H * D)
        config = self.config
        turned, values = layer.queries_keys_values(x)  # (N, H + K, D), (N, K, D)
        if config.positions == "rotary":
            turned = _rotate(turned, self._cosines[positions], self._sines[positions])
        queries, keys = turned[:, : config.num_heads], turned[:, config.num_heads :]
        cached_keys, cached_values = self._keys[number], self._values[number]
        if reading.one_each:
            cached_keys[reading.rows, :, reading.starts] = keys
            cached_values[reading.rows, :, reading.starts] = values
            gathered = _gather_step(queries, cached_keys, cached_values, reading)
        else:
            gathered = np.empty(queries.shape, np.float32)
            for row, start, end, own in reading.parts():
                cached_keys[row, :, start:end] = keys[own].swapaxes(0, 1)
                cached_values[row, :, start:end] = values[own].swapaxes(0, 1)
                seen = cached_keys[row, :, :end], cached_values[row, :, :end]
                gathered[own] = _gather_many(queries[own], *seen)
        return gathered.reshape(len(x), -1)


class _Reading:
    """Which tokens are read at once: for each row, where it ended before and where it ends then."""

    def __init__(self, rows: Any, starts: Any, ends: Any) -> None:
        self.rows, self.starts, self.ends = rows, starts, ends
        self.one_each = len(rows) == (ends - starts).sum()
        self.longest = int(ends.max())

    def parts(self) -> list[tuple[int, int, int, slice]]:
        """For each row: its number, start, end, and which of all the tokens are its own."""
        lengths = self.ends - self.starts
        lasts = lengths.cumsum()
        return [
            (row, start, end, slice(last - length, last))
            for row, start, end, length, last in zip(
                self.rows, self.starts, self.ends, lengths, lasts, strict=True
            )
        ]


# --- attention ----------------------------------------------------------------------------------


def _gather_step(queries: Array, keys: Array, values: Array, reading: _Reading) -> Array:
    """One new position in each of some rows: queries (R, H, D) -> (R, H, D).

    Args:
        queries: scaled by 1 / sqrt(D).
        keys, values: the whole cache of a layer, (rows, K, S, D).

    """
    rows, longest = reading.rows, reading.longest
    R, H, D = queries.shape
    K = keys.shape[1]
    if len(rows) == rows[-1] + 1 - rows[0]:  # side by side: seen where they are
        chosen: Any = slice(rows[0], rows[-1] + 1)
    else:
        chosen = rows
    keys, values = keys[chosen, :, :longest], values[chosen, :, :longest]  # (R, K, L, D)
    scores = queries.reshape(R, K, H // K, D) @ keys.swapaxes(-1, -2)  # (R, K, H / K, L)
    if R > 1:
        beyond = np.arange(longest) >= reading.ends[:, None]  # (R, L)
        scores[np.broadcast_to(beyond[:, None, None], scores.shape)] = -np.inf
        if beyond.any():
            values = np.where(beyond[:, None, :, None], np.float32(0), values)
    return (_softmax(scores) @ values).reshape(R, H, D)


def _gather_many(queries: Array, keys: Array, values: Array) -> Array:
    """Several new positions of one row: (T, H, D); keys and values (K, S, D) -> (T, H, D)."""
    T, H, D = queries.shape
    K, S, _ = keys.shape
    grouped = queries.reshape(T, K, H // K, D).transpose(1, 2, 0, 3)  # (K, H / K, T, D)
    scores = grouped @ keys[:, None].swapaxes(-1, -2)  # (K, H / K, T, S)
    scores[..., ~np.tri(T, S, S - T, dtype=bool)] = -np.inf  # what comes after is not seen
    return (_softmax(scores) @ values[:, None]).transpose(2, 0, 1, 3).reshape(T, H, D)


def _softmax(scores: Array) -> Array:
    """In place, over the last dimension."""
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    return scores


def _rotate(x: Array, cosines: Array, sines: Array) -> Array:
    """Turns each pair (i, i + D/2) of x (N, heads, D) by the angle of its position (N, D)."""
    N, heads, D = x.shape
    swapped = x.reshape(N, heads, 2, D // 2)[:, :, ::-1].reshape(N, heads, D)
    return x * cosines[:, None] + swapped * sines[:, None]


def _rotary_tables(config: ModelConfig) -> tuple[Array, Array]:
    """Cosines and sines (S, D), the sines of the first half negative; see `model.positions`."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = np.float32(config.rope_theta) ** -exponents
    angles = np.outer(np.arange(config.context_length, dtype=np.float32), frequencies)
    cosines, sines = np.cos(angles), np.sin(angles)
    return np.concatenate((cosines, cosines), 1), np.concatenate((-sines, sines), 1)


def _position_table(config: ModelConfig, weights: Mapping[str, Array]) -> Array | None:
    """A vector for each position (S, E), where the family has one."""
    if config.positions == "rotary":
        return None
    if config.positions == "learned":
        return weights["position_embedding.weight"]
    width = config.d_model
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    angles = np.outer(
        np.arange(config.context_length, dtype=np.float32), np.float32(10_000) ** -exponents
    )
    table = np.empty((config.context_length, width), np.float32)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)[:, : width // 2]
    return table


# --- layers -------------------------------------------------------------------------------------


class _Norm:
    """RMSNorm or LayerNorm, with its weight and bias apart."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array], prefix: str) -> None:
        self._epsilon = np.float32(config.norm_epsilon)
        self._centred = config.norm == "layer_norm"
        self.weight = weights[f"{prefix}weight"]
        self.bias = weights.get(f"{prefix}bias")

    def scale(self, x: Array) -> Array:
        """The norm without its weight and bias: (N, E) -> (N, E)."""
        if self._centred:
            x = x - x.mean(-1, keepdims=True)
        squares = np.einsum("ne,ne->n", x, x) / np.float32(x.shape[1])
        return x / np.sqrt(squares + self._epsilon)[:, None]  # type: ignore[no-any-return]

    def apply(self, x: Array) -> Array:
        """The whole norm: (N, E) -> (N, E)."""
        x = self.scale(x) * self.weight
        return x if self.bias is None else x + self.bias


class _Linear:
    """y = x W^T + b."""

    def __init__(self, matrix: Array, bias: Array | None) -> None:
        self.matrix, self._bias = matrix, bias
        self._transposed = matrix.T

    def __call__(self, x: Array) -> Array:  # (N, in) -> (N, out)
        y = x @ self._transposed
        if self._bias is not None:
            y += self._bias
        return y


class _Layer:
    """The matrices of one block."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array], prefix: str) -> None:
        self._config = config
        own = {
            name.removeprefix(prefix): weight
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
        self._attention_norm = _Norm(config, own, "attention_norm.")
        self._feed_forward_norm = _Norm(config, own, "feed_forward_norm.")
        into_attention = [f"attention.{name}" for name in ("query", "key", "value")]
        self._inward = _after_norm(self._attention_norm, own, into_attention)
        self.attention_out = _linear(own, "attention.output")
        gated = config.feed_forward == "swiglu"
        into_feed_forward = ["feed_forward.gate"] * gated + ["feed_forward.up"]
        self._up = _after_norm(self._feed_forward_norm, own, into_feed_forward)
        self._down = _linear(own, "feed_forward.down")
        scale = np.float32(1 / math.sqrt(config.head_dim))
        shape = (config.num_heads + config.num_kv_heads, config.head_dim)
        self._head_scale = np.ones(shape, np.float32)
        self._qk_norm = config.family == "modern"
        if self._qk_norm:
            self._head_scale[: config.num_heads] = own["attention.query_norm.weight"]
            self._head_scale[config.num_heads :] = own["attention.key_norm.weight"]
        self._head_scale[: config.num_heads] *= scale

    def matrices(self) -> list[Array]:
        """What is read to compute a token."""
        layers = (self._inward, self.attention_out, self._up, self._down)
        return [layer.matrix for layer in layers]

    def queries_keys_values(self, x: Array) -> tuple[Array, Array]:
        """(N, E) -> queries, scaled by 1 / sqrt(D), and keys (N, H + K, D); values (N, K, D)."""
        heads, _ = self._head_scale.shape
        together = self._inward(self._attention_norm.scale(x))
        together = together.reshape(len(x), -1, self._config.head_dim)  # (N, H + 2 K, D)
        turned, values = together[:, :heads], together[:, heads:]
        if self._qk_norm:
            squares = np.einsum("nhd,nhd->nh", turned, turned)
            squares *= np.float32(1 / self._config.head_dim)
            squares += np.float32(self._config.norm_epsilon)
            turned = turned / np.sqrt(squares)[:, :, None]
        return turned * self._head_scale, values

    def feed_forward(self, x: Array) -> Array:  # (N, E) -> (N, E)
        """What the block's second part adds to the stream."""
        up = self._up(self._feed_forward_norm.scale(x))
        if self._config.feed_forward == "swiglu":
            gate, up = np.split(up, 2, axis=1)
            with np.errstate(over="ignore"):  # exp(-x) may be infinite: x / infinity is 0
                return self._down(gate / (1 + np.exp(-gate)) * up)
        if self._config.feed_forward == "gelu":
            inner = np.tanh(np.float32(GELU_SCALE) * (up + np.float32(0.044715) * up**3))
            return self._down(np.float32(0.5) * up * (1 + inner))
        return self._down(np.maximum(up, 0))


def _linear(own: Mapping[str, Array], name: str) -> _Linear:
    return _Linear(own[f"{name}.weight"], own.get(f"{name}.bias"))


def _after_norm(norm: _Norm, own: Mapping[str, Array], names: Sequence[str]) -> _Linear:
    """Several matrices as one, with the weight and bias of the norm before them folded in."""
    matrix = np.concatenate([own[f"{name}.weight"] for name in names])
    bias = None
    if norm.bias is not None:
        bias = matrix @ norm.bias + np.concatenate([own[f"{name}.bias"] for name in names])
    matrix *= norm.weight
    return _Linear(matrix, bias)
