"""What the text so far does to the logits of the next token: pure functions, one row each.

All take logits of shape (V,) and return new ones. `tokens` is the prompt and what was written,
`written` what was written alone; neither holds `<s>`. Applied in the order of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Logits = np.ndarray[Any, np.dtype[Any]]  # (V,)

LARGEST_BIAS = 1e18  # float32 holds its sum with any logit
DRY_BASE = 1.75
DRY_ALLOWED_LENGTH = 2
DRY_LONGEST = 50  # tokens of a repetition that are counted; base^50 is beyond every logit


@dataclass(frozen=True, kw_only=True)
class Penalties:
    """What is held against tokens, for having been there. The defaults change nothing.

    Attributes:
        bias: added to the logits of single tokens; -inf forbids one.
        repetition: divides the logits of all tokens so far, above 1 (multiplies negative ones).
        presence: taken off once from every token that was written.
        frequency: taken off for each time that a token was written.
        no_repeat_ngram: no sequence of so many tokens comes twice; 0: none is looked for.
        dry: multiplier of the penalty for going on with a sequence that was there; 0: none.

    """

    bias: tuple[tuple[int, float], ...] = ()
    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    no_repeat_ngram: int = 0
    dry: float = 0.0

    def __post_init__(self) -> None:
        for name, (option, low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(
                    f"--{option} {getattr(self, name)} is not between {low:g} and {high:g}"
                )
        if any(not (value == -np.inf or abs(value) < LARGEST_BIAS) for _, value in self.bias):
            raise UsageError("--logit-bias takes a number, or -inf to forbid a token")


# the option of each, and between what it makes sense; far from where a float would overflow
RANGES = {
    "repetition": ("repetition-penalty", 1e-3, 1e3),
    "presence": ("presence-penalty", -1e6, 1e6),
    "frequency": ("frequency-penalty", -1e6, 1e6),
    "no_repeat_ngram": ("no-repeat-ngram", 0, 1_000_000),
    "dry": ("dry", 0.0, 1e6),
}
NO_PENALTIES = Penalties()


def penalise(
    logits: Logits,
    penalties: Penalties,
    tokens: Sequence[int],
    written: Sequence[int],
    breakers: frozenset[int],
) -> Logits:
    """All of them, in this order.

    Args:
        breakers: tokens that end a sequence for `dry`.

    """
    if penalties.bias:
        logits = add_bias(logits, dict(penalties.bias))
    if penalties.repetition != 1:
        logits = penalise_repetition(logits, tokens, penalties.repetition)
    if penalties.presence or penalties.frequency:
        logits = penalise_counts(logits, written, penalties.presence, penalties.frequency)
    if penalties.no_repeat_ngram:
        logits = forbid_repeated_ngrams(logits, tokens, penalties.no_repeat_ngram)
    if penalties.dry:
        logits = penalise_sequences(logits, tokens, penalties.dry, breakers)
    return logits


def add_bias(logits: Logits, bias: Mapping[int, float]) -> Logits:
    """Adds a number to the logits of single tokens."""
    changed = logits.copy()
    changed[list(bias)] += np.fromiter(bias.values(), logits.dtype)
    return changed


def penalise_repetition(logits: Logits, tokens: Sequence[int], penalty: float) -> Logits:
    """Divides the logits of tokens that were there by the penalty; negative ones are multiplied.

    Keskar et al., "CTRL", 2019, section 4.1; the negative ones as in transformers.
    """
    changed = logits.copy()
    there = np.unique(np.asarray(tokens, np.int64))
    values = changed[there]
    changed[there] = np.where(values < 0, values * float(penalty), values / float(penalty))
    return changed


def penalise_counts(
    logits: Logits, written: Sequence[int], presence: float, frequency: float
) -> Logits:
    """logits[t] - count[t] * frequency - (count[t] > 0) * presence.

    OpenAI's API reference, "Frequency and presence penalties".
    """
    counts = np.bincount(np.asarray(written, np.int64), minlength=len(logits))
    taken_off = counts * float(frequency) + (counts > 0) * float(presence)
    return logits - taken_off.astype(logits.dtype)  # type: ignore[no-any-return]


def forbid_repeated_ngrams(logits: Logits, tokens: Sequence[int], n: int) -> Logits:
    """Takes out every token that would end a sequence of n tokens that was there.

    Paulus et al., "A Deep Reinforced Model for Abstractive Summarization", 2017, section 2.5.
    """
    changed = logits.copy()
    if len(tokens) >= n:
        text = np.asarray(tokens, np.int64)
        last = text[len(text) - n + 1 :]
        before = np.lib.stride_tricks.sliding_window_view(text, n)
        changed[before[(before[:, :-1] == last).all(-1), -1]] = -np.inf
    return changed


def penalise_sequences(
    logits: Logits, tokens: Sequence[int], multiplier: float, breakers: frozenset[int]
) -> Logits:
    """DRY, "don't repeat yourself": the longer what a token would repeat, the more it costs.

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
        length < min(end + 1, DRY_LONGEST)
        and tokens[end - length] == tokens[last - length]
        and tokens[end - length] not in breakers
    ):
        length += 1
    return length
