"""What a model costs, computed from its config alone: parameters, operations, bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.model.parameters import parameters

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig


def count_parameters(config: ModelConfig) -> int:
    """Number of parameters; tied ones count once."""
    return sum(parameter.size for parameter in parameters(config))


def forward_flops_per_token(config: ModelConfig, length: int | None = None) -> int:
    """Floating-point operations of the forward pass, per token.

    Two for each element of a matrix, and four for each attended position and channel (scores, then
    values), as in Kaplan et al., "Scaling Laws", 2020, section 2.1. Vectors are left out.

    Args:
        length: number of positions attended to; by default half of the context, the average of a
            causal model.

    """
    attended = config.context_length / 2 if length is None else length
    attention = 4 * config.num_heads * config.head_dim * attended
    head = config.vocab_size * config.d_model  # a product too, even where its table is tied
    return int(2 * (_matrix_elements(config) + head) + config.num_layers * attention)


def training_flops_per_token(config: ModelConfig) -> int:
    """Floating-point operations per token of forward and backward, which takes twice as many."""
    return 3 * forward_flops_per_token(config)


def training_bytes(config: ModelConfig, batch_tokens: int, *, shards: int = 1) -> int:
    """About how much memory training takes at its peak, in bytes; see `docs/lab-notes.md`.

    Weights, gradients and two moments in float32; per token and block about 16 vectors of d_model
    and 4 of d_ff (2 without a gate) kept for the backward pass, and as many again for the
    gradients within the block that it is in; three times the logits.

    Args:
        batch_tokens: tokens in a micro-batch.
        shards: number of processes that share the weights; each gathers one block at a time.

    """
    weights = 16 * count_parameters(config) // shards
    if shards > 1:
        weights += 8 * _matrix_elements(config) // config.num_layers
    block = 16 * config.d_model + (4 if config.feed_forward == "swiglu" else 2) * config.d_ff
    activations = (config.num_layers + 1) * block + 3 * config.vocab_size
    return weights + 4 * batch_tokens * activations


def _matrix_elements(config: ModelConfig) -> int:
    """Of all blocks together."""
    return sum(row.size for row in parameters(config) if row.role == "matrix")
