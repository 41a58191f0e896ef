"""Measuring a model on text that it was not trained on, in nats per byte."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tfcli.runs.step import HeldOut
from tfcli.runtime.distributed import SINGLE_PROCESS, ProcessGroup, reshard
from tfcli.runtime.memory import is_out_of_memory
from tfcli.training.batches import IGNORE_INDEX
from tfcli.training.examples import document_rows, sliding_windows
from tfcli.training.objectives import NextToken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from tfcli.model.config import ModelConfig
    from tfcli.model.transformer import Transformer
    from tfcli.text.token_cache import Tokens
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.batches import Batch
    from tfcli.training.objectives import Objective

# What a forward pass holds in memory at once, whatever the text.
MAX_ROWS = 32
TOKENS_AT_ONCE = 1 << 13
LOGITS_AT_ONCE = 1 << 24  # numbers: 64 MiB in float32


def evaluation_rows(config: ModelConfig) -> int:
    """Rows of a whole context that are evaluated together."""
    context = config.context_length
    logits = context * config.vocab_size
    return max(1, min(MAX_ROWS, TOKENS_AT_ONCE // context, LOGITS_AT_ONCE // logits))


@torch.no_grad()
def evaluate(
    model: Transformer,
    batches: Iterable[Batch],
    tokenizer: Tokenizer,
    *,
    stride: int,
    whole: bool,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> HeldOut | None:
    """The cross-entropy of a text, per byte: the one measure that no vocabulary can flatter.

    The end of a document is predicted too and counts as loss, though it has no bytes. Products are
    in the number format of the weights.

    Args:
        batches: the text, as an objective has made them.
        stride: by how much the windows of the batches move, for the record.
        whole: whether the batches hold all of the text there is, for the record.
        processes: who share the batches, unless each holds only a part of the model.

    Returns:
        The measurement, or None for a text without a byte.

    """
    lengths = torch.tensor([len(spelled) for spelled in tokenizer.token_bytes])
    was_training = model.training
    model.eval()
    nats = total_bytes = count = 0.0
    share = SINGLE_PROCESS if processes.sharded else processes
    for batch in itertools.islice(batches, share.rank, None, share.world_size):
        nats += _nats_of_shards(model, batch) if processes.sharded else _nats(model, batch)
        real = torch.from_numpy(batch.targets[batch.targets != IGNORE_INDEX])
        count += len(real)
        total_bytes += int(lengths[real].sum())
    reshard(model)
    model.train(was_training)
    nats, total_bytes, count = share.all_reduce(nats, total_bytes, count)
    if total_bytes == 0:
        return None
    return HeldOut(
        nats_per_byte=nats / total_bytes,
        bytes=int(total_bytes),
        tokens=int(count),
        context=model.config.context_length,
        stride=stride,
        whole=whole,
    )


def _nats(model: Transformer, batch: Batch) -> float:
    """The summed cross-entropy of a batch, in halves where the memory is too small for it."""
    try:
        return _nats_at_once(model, batch)
    except RuntimeError as error:
        rows = len(batch.inputs)
        if rows == 1 or not is_out_of_memory(error):
            raise
    halves = (batch.rows(range(rows // 2)), batch.rows(range(rows // 2, rows)))
    return sum(_nats(model, half) for half in halves)


def _nats_of_shards(model: Transformer, batch: Batch) -> float:
    """The same where each process holds a part of the model: through `forward`, which gathers it.

    All processes make as many passes, so that no batch can be split by one of them alone.
    """
    return float(model.loss(**batch.to(next(model.parameters()).device)))


def _nats_at_once(model: Transformer, batch: Batch) -> float:
    """The logits are made in slices: of a long row they would take more than all the rest."""
    arguments = batch.to(next(model.parameters()).device)
    targets: Tensor = arguments.pop("targets").flatten()
    hidden = model.hidden_states(**arguments).flatten(0, 1)
    size = max(1, LOGITS_AT_ONCE // model.config.vocab_size)
    nats = 0.0
    for some, wanted in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
        logits = model.logits(some).float()
        nats += F.cross_entropy(logits, wanted, ignore_index=IGNORE_INDEX, reduction="sum").item()
    return nats


def evaluate_tokens(
    model: Transformer,
    tokens: Tokens,
    tokenizer: Tokenizer,
    *,
    objective: Objective | None = None,
    limit: int | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> HeldOut | None:
    """Measures on a text through a window of the model's context that moves by half of it.

    So every token is predicted from at least half a context of text, as in generation, where the
    model never starts from nothing in the middle of a text; and never from more than it has.

    Args:
        tokens: shape (tokens,).
        objective: what the model was trained to do; None: predict the next token.
        limit: about how many tokens to take at most, spread evenly over the text.

    """
    context = model.config.context_length
    whole = limit is None or len(tokens) <= limit
    stride = max(1, context // 2)
    objective = objective or NextToken(tokenizer.special)
    windows = sliding_windows(
        tokens,
        context=context,
        stride=stride,
        rows=evaluation_rows(model.config),
        special=tokenizer.special,
        limit=None if whole else limit,
    )
    batches = map(objective.evaluation_batch, windows)
    return evaluate(model, batches, tokenizer, stride=stride, whole=whole, processes=processes)


def evaluate_documents(model: Transformer, tokens: Tokens, tokenizer: Tokenizer) -> HeldOut | None:
    """Measures on documents one by one, each read from its beginning; for short documents."""
    context, special = model.config.context_length, tokenizer.special
    rows = document_rows(
        tokens, context=context, rows=evaluation_rows(model.config), special=special
    )
    batches = map(NextToken(special).evaluation_batch, rows)
    return evaluate(model, batches, tokenizer, stride=context - 1, whole=True)
