"""The names and shapes of a model's weights, as they lie in `model.safetensors`.

Those of `tfcli.model.transformer`, without building the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tfcli.model.config import ModelConfig

    Shape = tuple[int, ...]


def weight_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Each weight's shape by its name; matrices are (out, in)."""
    width = config.d_model
    shapes: dict[str, Shape] = {"embedding.weight": (config.vocab_size, width)}
    if config.positions == "learned":
        shapes["position_embedding.weight"] = (config.context_length, width)
    for layer in range(config.num_layers):
        block = _block_shapes(config)
        shapes |= {f"blocks.{layer}.{name}": shape for name, shape in block.items()}
    shapes |= _norm("final_norm", config)
    if not config.tied_head:
        shapes["head.weight"] = (config.vocab_size, width)
    return shapes


def _block_shapes(config: ModelConfig) -> dict[str, Shape]:
    width, queries = config.d_model, config.num_heads * config.head_dim
    keys = config.num_kv_heads * config.head_dim
    shapes = _norm("attention_norm", config) | _norm("feed_forward_norm", config)
    matrices = {
        "attention.query": (queries, width),
        "attention.key": (keys, width),
        "attention.value": (keys, width),
        "attention.output": (width, queries),
        "feed_forward.up": (config.d_ff, width),
        "feed_forward.down": (width, config.d_ff),
    }
    if config.feed_forward == "swiglu":
        matrices["feed_forward.gate"] = (config.d_ff, width)
    for name, shape in matrices.items():
        shapes[f"{name}.weight"] = shape
        if config.biases:
            shapes[f"{name}.bias"] = shape[:1]
    if config.qk_norm:
        shapes["attention.query_norm.weight"] = (config.head_dim,)
        shapes["attention.key_norm.weight"] = (config.head_dim,)
    return shapes


def _norm(name: str, config: ModelConfig) -> dict[str, Shape]:
    parts = ("weight", "bias") if config.norm == "layer_norm" else ("weight",)
    return {f"{name}.{part}": (config.d_model,) for part in parts}


def check_shapes(expected: Mapping[str, Shape], found: Mapping[str, Shape], path: Path) -> None:
    """Refuses weights that are not those of a configuration.

    Raises:
        DamagedError: a weight is missing, has another shape, or is one too many.

    """
    wrong = [
        name
        for name in sorted(expected.keys() | found.keys())
        if tuple(expected.get(name, (-1,))) != tuple(found.get(name, (-1,)))
    ]
    if wrong:
        raise DamagedError(
            f"{path} does not hold the weights that run.json describes",
            why=f"{len(wrong)} do not fit, the first is {wrong[0]}",
        )
