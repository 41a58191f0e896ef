"""From logits to a token: pure functions, the same for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.text.tokenizer import BEGIN, UNKNOWN

if TYPE_CHECKING:
    from tfcli.generation.engines.engine import Logits

    Probabilities = np.ndarray[tuple[int], np.dtype[np.float64]]

NEVER = [UNKNOWN, BEGIN]  # stand for no text; the model is not asked for them


def forbid_controls(logits: Logits) -> Logits:
    """A copy of the logits (V,) in which `<unk>` and `<s>` cannot be drawn."""
    allowed = logits.copy()
    allowed[NEVER] = -np.inf
    return allowed


def keep_top_k(logits: Logits, k: int) -> Logits:
    """A copy of the logits (V,) in which all below the k-th highest are -inf; ties stay."""
    if k >= len(logits):
        return logits
    threshold = np.partition(logits, -k)[-k]
    return np.where(logits < threshold, np.float32(-np.inf), logits)


def softmax(logits: Logits | Probabilities) -> Probabilities:
    """exp(x) / sum(exp(x)), in float64; the maximum is taken off first, against overflow."""
    exponentials: Probabilities = np.exp(logits.astype(np.float64) - logits.max())
    exponentials /= exponentials.sum()
    return exponentials


def choose_token(
    logits: Logits, *, temperature: float, top_k: int | None, random: np.random.Generator
) -> int:
    """The next token: controls out, then top-k, then temperature, then one draw.

    Args:
        logits: (V,), not changed.
        temperature: 0 takes the likeliest (the first of equals) and draws nothing.
        random: gives one number a token.

    """
    logits = forbid_controls(logits)
    if temperature == 0:
        return int(logits.argmax())
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    with np.errstate(over="ignore"):  # beside a tiny temperature all but the likeliest are -inf
        scaled = (logits - logits.max()).astype(np.float64) / temperature
    cumulative = np.cumsum(softmax(scaled))
    draw = random.random() * cumulative[-1]
    return int(np.searchsorted(cumulative, draw, side="right"))


def row_random(seed: int, row: int = 0) -> np.random.Generator:
    """The random numbers of one row of output: a function of (seed, row) and nothing else."""
    return np.random.Generator(np.random.Philox(key=[seed % 2**64, row]))
