"""Which tokens of a row are masked: how many, then which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import UsageError

if TYPE_CHECKING:
    Flags = np.ndarray[tuple[int, int], np.dtype[np.bool_]]
    Counts = np.ndarray[Any, np.dtype[np.int64]]  # (B,)
    RowWeights = np.ndarray[Any, np.dtype[np.float32]]  # (B,)


def counts_to_mask(maskable: Flags, random: np.random.Generator) -> Counts:
    """How many tokens of each row to mask: uniform from 1 to all that can be, (B,).

    The B rows share one random number, and lie evenly between none and all (Kingma et al.,
    "Variational Diffusion Models", 2021, appendix I.1): less depends on chance in a small batch.

    Args:
        maskable: which tokens can be masked, (B, T).

    """
    rows = len(maskable)
    times = (random.random() + np.arange(rows) / rows) % 1.0
    return count_at(times, maskable.sum(1))


def count_at(times: Any, tokens: Any) -> Counts:
    """The number k of masked tokens at times t from 0 to 1: each of 1 to n as often."""
    counts: Counts = np.minimum(np.floor(times * tokens).astype(np.int64) + 1, tokens)
    return counts


def mask_tokens(
    maskable: Flags, counts: Counts, random: np.random.Generator
) -> tuple[Flags, RowWeights]:
    """Masks so many tokens of each row, every choice of them being as likely.

    Returns:
        Which are masked, (B, T); and how much each of them counts, n / k, (B,).

    """
    order = np.where(maskable, random.random(maskable.shape), np.inf).argsort(1).argsort(1)
    weights = maskable.sum(1) / np.maximum(counts, 1)
    return order < counts[:, None], weights.astype(np.float32)


def no_mask() -> UsageError:
    """The error for a tokenizer without a token to put in the place of another."""
    return UsageError(
        "--masked needs an <unk> token, which this tokenizer lacks",
        why="a masked token is read as <unk>",
        hint="a tokenizer of tfcli has one: tfcli train FILE --masked 0.5, without --tokenizer",
    )
