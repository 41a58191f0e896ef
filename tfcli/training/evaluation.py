"""Measuring a model on text that it was not trained on, in nats a byte."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tfcli.runs.step import HeldOut
from tfcli.runtime.distributed import SINGLE_PROCESS, ProcessGroup, reshard
from tfcli.training.batches import IGNORE_INDEX, document_batches, evaluation_batches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfcli.model.transformer import Transformer
    from tfcli.text.token_cache import Tokens
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.batches import Batch

ROWS = 32


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

    Each target is predicted from `<s>` and the tokens before it in its row. The end of a document
    is predicted too and counts as loss, though it has no bytes. Products are in float32.

    Args:
        batches: the text; see `tfcli.training.batches`.
        stride: by how much the windows of the batches move, for the record.
        whole: whether the batches hold all of the text there is, for the record.
        processes: who share the batches, unless each holds only a part of the model.

    Returns:
        The measurement, or None for a text without a byte.

    """
    lengths = torch.tensor([len(spelled) for spelled in tokenizer.token_bytes])
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    nats = total_bytes = count = 0.0
    share = SINGLE_PROCESS if processes.sharded else processes
    for batch in itertools.islice(batches, share.rank, None, share.world_size):
        targets = torch.from_numpy(batch.targets)
        logits = model(torch.from_numpy(batch.inputs).to(device)).float()
        nats += F.cross_entropy(
            logits.flatten(0, 1),
            targets.to(device).flatten(),
            ignore_index=IGNORE_INDEX,
            reduction="sum",
        ).item()
        real = targets[targets != IGNORE_INDEX]
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


def evaluate_tokens(
    model: Transformer,
    tokens: Tokens,
    tokenizer: Tokenizer,
    *,
    limit: int | None = None,
    processes: ProcessGroup = SINGLE_PROCESS,
) -> HeldOut | None:
    """Measures on a text through a window of the model's context that moves by half of it.

    So every token is predicted from at least half a context of text, as in writing, where the
    model never starts from nothing in the middle of a text; and never from more than it has.

    Args:
        tokens: shape (tokens,).
        limit: about how many tokens to take at most, spread evenly over the text.

    """
    context = model.config.context_length
    whole = limit is None or len(tokens) <= limit
    stride = max(1, context // 2)
    rows = evaluation_batches(
        tokens, context=context, stride=stride, rows=ROWS, limit=None if whole else limit
    )
    return evaluate(model, rows, tokenizer, stride=stride, whole=whole, processes=processes)


def evaluate_documents(model: Transformer, tokens: Tokens, tokenizer: Tokenizer) -> HeldOut | None:
    """Measures on documents one by one, each read from its beginning; for short documents."""
    context = model.config.context_length
    rows = document_batches(tokens, context=context, rows=ROWS)
    return evaluate(model, rows, tokenizer, stride=context - 1, whole=True)
