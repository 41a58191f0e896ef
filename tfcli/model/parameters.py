"""Every parameter of a model, one row each: what a Transformer of each family consists of.

Read from top to bottom, `parameters` walks through the model as a token does:

    embedding                      token id -> vector
    position_embedding             gpt2 only; elsewhere positions are computed, not learned
    N blocks
        attention_norm
        attention                  query, key, value, output; modern: query_norm, key_norm
        feed_forward_norm
        feed_forward               up, down; modern and llama: gate too
    final_norm
    head                           vector -> logits; unless it is the embedding again (tied)

Everything that has to know what a model is made of reads this table: initialization, optimizer
groups, the cost of a config, loading, import and export. Shapes, in the letters of
`model.transformer`, are those in `model.safetensors`: a matrix is (out, in). The rows are in the
order of `Transformer(config).named_parameters()`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from tfcli.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tfcli.model.config import ModelConfig

Shape = tuple[int, ...]

# matrix: of a product inside a block. table: one row per token or position (the head is one too:
# a row per token). vector: biases and the weights of norms.
Role = Literal["matrix", "table", "vector"]


@dataclass(frozen=True)
class Normal:
    """Initial values are drawn from a normal distribution of mean 0."""

    std: float


Init = Literal["zeros", "ones"] | Normal

TABLE_STD = 0.02  # as in GPT-2


@dataclass(frozen=True)
class WeightMapping:
    """Where another format keeps a parameter, and what is done to it on the way there.

    Parameters with the same name there are concatenated along their first dimension, in the order
    of the table: GPT-2 keeps query, key and value in one tensor.

    Attributes:
        name: of the tensor there.
        transposed: stored as (in, out).
        interleaved_heads: the rows of each of so many heads are interleaved, so that the pairs that
            RoPE rotates, (i, i + D/2) here, are neighbors there, (2i, 2i + 1); 0 leaves them.
        keep_float32: stored in float32 even in a file of fewer bits.

    """

    name: str
    transposed: bool = False
    interleaved_heads: int = 0
    keep_float32: bool = False


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model.

    Attributes:
        name: in the model and in `model.safetensors`, as "blocks.0.attention.query.weight".
        shape: (out, in), (rows, E) or (channels,).
        role: which decides how it is optimized and what it costs.
        init: its initial values.
        huggingface: its place in the weights of transformers' model; None where there is none.
        gguf: its place in a GGUF file; None where there is none.

    """

    name: str
    shape: Shape
    role: Role
    init: Init
    huggingface: WeightMapping | None = None
    gguf: WeightMapping | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


# --- the model ----------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def parameters(config: ModelConfig) -> tuple[Parameter, ...]:
    """All parameters of a model; tied ones once."""
    block = [_with_names(row, config, in_block=True) for row in _block(config)]
    return (
        *(_with_names(row, config) for row in _input(config)),
        *(_in_layer(row, str(layer)) for layer in range(config.num_layers) for row in block),
        *(_with_names(row, config) for row in _output(config)),
    )


def _input(config: ModelConfig) -> Iterator[Parameter]:
    yield _table("embedding", config.vocab_size, config)
    if config.positions == "learned":
        yield _table("position_embedding", config.context_length, config)


def _block(config: ModelConfig) -> Iterator[Parameter]:
    """The residual connections pass x on: x = x + attention(x), x = x + feed_forward(x)."""
    E, F, D = config.d_model, config.d_ff, config.head_dim
    queries, keys = config.num_heads * D, config.num_kv_heads * D
    bias = config.linear_bias
    qkv_bias = bias or config.qkv_bias

    yield from _norm("attention_norm", config)
    yield from _linear("attention.query", queries, E, qkv_bias)
    yield from _linear("attention.key", keys, E, qkv_bias)
    yield from _linear("attention.value", keys, E, qkv_bias)
    output_bias = bias or config.output_bias
    yield from _linear("attention.output", E, queries, output_bias, init="zeros")
    if config.qk_norm:
        yield Parameter("attention.query_norm.weight", (D,), "vector", "ones")
        yield Parameter("attention.key_norm.weight", (D,), "vector", "ones")

    yield from _norm("feed_forward_norm", config)
    if config.feed_forward == "swiglu":
        yield from _linear("feed_forward.gate", F, E, bias)
    yield from _linear("feed_forward.up", F, E, bias)
    yield from _linear("feed_forward.down", E, F, bias, init="zeros")


def _output(config: ModelConfig) -> Iterator[Parameter]:
    yield from _norm("final_norm", config)
    if not config.tied_head:
        yield _table("head", config.vocab_size, config)


def _table(module: str, rows: int, config: ModelConfig) -> Parameter:
    return Parameter(f"{module}.weight", (rows, config.d_model), "table", Normal(TABLE_STD))


def _norm(module: str, config: ModelConfig) -> Iterator[Parameter]:
    yield Parameter(f"{module}.weight", (config.d_model,), "vector", "ones")
    if config.norm == "layer_norm":
        yield Parameter(f"{module}.bias", (config.d_model,), "vector", "zeros")


