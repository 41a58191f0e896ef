"""What the text so far does to the logits of the next token: pure functions, one row each.

All take logits of shape (V,) and return new ones. `tokens` is the prompt and what was generated,
`generated` what was generated alone; neither holds `<s>`. Applied in the order of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.request import Penalties

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Logits = np.ndarray[Any, np.dtype[Any]]  # (V,)

DRY_BASE = 1.75
DRY_ALLOWED_LENGTH = 2
MAX_DRY_LENGTH = 50  # tokens of a repetition that are counted; base^50 is beyond every logit
NO_PENALTIES = Penalties()


def penalize(
    logits: Logits,
    penalties: Penalties,
    tokens: Sequence[int],
    generated: Sequence[int],
    breakers: frozenset[int],
) -> Logits:
    """All of them, in this order.

    Args:
        breakers: tokens that end a sequence for DRY.

    """
    if penalties.logit_bias:
        logits = add_bias(logits, dict(penalties.logit_bias))
    if penalties.repetition_penalty != 1:
        logits = penalize_repetition(logits, tokens, penalties.repetition_penalty)
    presence, frequency = penalties.presence_penalty, penalties.frequency_penalty
    if presence or frequency:
        logits = penalize_counts(logits, generated, presence, frequency)
    if penalties.no_repeat_ngram_size:
        logits = forbid_repeated_ngrams(logits, tokens, penalties.no_repeat_ngram_size)
    if penalties.dry_multiplier:
        logits = penalize_sequences(logits, tokens, penalties.dry_multiplier, breakers)
    return logits


def add_bias(logits: Logits, bias: Mapping[int, float]) -> Logits:
    """Adds a number to the logits of single tokens."""
    changed = logits.copy()
    changed[list(bias)] += np.fromiter(bias.values(), logits.dtype)
    return changed


def penalize_repetition(logits: Logits, tokens: Sequence[int], penalty: float) -> Logits:
    """Divides the logits of tokens in the context by the penalty; negative ones are multiplied.

    Keskar et al., "CTRL", 2019, section 4.1; the negative ones as in transformers.
    """
    changed = logits.copy()
    present = np.unique(np.asarray(tokens, np.int64))
    values = changed[present]
    changed[present] = np.where(values < 0, values * float(penalty), values / float(penalty))
    return changed


def penalize_counts(
    logits: Logits, generated: Sequence[int], presence: float, frequency: float
) -> Logits:
    """logits[t] - count[t] * frequency - (count[t] > 0) * presence.

    OpenAI's API reference, "Frequency and presence penalties".
    """
    counts = np.bincount(np.asarray(generated, np.int64), minlength=len(logits))
    penalty = counts * float(frequency) + (counts > 0) * float(presence)
    return logits - penalty.astype(logits.dtype)  # type: ignore[no-any-return]


def forbid_repeated_ngrams(logits: Logits, tokens: Sequence[int], n: int) -> Logits:
    """Masks every token that would complete an n-gram that occurred before.

    Paulus et al., "A Deep Reinforced Model for Abstractive Summarization", 2017, section 2.5.
    """
    changed = logits.copy()
    if len(tokens) >= n:
        text = np.asarray(tokens, np.int64)
        last = text[len(text) - n + 1 :]
        before = np.lib.stride_tricks.sliding_window_view(text, n)
        changed[before[(before[:, :-1] == last).all(-1), -1]] = -np.inf
    return changed


def penalize_sequences(
    logits: Logits, tokens: Sequence[int], multiplier: float, breakers: frozenset[int]
) -> Logits:
    """DRY, "don't repeat yourself": the longer the repetition a token extends, the more it costs.

    A token that followed the last n tokens before, n being at least `DRY_ALLOWED_LENGTH`, loses
    multiplier * base^(n - allowed length). No sequence reaches across a breaker. Philipp Emanuel
    Weidmann, pull request 5677 of text-generation-webui, 2024.
    """
    changed = logits.copy()
    lengths: dict[int, int] = {}
    for end in range(len(tokens) - 1):  # the sequence that ends at `end`, and what follows it
        length = _common_suffix(tokens, end, breakers)
        if length >= DRY_ALLOWED_LENGTH:
            follower = tokens[end + 1]
            lengths[follower] = max(length, lengths.get(follower, 0))
    for token, length in lengths.items():
        if token not in breakers:
            changed[token] -= multiplier * DRY_BASE ** (length - DRY_ALLOWED_LENGTH)
    return changed


def _common_suffix(tokens: Sequence[int], end: int, breakers: frozenset[int]) -> int:
    """How many tokens before and at `end` are those before and at the end of all tokens."""
    length = 0
    last = len(tokens) - 1
    while (
        length < min(end + 1, MAX_DRY_LENGTH)
        and tokens[end - length] == tokens[last - length]
        and tokens[end - length] not in breakers
    ):
        length += 1
    return length
