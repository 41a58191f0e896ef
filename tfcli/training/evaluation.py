"""Held-out loss: nats per byte on text that a model was not trained on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tfcli.model.cost import EVAL_BATCH_LOGITS, evaluation_rows, forward_flops_per_token
from tfcli.model.transformer import Transformer
from tfcli.runs.step import MODEL, OPTIMIZER, HeldOutLoss, save_step, stored_arrays
from tfcli.runs.valid_steps import open_step, steps_by_loss
from tfcli.runs.weights import load_weights
from tfcli.runtime.distributed import SINGLE_PROCESS, DistributedContext, reshard
from tfcli.runtime.memory import is_out_of_memory
from tfcli.training.batches import IGNORE_INDEX
from tfcli.training.examples import document_rows, sliding_windows
from tfcli.training.objectives import NextToken
from tfcli.training.pairs import PairTokens, held_out_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from tfcli.model.config import ModelConfig
    from tfcli.runs.run import Run
    from tfcli.text.token_cache import TokenizedCorpus, Tokens
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.batches import Batch
    from tfcli.training.objectives import Objective


# A final evaluation computes no more than so many operations, minutes of a slow machine, or reads a
# token for every seven that were trained on, a tenth of the training's time; whichever is more.
FINAL_OPERATIONS, FINAL_SHARE = 1e13, 1 / 7


def final_evaluation_tokens(config: ModelConfig, rows: int) -> int:
    """How many held-out tokens a final evaluation reads at most, where no time is given.

    Args:
        rows: of a whole context that the model is trained on.

    """
    trained = rows * config.context_length
    return int(max(FINAL_OPERATIONS / forward_flops_per_token(config), FINAL_SHARE * trained))


@torch.no_grad()
def evaluate(
    model: Transformer,
    batches: Iterable[Batch],
    tokenizer: Tokenizer,
    *,
    stride: int,
    whole: bool,
    processes: DistributedContext = SINGLE_PROCESS,
) -> HeldOutLoss | None:
    """The cross-entropy of a text per byte, which is comparable across vocabularies.

    Ends of documents are predicted too and count as loss, though they have no bytes. Computed in
    the dtype of the weights.

    Args:
        batches: the text, from an objective.
        stride: of the windows in the batches, for the record.
        whole: whether the batches hold all of the text, for the record.
        processes: share the batches, unless the model is sharded among them.

    Returns:
        The evaluation, or None for a text without bytes.

    """
    lengths = torch.tensor([len(token) for token in tokenizer.token_bytes])
    was_training = model.training
    model.eval()
    nats = total_bytes = count = 0.0
    share = SINGLE_PROCESS if processes.sharded else processes
    for batch in itertools.islice(batches, share.rank, None, share.world_size):
        nats += _nats_sharded(model, batch) if processes.sharded else _nats(model, batch)
        targets = torch.from_numpy(batch.targets[batch.targets != IGNORE_INDEX])
        count += len(targets)
        total_bytes += int(lengths[targets].sum())
    reshard(model)
    model.train(was_training)
    nats, total_bytes, count = share.all_reduce(nats, total_bytes, count)
    if total_bytes == 0:
        return None
    return HeldOutLoss(
        nats_per_byte=nats / total_bytes,
        bytes=int(total_bytes),
        tokens=int(count),
        context=model.config.context_length,
        stride=stride,
        whole=whole,
    )


def _nats(model: Transformer, batch: Batch) -> float:
    """The summed cross-entropy of a batch, halved when it does not fit in memory."""
    try:
        return _nats_unsplit(model, batch)
    except RuntimeError as error:
        rows = len(batch.inputs)
        if rows == 1 or not is_out_of_memory(error):
            raise
    halves = (batch.rows(range(rows // 2)), batch.rows(range(rows // 2, rows)))
    return sum(_nats(model, half) for half in halves)


def _nats_sharded(model: Transformer, batch: Batch) -> float:
    """The same for a sharded model: through `forward`, which gathers its parameters.

    Every process must make the same number of passes, so none may split a batch on its own.
    """
    return float(model.loss(**batch.loss_arguments(next(model.parameters()).device)))


def _nats_unsplit(model: Transformer, batch: Batch) -> float:
    """Computes logits in slices: for a long row they would take more memory than all the rest."""
    arguments = batch.loss_arguments(next(model.parameters()).device)
    targets: Tensor = arguments.pop("targets").flatten()
    del arguments["weights"]  # of a loss to train on
    hidden = model.hidden_states(**arguments).flatten(0, 1)
    size = max(1, EVAL_BATCH_LOGITS // model.config.vocab_size)
    nats = 0.0
    for states, expected in zip(torch.split(hidden, size), torch.split(targets, size), strict=True):
        logits = model.logits(states).float()
        nats += F.cross_entropy(logits, expected, ignore_index=IGNORE_INDEX, reduction="sum").item()
    return nats


def evaluate_tokens(
    model: Transformer,
    tokens: Tokens,
    tokenizer: Tokenizer,
    *,
    objective: Objective | None = None,
    limit: int | None = None,
    processes: DistributedContext = SINGLE_PROCESS,
) -> HeldOutLoss | None:
    """Evaluates on a text with a sliding window of the model's context; the stride is half of it.

    Every token is thus predicted from at least half a context of text (or all there is before it),
    as in generation, where the model never starts in the middle of a text without context.

    Args:
        tokens: shape (tokens,).
        objective: what the model was trained on; None: the next token.
        limit: approximate maximum number of tokens, evenly spaced over the text.

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


