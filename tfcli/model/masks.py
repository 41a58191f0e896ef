"""What a position may look at, where that is not simply all before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tfcli.text.tokenizer import END

if TYPE_CHECKING:
    from torch import Tensor


def document_mask(ids: Tensor) -> Tensor:
    """Which position may look at which: itself and those before it in its own document.

    (B, T) ids -> (B, 1, T, T), True where the query (row) sees the key (column).
    """
    document = (ids == END).cumsum(1)
    same = document[:, :, None] == document[:, None, :]
    same[:, :, 0] = True  # all see the `<s>` of the row, as in writing
    return same.tril()[:, None]


def sliding_window_mask(length: int, window: int, device: torch.device) -> Tensor:
    """The mask of a sliding window: (T, T), True where the key is one of the last `window`."""
    seen = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    return seen.triu(1 - window)
