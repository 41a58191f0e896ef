"""Five views of what a model makes of a text. None of them says why it does what it does.

    surprise    how unlikely each token was, and what would have been likelier
    lens        what each layer would predict if the head came right after it
    attention   from which positions each head took how much
    prompt      how much less likely a continuation is without each word of its prompt
    heads       how much worse the text is predicted without each head

Attention shows where a head looked, not what came of it. To take a word or a head away shows what
is missed, in a text that the model would not otherwise meet: only runs with token dropout have
been trained on `<unk>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.sampling import log_softmax

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.insight.forward import ForwardValues, Model

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Ids = np.ndarray[Any, np.dtype[np.int64]]

LIKELIEST = 5  # tokens that are named


@dataclass(frozen=True)
class Surprise:
    """How unlikely each token of a text was: all arrays are of the T - 1 tokens after the first.

    Attributes:
        logprobs: (T - 1,), log p of the token, in nats; the surprise is -logprobs.
        ranks: (T - 1,), how many tokens were at least as likely: 1 for the likeliest.
        entropies: (T - 1,), of the distribution, in nats: the surprise that was to be expected.
        best_ids, best_logprobs: (T, LIKELIEST), the likeliest tokens after each token.

    """

    logprobs: Floats
    ranks: Ids
    entropies: Floats
    best_ids: Ids
    best_logprobs: Floats


def surprise(values: ForwardValues, ids: Sequence[int]) -> Surprise:
    """The view of that name.

    Args:
        values: of the forward pass of `ids`, (T,).

    """
    logs = log_softmax(values.logits)  # (T, V)
    following, rows = np.asarray(ids[1:]), np.arange(len(ids) - 1)
    own = logs[rows, following]
    best = _best(logs, LIKELIEST)
    before = logs[:-1]
    return Surprise(
        own,
        (before >= own[:, None]).sum(-1),
        -(np.exp(before) * before).sum(-1),
        best,
        np.take_along_axis(logs, best, 1),
    )


@dataclass(frozen=True)
class Lens:
    """What each layer would predict; layer 0 is the embedding, the last one the model itself.

    Attributes:
        best_ids: (layers + 1, T), the likeliest next token.
        best_logprobs: (layers + 1, T), its log-probability.
        divergences: (layers + 1, T), KL(model || layer) in nats: how far from it the layer is.

    """

    best_ids: Ids
    best_logprobs: Floats
    divergences: Floats


def lens(model: Model, values: ForwardValues) -> Lens:
    """The view of that name: nostalgebraist, "interpreting GPT: the logit lens", 2020."""
    streams = [values.embedded, *(block.after for block in values.blocks)]
    final = log_softmax(values.logits)
    ids, logprobs, divergences = [], [], []
    for stream in streams:
        logs = log_softmax(model.logits(stream))
        best = logs.argmax(-1)
        ids.append(best)
        logprobs.append(logs[np.arange(len(best)), best])
        divergences.append((np.exp(final) * (final - logs)).sum(-1))
    return Lens(np.array(ids), np.array(logprobs), np.array(divergences))


def attention_weights(values: ForwardValues) -> Floats:
    """The view of that name: (layers, H, T, T), what each position takes from which."""
    return np.stack([block.attention.weights for block in values.blocks])


# --- what is missed -----------------------------------------------------------------------------


def continuation_logprob(model: Model, prompt: Sequence[int], continuation: Sequence[int]) -> float:
    """Log p(continuation | prompt), in nats."""
    logits = model.run([*prompt, *continuation[:-1]]).logits[len(prompt) - 1 :]
    return float(log_softmax(logits)[np.arange(len(continuation)), list(continuation)].sum())


def without_words(
    model: Model,
    prompt: Sequence[int],
    words: Sequence[slice],
    continuation: Sequence[int],
    unknown: int | None,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Floats:
    """How much log p(continuation) falls without each word: (words,), in nats.

    Args:
        words: which tokens of the prompt each word is.
        unknown: replaces each token of the word; None: they are left out.
        progress: is told of how many words are done.

    """
    whole = continuation_logprob(model, prompt, continuation)
    falls = np.empty(len(words))
    for number, word in enumerate(words):
        erased = list(prompt)
        erased[word] = [] if unknown is None else [unknown] * len(erased[word])
        falls[number] = whole - continuation_logprob(model, erased, continuation)
        progress(number + 1)
    return falls


def without_heads(
    model: Model,
    values: ForwardValues,
    ids: Sequence[int],
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Floats:
    """How much the loss of a text rises with each head at zero: (layers, H), in nats in all.

    Args:
        values: of the forward pass of `ids`, (T,).
        progress: is told of how many heads are done.

    """
    config = model.config
    whole = _loss(values.logits, ids)
    rises = np.empty((config.num_layers, config.num_heads))
    for layer, head in np.ndindex(*rises.shape):
        keep = np.ones(config.num_heads, np.float32)
        keep[head] = 0
        x = model.block(layer, values.blocks[layer].before, keep).after
        for later in range(layer + 1, config.num_layers):
            x = model.block(later, x).after
        rises[layer, head] = _loss(model.logits(x), ids) - whole
        progress(layer * config.num_heads + head + 1)
    return rises


def _loss(logits: Any, ids: Sequence[int]) -> float:
    """The summed surprise of the tokens after the first, in nats."""
    return -float(log_softmax(logits[:-1])[np.arange(len(ids) - 1), list(ids[1:])].sum())


def words_of(tokens: Sequence[bytes]) -> list[slice]:
    """Which tokens each word of a text is: a word begins where white space ends.

    Args:
        tokens: the bytes of each. White space belongs to the word after it; tokens without bytes
            belong to none.

    """
    words: list[slice] = []
    before = b""  # the last byte
    for number, own in enumerate(tokens):
        if not own:
            continue
        begins = own[:1].isspace() and not before.isspace()
        follows = words and words[-1].stop == number
        if not follows or begins:
            words.append(slice(number, number + 1))
        else:
            words[-1] = slice(words[-1].start, number + 1)
        before = own[-1:]
    return words


def _best(logs: Floats, count: int) -> Ids:
    """The indices of the largest, the largest first: (T, V) -> (T, count)."""
    count = min(count, logs.shape[-1])
    some = np.argpartition(-logs, count - 1)[:, :count]
    order = np.argsort(-np.take_along_axis(logs, some, 1), axis=1, kind="stable")
    best: Ids = np.take_along_axis(some, order, 1)
    return best
