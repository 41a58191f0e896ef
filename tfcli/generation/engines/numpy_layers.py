"""The weights of a model as the numpy engine needs them, and what each part of a block computes.

Matrices stay as they are: where the file is mapped into memory, and in its number format. Vectors
are converted to float32, and the rows of the embeddings when they are looked up.

Shapes are those of `tfcli.model.transformer`, with N for the tokens of one forward pass.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.model.rope import rope_frequencies
from tfcli.model.safetensors_file import is_bfloat16, to_float32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tfcli.model.config import ModelConfig

    Array = np.ndarray[Any, np.dtype[np.float32]]
    AnyArray = np.ndarray[Any, Any]  # in the number format of a file

GELU_SCALE = np.float32(math.sqrt(2 / math.pi))
MAX_INT8 = 127
CONVERTED = 1 << 22  # numbers that are converted at a time, where a whole matrix would take memory
MIN_POSITIONS = 1024  # in the tables of RoPE


class Norm:
    """RMSNorm or LayerNorm.

    Attributes:
        weight, bias: (E,); the bias may be None.

    """

    def __init__(self, config: ModelConfig, weights: Mapping[str, AnyArray], prefix: str) -> None:
        self._epsilon = np.float32(config.norm_epsilon)
        self._layer_norm = config.norm == "layer_norm"
        self.weight = to_float32(weights[f"{prefix}weight"])
        bias = weights.get(f"{prefix}bias")
        self.bias = None if bias is None else to_float32(bias)

    def __call__(self, x: Array) -> Array:  # (N, E) -> (N, E)
        if self._layer_norm:
            x = x - x.mean(-1, keepdims=True)
        squares = np.einsum("ne,ne->n", x, x) / np.float32(x.shape[1])
        x = x / np.sqrt(squares + self._epsilon)[:, None] * self.weight
        return x if self.bias is None else x + self.bias


class Matrix:
    """A matrix in float32, bfloat16 or float16, or in int8 with a scale for each row.

    Attributes:
        weight: (out, in).
        scales: (out,), factors of the int8 rows, or None.

    """

    def __init__(self, weight: AnyArray, *, int8: bool = False) -> None:
        self.scales: Array | None = None
        self.weight = weight
        if int8:
            self.weight, self.scales = quantize(weight)
        elif not (is_bfloat16(weight) or weight.dtype in (np.float16, np.float32)):
            self.weight = to_float32(weight)
        self.weight = np.require(self.weight, requirements=["C", "A"])  # C reads it without strides

    def __matmul__(self, x: Array) -> Array:
        """W x^T, with x (N, in): (out, N)."""
        parts = [to_float32(part) @ x.T for part in converted_parts(self.weight)]
        y = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return y if self.scales is None else y * self.scales[:, None]

    @property
    def nbytes(self) -> int:
        """The bytes that one token reads."""
        return self.weight.nbytes + (0 if self.scales is None else self.scales.nbytes)


class Linear:
    """y = x W^T + b; the rows of W may be those of several matrices, one behind the other.

    Attributes:
        matrices: each (its part of out, in).
        bias: (out,) or None.

    """

    def __init__(
        self, own: Mapping[str, AnyArray], names: Sequence[str], *, int8: bool = False
    ) -> None:
        self.matrices = [Matrix(own[f"{name}.weight"], int8=int8) for name in names]
        biases = [own[f"{name}.bias"] for name in names if f"{name}.bias" in own]
        assert len(biases) in {0, len(names)}, "each has a bias, or none has"
        self.bias = np.concatenate([to_float32(bias) for bias in biases]) if biases else None

    def __call__(self, x: Array) -> Array:  # (N, in) -> (N, out)
        y = np.concatenate([matrix @ x for matrix in self.matrices]).T
        return y if self.bias is None else y + self.bias

    @property
    def nbytes(self) -> int:
        """The bytes of its matrices that one token reads."""
        return sum(matrix.nbytes for matrix in self.matrices)


def converted_parts(matrix: AnyArray) -> list[AnyArray]:
    """A matrix as it is in float32, else in parts that can be converted one after the other."""
    if matrix.dtype == np.float32:
        return [matrix]
    rows = max(1, CONVERTED // max(1, matrix.shape[1]))
    return [matrix[first : first + rows] for first in range(0, max(1, len(matrix)), rows)]


def quantize(matrix: AnyArray) -> tuple[np.ndarray[Any, np.dtype[np.int8]], Array]:
    """The nearest integers from -127 to 127, and the scale of each row.

    Dettmers et al., "LLM.int8()", 2022, section 2.1: absmax quantization of each row.
    """
    rounded, scales = np.empty(matrix.shape, np.int8), np.empty(len(matrix), np.float32)
    rows = max(1, CONVERTED // max(1, matrix.shape[1]))
    for first in range(0, len(matrix), rows):
        part = to_float32(matrix[first : first + rows])
        own = np.maximum(part.max(1), -part.min(1)) / np.float32(MAX_INT8)
        own[own < np.finfo(np.float32).tiny] = 1  # a row of zeros, or nearly
        scales[first : first + rows] = own
        part = part / own[:, None]
        rounded[first : first + rows] = np.rint(part, out=part)
    return rounded, scales


class Block:
    """One block of the model.

    Attributes:
        attention_norm, feed_forward_norm: the norms before qkv and before up.
        qkv: queries, keys and values: E -> (H + 2 K) D.
        out_proj: H D -> E.
        up: gate and up, or up alone: E -> 2 F or F.
        down: F -> E.
        qk_scale: (H + K, D), the weights of the QK-norm, times 1 / sqrt(D) for the queries.

    """

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, AnyArray], prefix: str, *, int8: bool
    ) -> None:
        self._config = config
        own = {
            name.removeprefix(prefix): weight
            for name, weight in weights.items()
            if name.startswith(prefix)
        }
        self.attention_norm = Norm(config, own, "attention_norm.")
        self.feed_forward_norm = Norm(config, own, "feed_forward_norm.")
        qkv = [f"attention.{name}" for name in ("query", "key", "value")]
        self.qkv = Linear(own, qkv, int8=int8)
        self.out_proj = Linear(own, ["attention.output"], int8=int8)
        gated = config.feed_forward == "swiglu"
        up = ["feed_forward.gate"] * gated + ["feed_forward.up"]
        self.up = Linear(own, up, int8=int8)
        self.down = Linear(own, ["feed_forward.down"], int8=int8)
        heads = config.num_heads
        self.qk_scale = np.ones((heads + config.num_kv_heads, config.head_dim), np.float32)
        if config.qk_norm:
            self.qk_scale[:heads] = to_float32(own["attention.query_norm.weight"])
            self.qk_scale[heads:] = to_float32(own["attention.key_norm.weight"])
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
        qkv = self.qkv(self.attention_norm(x))
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
        return self.down(self.activate(self.up(self.feed_forward_norm(x))))

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


# --- positions ----------------------------------------------------------------------------------


def rotate(x: Array, cosines: Array, sines: Array) -> Array:
    """Rotates each pair (i, i + D/2) of x, (N, heads, D), by the angles of its position, (N, D)."""
    N, heads, D = x.shape
    swapped = x.reshape(N, heads, 2, D // 2)[:, :, ::-1].reshape(N, heads, D)
    return x * cosines[:, None] + swapped * sines[:, None]


class RotaryTables:
    """Cosines and sines of RoPE, the first half of the sines negated; see `model.positions`.

    A context may be far longer than the text, so there are more when a longer text needs them.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._tables = rotary_tables(config, 0)

    def up_to(self, length: int) -> tuple[Array, Array]:
        """Those of at least the first `length` positions, each (positions, D)."""
        if length > len(self._tables[0]):
            more = max(length, 2 * len(self._tables[0]), MIN_POSITIONS)
            self._tables = rotary_tables(self._config, min(more, self._config.context_length))
        return self._tables


