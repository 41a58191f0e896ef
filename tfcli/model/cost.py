"""What a model costs, computed from its config alone: parameters, operations, bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tfcli.model.parameters import parameters

if TYPE_CHECKING:
    from tfcli.model.config import ModelConfig
    from tfcli.model.parameters import Parameter

Part = Literal["embedding", "positions", "attention", "feed_forward", "norms", "head"]


def count_parameters(config: ModelConfig) -> int:
    """Number of parameters; tied ones count once."""
    return sum(parameter.size for parameter in parameters(config))


def parameters_by_part(config: ModelConfig) -> dict[Part, int]:
    """Number of parameters of each part of a model, as far as it has them, in the model's order.

    A tied head is the embedding, and counts there.
    """
    sizes: dict[Part, int] = {}
    for parameter in parameters(config):
        part = _part_of(parameter)
        sizes[part] = sizes.get(part, 0) + parameter.size
    order: tuple[Part, ...] = (
        "embedding", "positions", "attention", "feed_forward", "norms", "head",
    )  # fmt: skip
    return {part: sizes[part] for part in order if part in sizes}


def _part_of(parameter: Parameter) -> Part:
    module = parameter.name.rpartition(".")[0]
    if module.endswith("_norm"):  # those of queries and keys too
        return "norms"
    if ".attention." in module:
        return "attention"
    if ".feed_forward." in module:
        return "feed_forward"
    if module == "position_embedding":
        return "positions"
    return "head" if module == "head" else "embedding"


def forward_flops_per_token(config: ModelConfig, attended: float | None = None) -> int:
    """Floating-point operations of the forward pass, per token.

    Two for each element of a matrix, and four for each attended position and channel (scores, then
    values), as in Kaplan et al., "Scaling Laws", 2020, section 2.1. Vectors are left out.

    Args:
        attended: positions that each position attends to, on average; by default half of the
            context, as in a causal model.

    """
    attended = config.context_length / 2 if attended is None else attended
    attention = 4 * config.num_heads * config.head_dim * attended
    head = config.vocab_size * config.d_model  # a product too, even where its table is tied
    return int(2 * (_matrix_elements(config) + head) + config.num_layers * attention)


def training_flops_per_token(config: ModelConfig, attended: float | None = None) -> int:
    """Floating-point operations per token of forward and backward, which takes twice as many."""
    return 3 * forward_flops_per_token(config, attended)


def training_bytes(
    config: ModelConfig, batch_tokens: int, *, shards: int = 1, checkpointing: bool = False,
    teacher: bool = False,
) -> int:  # fmt: skip
    """About how much memory training takes at its peak, in bytes: a step, or an evaluation.

    Args:
        batch_tokens: tokens in a micro-batch.
        teacher: whether there is one, as in self-distillation.

    """
    evaluation = state_bytes(config, shards=shards) + evaluation_bytes(config)
    step = step_bytes(config, batch_tokens, shards=shards, checkpointing=checkpointing)
    return max(step, evaluation) + (teacher_bytes(config, batch_tokens) if teacher else 0)


def state_bytes(config: ModelConfig, *, shards: int = 1) -> int:
    """Weights, gradients and two moments in float32, in bytes.

    Args:
        shards: number of processes that share the weights; each gathers one block at a time.

    """
    weights = 16 * count_parameters(config) // shards
    if shards > 1:
        weights += 8 * _matrix_elements(config) // config.num_layers
    return weights


def step_bytes(
    config: ModelConfig, batch_tokens: int, *, shards: int = 1, checkpointing: bool = False
) -> int:
    """About how much memory a training step takes at its peak, in bytes.

    Beside weights, gradients and moments: per token and block about 16 vectors of d_model and 4 of
    d_ff (2 without a gate) kept for the backward pass, and as many again for the gradients within
    the block that it is in; three times the logits. With checkpointing, two vectors per token and
    block and all of one block; three times the logits of a chunk; and the gradient of the head's
    table, which is added to that of the embedding only at the end.

    Args:
        batch_tokens: tokens in a micro-batch.

    """
    state, block = state_bytes(config, shards=shards), _block_activations(config)
    if not checkpointing or not batch_tokens:
        return state + 4 * batch_tokens * ((config.num_layers + 1) * block + 3 * config.vocab_size)
    kept = batch_tokens * 2 * (config.num_layers + 1) * config.d_model
    logits = 3 * min(batch_tokens, chunk_tokens(config.vocab_size)) * config.vocab_size
    table = config.vocab_size * config.d_model
    return state + 4 * (kept + table + max(logits, 2 * batch_tokens * block, table))


def teacher_bytes(config: ModelConfig, batch_tokens: int) -> int:
    """What self-distillation adds to a step: a teacher's weights, and its targets, in float32.

    Args:
        batch_tokens: tokens in a micro-batch; each has a distribution over the vocabulary.

    """
    return 4 * (count_parameters(config) + batch_tokens * config.vocab_size)


CHUNK_LOGITS, MIN_CHUNK = 1 << 23, 128  # 32 MiB in float32; fewer positions are slow products


def chunk_tokens(vocab_size: int) -> int:
    """Positions whose logits are computed at once where memory is short."""
    return max(MIN_CHUNK, CHUNK_LOGITS // vocab_size)


# What an evaluation computes at once, whatever the text.
EVAL_BATCH_ROWS = 32
EVAL_BATCH_TOKENS = 1 << 13
EVAL_BATCH_LOGITS = 1 << 24  # 64 MiB in float32


def evaluation_rows(config: ModelConfig) -> int:
    """Rows of a whole context that are evaluated at once."""
    context = config.context_length
    logits = context * config.vocab_size
    rows = min(EVAL_BATCH_ROWS, EVAL_BATCH_TOKENS // context, EVAL_BATCH_LOGITS // logits)
    return max(1, rows)


def evaluation_bytes(config: ModelConfig) -> int:
    """About how much memory an evaluation takes besides the weights: a block, some logits."""
    tokens = evaluation_rows(config) * config.context_length
    logits = min(EVAL_BATCH_LOGITS, tokens * config.vocab_size)
    return 4 * (tokens * _block_activations(config) + 3 * logits)


def _block_activations(config: ModelConfig) -> int:
    """Numbers per token that a block computes."""
    return 16 * config.d_model + (4 if config.feed_forward == "swiglu" else 2) * config.d_ff


def _matrix_elements(config: ModelConfig) -> int:
    """Of all blocks together."""
    return sum(row.size for row in parameters(config) if row.role == "matrix")
