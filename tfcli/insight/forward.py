"""The forward pass of a Transformer, written to be looked at: one text, every intermediate result.

It computes what the engines compute (they are faster, and keep nothing), from the parameters as
they are saved. Read from top to bottom it is the whole model:

    x = embedding of each token (+ position)
    for each block:
        x = x + attention(norm(x))         each position looks at itself and earlier ones
        x = x + feed_forward(norm(x))      each position by itself
    logits = head(norm(x))

Shapes, for a text of T tokens:

    H query heads        E d_model         F d_ff
    K key-value heads    D head_dim        V vocab_size
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.engines.numpy_layers import position_table, rotary_tables, rotate
from tfcli.model.safetensors_file import to_float32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class AttentionValues:
    """What attention computes in one block.

    Attributes:
        normed: (T, E), its input.
        queries: (T, H, D), what each position looks for; normalized and rotated.
        keys: (T, K, D), what each position offers to be found by; the same.
        values: (T, K, D), what is taken from a position that was found.
        scores: (H, T, T), queries times keys over sqrt(D); -inf where a position may not look.
        weights: (H, T, T), their softmax: how much each position takes from which.
        heads: (T, H, D), the values that each head has gathered.
        output: (T, E), of all heads together, which is added to the residual stream.

    """

    normed: Array
    queries: Array
    keys: Array
    values: Array
    scores: Array
    weights: Array
    heads: Array
    output: Array


@dataclass(frozen=True)
class FeedForwardValues:
    """What the feed-forward layer computes in one block.

    Attributes:
        normed: (T, E), its input.
        gate: (T, F), or None in families without one.
        up: (T, F).
        activated: (T, F), after the non-linearity.
        output: (T, E), which is added to the residual stream.

    """

    normed: Array
    gate: Array | None
    up: Array
    activated: Array
    output: Array


@dataclass(frozen=True)
class BlockValues:
    """One block: the residual stream before, between and after its two layers, (T, E) each."""

    before: Array
    attention: AttentionValues
    between: Array
    feed_forward: FeedForwardValues
    after: Array


@dataclass(frozen=True)
class ForwardValues:
    """A whole forward pass.

    Attributes:
        embedded: (T, E), the residual stream at the bottom.
        blocks: from the first to the last.
        normed: (T, E), the residual stream at the top, normalized.
        logits: (T, V).

    """

    embedded: Array
    blocks: list[BlockValues]
    normed: Array
    logits: Array


class Model:
    """The weights of a model, and what each part of it computes.

    Args:
        weights: by the names of `model.parameters`, in any number format.

    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array]) -> None:
        self.config = config
        self.weights = {name: to_float32(weight) for name, weight in weights.items()}
        self._positions = position_table(config, self.weights)
        rotary = config.positions == "rotary"
        self._rotary = rotary_tables(config, config.context_length) if rotary else None

    def run(self, ids: Sequence[int]) -> ForwardValues:
        """Everything, for at most `context_length` tokens."""
        embedded = x = self.embed(ids)
        blocks = []
        for layer in range(self.config.num_layers):
            blocks.append(self.block(layer, x))
            x = blocks[-1].after
        return ForwardValues(embedded, blocks, self.final_norm(x), self.logits(x))

    # --- the bottom: from tokens to vectors -----------------------------------------------------

    def embed(self, ids: Sequence[int]) -> Array:
        """Token t becomes embedding[id_t], plus a vector for t in families without RoPE."""
        x = self.weights["embedding.weight"][list(ids)]
        if self._positions is None:
            return x
        if self.config.positions == "sinusoidal":
            x = x * np.float32(math.sqrt(self.config.d_model))
        return x + self._positions[: len(x)]

    # --- a block --------------------------------------------------------------------------------

    def block(self, layer: int, x: Array, keep: Array | None = None) -> BlockValues:
        """A residual stream goes on: x + attention(norm(x)), then that + feed_forward(norm(that)).

        Args:
            keep: see `attention`.

        """
        attention = self.attention(layer, x, keep)
        between = x + attention.output
        feed_forward = self.feed_forward(layer, between)
        return BlockValues(x, attention, between, feed_forward, between + feed_forward.output)

    def attention(self, layer: int, x: Array, keep: Array | None = None) -> AttentionValues:
        """softmax(Q K^T / sqrt(D)) V for each head (Vaswani et al., 2017, section 3.2).

        Args:
            keep: (H,), what the output of each head is multiplied by; None: 1 for all.

        """
        config, block = self.config, f"blocks.{layer}."
        normed = self.norm(f"{block}attention_norm", x)
        shape = len(x), -1, config.head_dim
        queries = self.linear(f"{block}attention.query", normed).reshape(shape)
        keys = self.linear(f"{block}attention.key", normed).reshape(shape)
        values = self.linear(f"{block}attention.value", normed).reshape(shape)
        if config.qk_norm:
            queries = self.norm(f"{block}attention.query_norm", queries)
            keys = self.norm(f"{block}attention.key_norm", keys)
        if self._rotary:
            cosines, sines = (table[: len(x)] for table in self._rotary)
            queries, keys = rotate(queries, cosines, sines), rotate(keys, cosines, sines)
        scores = self.scores(queries, keys)
        weights = softmax(scores)
        shared = config.num_heads // config.num_kv_heads  # query heads that share keys and values
        heads = np.einsum("hts,shd->thd", weights, values.repeat(shared, axis=1))
        kept = heads if keep is None else heads * keep[:, None]
        output = self.linear(f"{block}attention.output", kept.reshape(len(x), -1))
        return AttentionValues(normed, queries, keys, values, scores, weights, heads, output)

    def scores(self, queries: Array, keys: Array) -> Array:
        """Q K^T / sqrt(D), without later positions, or those before the sliding window."""
        config, length = self.config, len(queries)
        shared = config.num_heads // config.num_kv_heads
        scores = np.einsum("thd,shd->hts", queries, keys.repeat(shared, axis=1))
        scores *= np.float32(1 / math.sqrt(config.head_dim))
        scores[:, ~np.tri(length, dtype=bool)] = -np.inf
        if config.sliding_window:
            scores[:, np.tri(length, k=-config.sliding_window, dtype=bool)] = -np.inf
        return scores  # type: ignore[no-any-return]

    def feed_forward(self, layer: int, x: Array) -> FeedForwardValues:
        """down(silu(gate(x)) * up(x)), or down(gelu(up(x))), or down(relu(up(x)))."""
        name = f"blocks.{layer}.feed_forward"
        normed = self.norm(f"{name}_norm", x)
        up, gate = self.linear(f"{name}.up", normed), None
        if self.config.feed_forward == "swiglu":
            gate = self.linear(f"{name}.gate", normed)
            activated = silu(gate) * up
        else:
            activated = gelu(up) if self.config.feed_forward == "gelu" else np.maximum(up, 0)
        output = self.linear(f"{name}.down", activated)
        return FeedForwardValues(normed, gate, up, activated, output)

    # --- the top: from vectors to logits --------------------------------------------------------

    def final_norm(self, x: Array) -> Array:
        """(T, E) -> (T, E)."""
        return self.norm("final_norm", x)

    def logits(self, x: Array) -> Array:
        """The head, after the last norm: (T, E) -> (T, V). The softmax of a row is what follows."""
        table = "embedding.weight" if self.config.tied_head else "head.weight"
        return self.final_norm(x) @ self.weights[table].T

    # --- parts ----------------------------------------------------------------------------------

    def linear(self, name: str, x: Array) -> Array:
        """Computes x W^T, + b where there is one."""
        y = x @ self.weights[f"{name}.weight"].T
        bias = self.weights.get(f"{name}.bias")
        return y if bias is None else y + bias

    def norm(self, name: str, x: Array) -> Array:
        """RMSNorm: x / sqrt(mean(x^2) + epsilon) * weight; LayerNorm takes the mean out first."""
        if self.config.norm == "layer_norm":
            x = x - x.mean(-1, keepdims=True)
        squares = (x * x).mean(-1, keepdims=True)
        y = x / np.sqrt(squares + np.float32(self.config.norm_epsilon))
        y = y * self.weights[f"{name}.weight"]
        bias = self.weights.get(f"{name}.bias")
        return y if bias is None else y + bias  # type: ignore[no-any-return]


def softmax(scores: Array) -> Array:
    """Computes e^x over the sum of the last axis: numbers become shares."""
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)  # type: ignore[no-any-return]


def silu(x: Array) -> Array:
    """Computes x / (1 + e^-x)."""
    with np.errstate(over="ignore"):  # e^-x may be infinite: x / infinity is 0
        return x / (1 + np.exp(-x))  # type: ignore[no-any-return]


def gelu(x: Array) -> Array:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): Hendrycks & Gimpel, 2016."""
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3)
    return np.float32(0.5) * x * (1 + np.tanh(inner))  # type: ignore[no-any-return]
