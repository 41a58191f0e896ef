"""The weights of a model as the numpy engine needs them, and what each part of a block computes.

Matrices with the same input are fused when the weights are opened: query, key and value into one,
gate and up into another, with the weight of the norm before them folded in:

    W (weight * x / rms(x)) = (W * weight) x / rms(x)

Shapes are those of `tfcli.model.transformer`, with N for the tokens of one forward pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.model.rope import rope_frequencies
from tfcli.model.safetensors_file import to_float32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]

GELU_SCALE = np.float32(math.sqrt(2 / math.pi))
MAX_INT8 = 127


class Norm:
    """RMSNorm or LayerNorm."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, Array], prefix: str) -> None:
        self._epsilon = np.float32(config.norm_epsilon)
        self._layer_norm = config.norm == "layer_norm"
        self.weight = weights[f"{prefix}weight"]
        self.bias = weights.get(f"{prefix}bias")

    def normalize(self, x: Array) -> Array:
        """The norm without weight and bias: (N, E) -> (N, E)."""
        if self._layer_norm:
            x = x - x.mean(-1, keepdims=True)
        squares = np.einsum("ne,ne->n", x, x) / np.float32(x.shape[1])
        return x / np.sqrt(squares + self._epsilon)[:, None]  # type: ignore[no-any-return]

    def __call__(self, x: Array) -> Array:  # (N, E) -> (N, E)
        x = self.normalize(x) * self.weight
        return x if self.bias is None else x + self.bias


class Linear:
    """y = x W^T + b; W in float32, or in int8 with a scale for each row.

    Attributes:
        weight: (out, in).
        scales: (out,), factors of the int8 rows, or None.
        bias: (out,) or None.

    """

    def __init__(self, weight: Array, bias: Array | None = None, *, int8: bool = False) -> None:
        self.bias = bias
        self.scales: Array | None = None
        self.weight: np.ndarray[Any, Any] = weight
        if int8:
            self.weight, self.scales = quantize(weight)

    def __call__(self, x: Array) -> Array:  # (N, in) -> (N, out)
        y = x @ (self.weight if self.scales is None else self.weight.astype(np.float32)).T
        if self.scales is not None:
            y *= self.scales
        if self.bias is not None:
            y += self.bias
        return y

    @property
    def nbytes(self) -> int:
        """The bytes that one token reads."""
        return self.weight.nbytes + (0 if self.scales is None else self.scales.nbytes)


def quantize(matrix: Array) -> tuple[np.ndarray[Any, np.dtype[np.int8]], Array]:
    """The nearest integers from -127 to 127, and the scale of each row.

    Dettmers et al., "LLM.int8()", 2022, section 2.1: absmax quantization of each row.
    """
    scales = np.abs(matrix).max(1) / np.float32(MAX_INT8)
    scales[scales < np.finfo(np.float32).tiny] = 1  # a row of zeros, or nearly
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales


