"""Attention masks other than the plain causal one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def attention_mask(
    length: int,
    *,
    causal: bool | Tensor,
    window: int | None,
    segments: Tensor | None,
    device: torch.device,
) -> Tensor | None:
    """The mask of a forward pass without a cache, True where the query may attend to the key.

    Args:
        length: T.
        causal: whether a position attends only to itself and earlier ones; (B,) where some rows do
            and others do not.
        window: how many positions it attends to, its own included; None: all.
        segments: (B, T), see `segment_mask`.

    Returns:
        (T, T) or (B, 1, T, T); None where the kernel's own causal mask, or no mask, is enough.

    """
    if not isinstance(causal, bool):
        both = attention_mask(length, causal=False, window=window, segments=segments, device=device)
        earlier = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        allowed = earlier | ~causal[:, None, None, None]
        return allowed if both is None else allowed & both
    mask = None
    if window is not None and window < length:
        mask = sliding_window_mask(length, window, causal=causal, device=device)
    if segments is None:
        return mask
    segmented = segment_mask(segments, causal=causal)
    return segmented if mask is None else segmented & mask


def segment_mask(segments: Tensor, *, causal: bool) -> Tensor:
    """Attention within a segment: (B, T) segment numbers -> (B, 1, T, T).

    All attend to the first position of a row, its BOS token, as in generation.
    """
    same = segments[:, :, None] == segments[:, None, :]
    same[:, :, 0] = True
    return (same.tril() if causal else same)[:, None]


def sliding_window_mask(length: int, window: int, *, causal: bool, device: torch.device) -> Tensor:
    """(T, T), True where the key is less than `window` positions away."""
    near = torch.ones(length, length, dtype=torch.bool, device=device).triu(1 - window)
    return near.tril() if causal else near.tril(window - 1)