def evaluate_held_out(
    model: Transformer,
    corpus: TokenizedCorpus,
    tokenizer: Tokenizer,
    *,
    objective: Objective,
    limit: int,
    processes: DistributedContext = SINGLE_PROCESS,
) -> HeldOutLoss | None:
    """Evaluates on the held-out part of a corpus: on text, or on the answers of pairs.

    The arguments are those of `evaluate_tokens`.
    """
    if corpus.held_out_targets is None:
        return evaluate_tokens(
            model, corpus.held_out, tokenizer,
            objective=objective, limit=limit, processes=processes,
        )  # fmt: skip
    context, special = model.config.context_length, tokenizer.special
    pairs = PairTokens.of(corpus.held_out, corpus.held_out_targets, special)
    rows = held_out_rows(
        pairs, context=context, rows=evaluation_rows(model.config), special=special, limit=limit
    )
    return evaluate(
        model, map(objective.evaluation_batch, rows), tokenizer,
        stride=context, whole=len(corpus.held_out) <= limit, processes=processes,
    )  # fmt: skip


def evaluate_documents(
    model: Transformer, tokens: Tokens, tokenizer: Tokenizer
) -> HeldOutLoss | None:
    """Evaluates on each document from its beginning; for short documents."""
    context, special = model.config.context_length, tokenizer.special
    rows = document_rows(
        tokens, context=context, rows=evaluation_rows(model.config), special=special
    )
    batches = map(NextToken(special).evaluation_batch, rows)
    return evaluate(model, batches, tokenizer, stride=context - 1, whole=True)


def evaluate_best_step(
    run: Run,
    corpus: TokenizedCorpus,
    tokenizer: Tokenizer,
    *,
    objective: Objective,
    limit: int,
    device: torch.device,
) -> None:
    """Evaluates the step with the lowest loss on the whole text, and records the result there.

    Evaluations during training cover only a part of the text, which should not be a run's final
    result. The step is written again; one that was evaluated so already is left alone.

    Args:
        corpus: whose held-out part is taken.
        limit: about how many tokens to take at most.

    Raises:
        DamagedError: the step was changed since it was written.

    """
    paths = steps_by_loss(run)
    if not paths:
        return
    step = open_step(paths[0])
    measured = step.state.held_out
    if measured is None or measured.whole or step.state.held_out_final:
        return
    model = Transformer(run.model_config)
    load_weights(model, step.path)
    model.to(device)
    held_out = evaluate_held_out(model, corpus, tokenizer, objective=objective, limit=limit)
    weights, optimizer = (stored_arrays(step.path / name) for name in (MODEL, OPTIMIZER))
    save_step(run.path, replace(step.state, held_out_final=held_out), weights, optimizer)
