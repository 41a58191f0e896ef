"""Which positions may attend to which, where that is not simply all before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def attention_mask(
    length: int,
    *,
    causal: bool,
    window: int | None,
    segments: Tensor | None,
    device: torch.device,
) -> Tensor | None:
    """The mask of a forward pass without a cache, True where the query may attend to the key.

    Args:
        length: T.
        causal: whether a position attends only to itself and to those before it.
        window: how far it looks, its own position included; None: everywhere.
        segments: (B, T), see `segment_mask`.

    Returns:
        (T, T) or (B, 1, T, T); None where the kernel's own causal mask, or none, says it all.

    """
    mask = None
    if window is not None and window < length:
        mask = sliding_window_mask(length, window, causal=causal, device=device)
    if segments is None:
        return mask
    within = segment_mask(segments, causal=causal)
    return within if mask is None else within & mask


def segment_mask(segments: Tensor, *, causal: bool) -> Tensor:
    """Attention within a segment: (B, T) numbers -> (B, 1, T, T).

    The first position of a row, its begin token, is seen by all, as in generation.
    """
    same = segments[:, :, None] == segments[:, None, :]
    same[:, :, 0] = True
    return (same.tril() if causal else same)[:, None]


def sliding_window_mask(length: int, window: int, *, causal: bool, device: torch.device) -> Tensor:
    """(T, T), True where the key is less than `window` positions away."""
    seen = torch.ones(length, length, dtype=torch.bool, device=device).triu(1 - window)
    return seen.tril() if causal else seen.tril(window - 1)