class Block:
    """One block of the model.

    Attributes:
        qkv: queries, keys and values, behind the norm: E -> (H + 2 K) D.
        out_proj: H D -> E.
        up: gate and up, or up alone, behind the norm: E -> 2 F or F.
        down: F -> E.
        qk_scale: (H + K, D), the weights of the QK-norm, times 1 / sqrt(D) for the queries.

    """

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, Array], prefix: str, *, int8: bool
    ) -> None:
        self._config = config
        own = {
            name.removeprefix(prefix): weight
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
        self._attention_norm = Norm(config, own, "attention_norm.")
        self._feed_forward_norm = Norm(config, own, "feed_forward_norm.")
        qkv = [f"attention.{name}" for name in ("query", "key", "value")]
        self.qkv = _fused_linear(self._attention_norm, own, qkv, int8=int8)
        self.out_proj = _linear(own, "attention.output", int8=int8)
        gated = config.feed_forward == "swiglu"
        up = ["feed_forward.gate"] * gated + ["feed_forward.up"]
        self.up = _fused_linear(self._feed_forward_norm, own, up, int8=int8)
        self.down = _linear(own, "feed_forward.down", int8=int8)
        heads = config.num_heads
        self.qk_scale = np.ones((heads + config.num_kv_heads, config.head_dim), np.float32)
        if config.qk_norm:
            self.qk_scale[:heads] = own["attention.query_norm.weight"]
            self.qk_scale[heads:] = own["attention.key_norm.weight"]
        self.qk_scale[:heads] *= np.float32(1 / math.sqrt(config.head_dim))

    @property
    def nbytes(self) -> int:
        """The bytes of its matrices that one token reads."""
        return sum(linear.nbytes for linear in (self.qkv, self.out_proj, self.up, self.down))

    def project_qkv(self, x: Array) -> tuple[Array, Array]:
        """The queries, keys and values of the block's input, (N, E).

        Returns:
            queries, scaled by 1 / sqrt(D), then keys: (N, H + K, D); values: (N, K, D).

        """
        heads, head_dim = self.qk_scale.shape
        qkv = self.qkv(self._attention_norm.normalize(x))
        qkv = qkv.reshape(len(x), -1, head_dim)  # (N, H + 2 K, D)
        queries_keys, values = qkv[:, :heads], qkv[:, heads:]
        if self._config.qk_norm:
            squares = np.einsum("nhd,nhd->nh", queries_keys, queries_keys)
            squares *= np.float32(1 / head_dim)
            squares += np.float32(self._config.norm_epsilon)
            queries_keys = queries_keys / np.sqrt(squares)[:, :, None]
        return queries_keys * self.qk_scale, values

    def feed_forward(self, x: Array) -> Array:
        """What the second half of the block adds to the residual stream: (N, E) -> (N, E)."""
        return self.down(self.activate(self.up(self._feed_forward_norm.normalize(x))))

    def activate(self, up: Array) -> Array:
        """(N, 2 F) or (N, F) -> (N, F)."""
        if self._config.feed_forward == "swiglu":
            gate, up = np.split(up, 2, axis=1)
            with np.errstate(over="ignore"):  # exp(-x) may be infinite: x / infinity is 0
                return gate / (1 + np.exp(-gate)) * up  # type: ignore[no-any-return]
        if self._config.feed_forward == "gelu":
            inner = np.tanh(GELU_SCALE * (up + np.float32(0.044715) * up**3))
            return np.float32(0.5) * up * (1 + inner)  # type: ignore[no-any-return]
        return np.maximum(up, 0)


def _linear(own: Mapping[str, Array], name: str, *, int8: bool) -> Linear:
    return Linear(own[f"{name}.weight"], own.get(f"{name}.bias"), int8=int8)


def _fused_linear(
    norm: Norm, own: Mapping[str, Array], names: Sequence[str], *, int8: bool
) -> Linear:
    """Several matrices as one, with the weight and bias of the norm before them folded in."""
    weight = np.concatenate([own[f"{name}.weight"] for name in names])
    biases = [own[f"{name}.bias"] for name in names if f"{name}.bias" in own]
    bias = np.concatenate(biases) if biases else None
    if norm.bias is not None:
        bias = weight @ norm.bias + (0 if bias is None else bias)
    weight *= norm.weight
    return Linear(weight, bias, int8=int8)


# --- positions ----------------------------------------------------------------------------------


def rotate(x: Array, cosines: Array, sines: Array) -> Array:
    """Rotates each pair (i, i + D/2) of x, (N, heads, D), by the angles of its position, (N, D)."""
    N, heads, D = x.shape
    swapped = x.reshape(N, heads, 2, D // 2)[:, :, ::-1].reshape(N, heads, D)
    return x * cosines[:, None] + swapped * sines[:, None]


def rotary_tables(config: ModelConfig) -> tuple[Array, Array]:
    """Cosines and sines (S, D), the first half of the sines negated; see `model.positions`."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = rope_frequencies(config, exponents)
    angles = np.outer(np.arange(config.context_length, dtype=np.float32), frequencies)
    cosines, sines = np.cos(angles), np.sin(angles)
    return np.concatenate((cosines, cosines), 1), np.concatenate((-sines, sines), 1)


def position_table(config: ModelConfig, weights: Mapping[str, Array]) -> Array | None:
    """The vectors added to the embeddings, (S, E), if the family has them."""
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


# --- the model ----------------------------------------------------------------------------------


class ModelWeights:
    """All weights of a model, ready for the forward passes of numpy and `decoder.c`.

    Args:
        weights: by the names of `model.parameters`; those that need no change are used in place.
        int8: whether the matrices are quantized to eight bits.

    Attributes:
        embedding: (V, E).
        position_table: (context, E), or None with rotary positions.
        rotary: cosines and sines, (context, D), or None.
        blocks, final_norm, head: what they are in the Transformer.

    """

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, Array], *, int8: bool = False
    ) -> None:
        self.config = config
        weights = {name: to_float32(weight) for name, weight in weights.items()}
        self.embedding = weights["embedding.weight"]
        self.position_table = position_table(config, weights)
        self.rotary = rotary_tables(config) if config.positions == "rotary" else None
        self.blocks = [
            Block(config, weights, f"blocks.{number}.", int8=int8)
            for number in range(config.num_layers)
        ]
        self.final_norm = Norm(config, weights, "final_norm.")
        head = self.embedding if config.tied_head else weights["head.weight"]
        self.head = Linear(head, int8=int8)

    @property
    def nbytes(self) -> int:
        """The bytes that one token reads."""
        return self.head.nbytes + sum(block.nbytes for block in self.blocks)