def rotary_tables(config: ModelConfig, length: int) -> tuple[Array, Array]:
    """Cosines and sines of the first positions, each (length, D)."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32) / np.float32(config.head_dim)
    frequencies = rope_frequencies(config, exponents)
    angles = np.outer(np.arange(length, dtype=np.float32), frequencies)
    cosines, sines = np.cos(angles), np.sin(angles)
    return np.concatenate((cosines, cosines), 1), np.concatenate((-sines, sines), 1)


def position_table(config: ModelConfig, weights: Mapping[str, AnyArray]) -> AnyArray | None:
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
        weights: by the names of `model.parameters`, in float32, bfloat16 or float16; matrices are
            used in place.
        int8: whether the matrices are quantized to eight bits.

    Attributes:
        embedding: (V, E), in its number format.
        position_table: (context, E), in its number format, or None with rotary positions.
        rotary: cosines and sines, or None.
        blocks, final_norm, head: what they are in the Transformer.

    """

    def __init__(
        self, config: ModelConfig, weights: Mapping[str, AnyArray], *, int8: bool = False
    ) -> None:
        self.config = config
        self.embedding = weights["embedding.weight"]
        self.position_table = position_table(config, weights)
        self.rotary = RotaryTables(config) if config.positions == "rotary" else None
        self.blocks = [
            Block(config, weights, f"blocks.{number}.", int8=int8)
            for number in range(config.num_layers)
        ]
        self.final_norm = Norm(config, weights, "final_norm.")
        self.head = Linear(weights, ["embedding" if config.tied_head else "head"], int8=int8)

    @property
    def nbytes(self) -> int:
        """The bytes that one token reads."""
        return self.head.nbytes + sum(block.nbytes for block in self.blocks)

    @property
    def parameters(self) -> int:
        """The multiplications of one token with matrices."""
        linears = [self.head]
        for block in self.blocks:
            linears += [block.qkv, block.out_proj, block.up, block.down]
        return sum(matrix.weight.size for linear in linears for matrix in linear.matrices)
