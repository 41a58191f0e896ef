"""The weights of a model as the numpy engine wants them, and what each part of a block computes.

What can be put together is put together when the weights are opened: query, key and value are one
matrix, gate and up another, each with the norm before it folded in:

    W (weight * x / rms(x)) = (W * weight) x / rms(x)

Shapes are those of `tfcli.model.transformer`, with N for the tokens that are read at once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.model.rope import rope_frequencies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]

GELU_SCALE = np.float32(math.sqrt(2 / math.pi))
LARGEST_INT8 = 127


class Norm:
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


class Linear:
    """y = x W^T + b; W in float32, or in int8 with a scale for each row.

    Attributes:
        matrix: (out, in).
        scales: (out,), what the int8 of a row are multiplied by, or None.
        bias: (out,) or None.

    """

    def __init__(self, matrix: Array, bias: Array | None = None, *, int8: bool = False) -> None:
        self.bias = bias
        self.scales: Array | None = None
        self.matrix: np.ndarray[Any, Any] = matrix
        if int8:
            self.matrix, self.scales = quantize(matrix)

    def __call__(self, x: Array) -> Array:  # (N, in) -> (N, out)
        y = x @ (self.matrix if self.scales is None else self.matrix.astype(np.float32)).T
        if self.scales is not None:
            y *= self.scales
        if self.bias is not None:
            y += self.bias
        return y

    @property
    def nbytes(self) -> int:
        """What is read of it for a token."""
        return self.matrix.nbytes + (0 if self.scales is None else self.scales.nbytes)


def quantize(matrix: Array) -> tuple[np.ndarray[Any, np.dtype[np.int8]], Array]:
    """The nearest whole numbers from -127 to 127, and the scale of each row.

    Dettmers et al., "LLM.int8()", 2022, section 2.1: absmax quantization, row by row.
    """
    scales = np.abs(matrix).max(1) / np.float32(LARGEST_INT8)
    scales[scales < np.finfo(np.float32).tiny] = 1  # nothing but zeros, or as good as that
    return np.rint(matrix / scales[:, None]).astype(np.int8), scales


class Layer:
    """One block.

    Attributes:
        inward: the norm's weight, then queries, keys and values: E -> (H + 2 K) D.
        outward: H D -> E.
        up: the norm's weight, then gate and up, or up: E -> 2 F or F.
        down: F -> E.
        head_scale: (H + K, D), the weights of the QK-norm, and 1 / sqrt(D) for the queries.

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
        into_attention = [f"attention.{name}" for name in ("query", "key", "value")]
        self.inward = _after_norm(self._attention_norm, own, into_attention, int8=int8)
        self.outward = _linear(own, "attention.output", int8=int8)
        gated = config.feed_forward == "swiglu"
        into_feed_forward = ["feed_forward.gate"] * gated + ["feed_forward.up"]
        self.up = _after_norm(self._feed_forward_norm, own, into_feed_forward, int8=int8)
        self.down = _linear(own, "feed_forward.down", int8=int8)
        self.head_scale = np.ones(
            (config.num_heads + config.num_kv_heads, config.head_dim), np.float32
        )
        self._qk_norm = config.qk_norm
        if self._qk_norm:
            self.head_scale[: config.num_heads] = own["attention.query_norm.weight"]
            self.head_scale[config.num_heads :] = own["attention.key_norm.weight"]
        self.head_scale[: config.num_heads] *= np.float32(1 / math.sqrt(config.head_dim))

    @property
    def nbytes(self) -> int:
        """What is read of its matrices for a token."""
        return sum(linear.nbytes for linear in (self.inward, self.outward, self.up, self.down))

    def into_attention(self, x: Array) -> Array:
        """(N, E) -> queries, keys and values, one after the other: (N, (H + 2 K) D)."""
        return self.inward(self._attention_norm.scale(x))

    def queries_keys_values(self, together: Array) -> tuple[Array, Array]:
        """What comes of `into_attention`, by heads.

        Returns:
            queries, scaled by 1 / sqrt(D), and keys: (N, H + K, D); values: (N, K, D).

        """
        heads, _ = self.head_scale.shape
        together = together.reshape(len(together), -1, self._config.head_dim)  # (N, H + 2 K, D)
        turned, values = together[:, :heads], together[:, heads:]
        if self._qk_norm:
            squares = np.einsum("nhd,nhd->nh", turned, turned)
            squares *= np.float32(1 / self._config.head_dim)
            squares += np.float32(self._config.norm_epsilon)
            turned = turned / np.sqrt(squares)[:, :, None]
        return turned * self.head_scale, values

    def feed_forward(self, x: Array) -> Array:
        """What the block's second part adds to the stream: (N, E) -> (N, E)."""
        return self.down(self.activate(self.up(self._feed_forward_norm.scale(x))))

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


def _after_norm(
    norm: Norm, own: Mapping[str, Array], names: Sequence[str], *, int8: bool
) -> Linear:
    """Several matrices as one, with the weight and bias of the norm before them folded in."""
    matrix = np.concatenate([own[f"{name}.weight"] for name in names])
    biases = [own[f"{name}.bias"] for name in names if f"{name}.bias" in own]
    bias = np.concatenate(biases) if biases else None
    if norm.bias is not None:
        bias = matrix @ norm.bias + (0 if bias is None else bias)
    matrix *= norm.weight
    return Linear(matrix, bias, int8=int8)


# --- positions ----------------------------------------------------------------------------------


def rotate(x: Array, cosines: Array, sines: Array) -> Array:
    """Turns each pair (i, i + D/2) of x (N, heads, D) by the angle of its position (N, D)."""
    N, heads, D = x.shape
    swapped = x.reshape(N, heads, 2, D // 2)[:, :, ::-1].reshape(N, heads, D)
    return x * cosines[:, None] + swapped * sines[:, None]


def rotary_tables(config: ModelConfig) -> tuple[Array, Array]:
    """Cosines and sines (S, D), the sines of the first half negative; see `model.positions`."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = rope_frequencies(config, exponents)
    angles = np.outer(np.arange(config.context_length, dtype=np.float32), frequencies)
    cosines, sines = np.cos(angles), np.sin(angles)
    return np.concatenate((cosines, cosines), 1), np.concatenate((-sines, sines), 1)


def position_table(config: ModelConfig, weights: Mapping[str, Array]) -> Array | None:
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
