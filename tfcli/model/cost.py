"""What a configuration costs, by arithmetic alone: parameters, operations, bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig


def count_parameters(config: ModelConfig) -> int:
    """Number of weights, each tied one once."""
    norm_vector = config.d_model * (2 if config.norm == "layer_norm" else 1)
    block = _block_matrices(config) + 2 * norm_vector
    if config.qk_norm:
        block += 2 * config.head_dim  # QK-norm
    if config.biases:
        attention_biases = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        block += attention_biases + config.d_model + config.d_ff + config.d_model
    tables = config.vocab_size * config.d_model * (1 if config.tied_head else 2)
    if config.positions == "learned":
        tables += config.context_length * config.d_model
    return tables + config.num_layers * block + norm_vector


def forward_flops_per_token(config: ModelConfig, length: int | None = None) -> int:
    """Floating-point operations to process one token with `length` positions in view.

    Two for each weight of a matrix product, and four for each attended position and channel
    (scores, then values), as in Kaplan et al., "Scaling Laws", 2020, section 2.1. On average a
    causal model attends to half of its context, which is the default.
    """
    attended = config.context_length / 2 if length is None else length
    attention = 4 * config.num_heads * config.head_dim * attended
    head = config.vocab_size * config.d_model
    matrices = config.num_layers * _block_matrices(config) + head
    return int(2 * matrices + config.num_layers * attention)


def training_flops_per_token(config: ModelConfig) -> int:
    """Forward once, backward twice that: the usual factor of three."""
    return 3 * forward_flops_per_token(config)


def training_bytes(config: ModelConfig, batch_tokens: int, *, shards: int = 1) -> int:
    """About how much memory training takes at its peak, in bytes; see `docs/lab-notes.md`.

    Weights, gradients and two moments in float32; per token and block about 16 vectors of d_model
    and 4 of d_ff (2 without a gate) kept for the backward pass, and as many again for the
    gradients within the block that it is in; three times the logits. With `shards` each process
    holds that part of the weights, and one whole block while it computes with it.
    """
    weights = 16 * count_parameters(config) // shards
    if shards > 1:
        weights += 8 * _block_matrices(config)
    block = 16 * config.d_model + (4 if config.feed_forward == "swiglu" else 2) * config.d_ff
    activations = (config.num_layers + 1) * block + 3 * config.vocab_size
    return weights + 4 * batch_tokens * activations


def _block_matrices(config: ModelConfig) -> int:
    queries = config.d_model * config.num_heads * config.head_dim
    keys_and_values = 2 * config.d_model * config.num_kv_heads * config.head_dim
    output = queries
    feed_forward = config.d_model * config.d_ff * (3 if config.feed_forward == "swiglu" else 2)
    return queries + keys_and_values + output + feed_forward
