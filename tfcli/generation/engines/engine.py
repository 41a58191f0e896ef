"""What an engine is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Logits = np.ndarray[tuple[int], np.dtype[np.float32]]


class Engine(Protocol):
    """Computes the logits of the next token, and remembers the keys and values behind them.

    Attributes:
        context_length: positions that it can hold.

    """

    context_length: int

    def prefill(self, ids: Sequence[int]) -> Logits:
        """Forgets everything, reads `ids`, and returns the logits after the last: (V,) float32."""

    def decode(self, token: int) -> Logits:
        """Reads one more token and returns the logits after it: (V,) float32."""