def _linear(
    module: str, outputs: int, inputs: int, bias: bool, init: Init | None = None
) -> Iterator[Parameter]:
    """Rows of y = W x + b, with W drawn from N(0, 1 / inputs), so that y has the variance of x.

    The two that write into the residual stream begin at zero instead, so that at first every block
    passes its input on unchanged (Zhang et al., "Fixup Initialization", 2019).
    """
    init = init or Normal(1 / math.sqrt(inputs))
    yield Parameter(f"{module}.weight", (outputs, inputs), "matrix", init)
    if bias:
        yield Parameter(f"{module}.bias", (outputs,), "vector", "zeros")


# --- names in other formats ---------------------------------------------------------------------

# module: its name in Llama, Mistral and Qwen; in GPT-2; in GGUF. `classic` exists nowhere else.
NAMES: dict[str, tuple[str, str, str]] = {
    "embedding": ("model.embed_tokens", "transformer.wte", "token_embd"),
    "position_embedding": ("", "transformer.wpe", "position_embd"),
    "attention_norm": ("input_layernorm", "ln_1", "attn_norm"),
    "attention.query": ("self_attn.q_proj", "attn.c_attn", "attn_q"),
    "attention.key": ("self_attn.k_proj", "attn.c_attn", "attn_k"),
    "attention.value": ("self_attn.v_proj", "attn.c_attn", "attn_v"),
    "attention.output": ("self_attn.o_proj", "attn.c_proj", "attn_output"),
    "attention.query_norm": ("self_attn.q_norm", "", "attn_q_norm"),
    "attention.key_norm": ("self_attn.k_norm", "", "attn_k_norm"),
    "feed_forward_norm": ("post_attention_layernorm", "ln_2", "ffn_norm"),
    "feed_forward.gate": ("mlp.gate_proj", "", "ffn_gate"),
    "feed_forward.up": ("mlp.up_proj", "mlp.c_fc", "ffn_up"),
    "feed_forward.down": ("mlp.down_proj", "mlp.c_proj", "ffn_down"),
    "final_norm": ("model.norm", "transformer.ln_f", "output_norm"),
    "head": ("lm_head", "", "output"),
}
LAYER = "{layer}"  # its number is put here
BLOCK = (f"model.layers.{LAYER}.", f"transformer.h.{LAYER}.", f"blk.{LAYER}.")
QKV = ("attention.query", "attention.key", "attention.value")


def _with_names(row: Parameter, config: ModelConfig, *, in_block: bool = False) -> Parameter:
    """A row with its names in other formats, and what is done to it on the way there."""
    name = f"blocks.{LAYER}.{row.name}" if in_block else row.name
    prefixes = BLOCK if in_block else ("", "", "")
    if config.family == "classic":
        return replace(row, name=name)
    module, _, kind = row.name.rpartition(".")
    llama, gpt2, gguf = (
        f"{prefix}{part}.{kind}" for prefix, part in zip(prefixes, NAMES[module], strict=True)
    )
    huggingface, heads = WeightMapping(llama), 0
    if config.family == "gpt2":  # its linear layers are Conv1D: (in, out)
        huggingface = WeightMapping(gpt2, transposed=row.role == "matrix")
        if module in QKV:
            gguf = f"{prefixes[2]}attn_qkv.{kind}"
    if config.family == "llama" and not config.is_qwen2:  # GGUF's qwen2 and qwen3 rotate as we do
        heads = {QKV[0]: config.num_heads, QKV[1]: config.num_kv_heads}.get(module, 0)
    keep_float32 = row.role == "vector" or module == "position_embedding"
    stored = WeightMapping(gguf, interleaved_heads=heads, keep_float32=keep_float32)
    return replace(row, name=name, huggingface=huggingface, gguf=stored)


def _in_layer(row: Parameter, layer: str) -> Parameter:
    """A row of a block, in one of the layers."""
    places = [
        None if place is None else replace(place, name=place.name.replace(LAYER, layer))
        for place in (row.huggingface, row.gguf)
    ]
    return Parameter(row.name.replace(LAYER, layer), row.shape, row.role, row.init, *places)


# --- saved weights ------------------------------------------------------------------------------


def check_shapes(config: ModelConfig, found: Mapping[str, Shape], path: Path) -> None:
    """Refuses weights that are not those of a config.

    Args:
        found: the shape of each array by its name.
        path: the file they are in.

    Raises:
        DamagedError: a weight is missing, has another shape, or is one too many.

    """
    expected = {row.name: row.shape for row in parameters(config)}
    wrong = [
        name
        for name in sorted(expected.keys() | found.keys())
        if tuple(expected.get(name, (-1,))) != tuple(found.get(name, (-1,)))
    ]
    if wrong:
        raise DamagedError(
            f"{path} does not match the model in run.json",
            why=f"tensors missing, unexpected or of another shape: {len(wrong)}, as {wrong[0]}",
        )
