"""What an engine is: it reads tokens into rows, and says how likely each next token is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Logits = np.ndarray[Any, np.dtype[Any]]  # floats, shape (rows, V) or (tokens, V)


class Engine(Protocol):
    """Computes logits, and remembers the keys and values behind them, for several rows of text.

    Rows are numbered from 0. Each has its own length; what one holds never changes what another
    is told. A row begins empty.

    Attributes:
        context_length: tokens that a row can hold.
        vocab_size: V.
        weight_bytes: what is read of the weights to compute one token.
        description: which engine this is and what it runs on, for `--stats`.

    """

    context_length: int
    vocab_size: int
    weight_bytes: int
    description: str

    def read(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """Adds tokens to rows: `tokens[i]`, one at least, to row `rows[i]`.

        The first reading of a prompt is the prefill, reading what was just drawn is decoding.

        Returns:
            The logits after the last token of each: (rows, V).

        """

    def read_all(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """As `read`, but returns the logits after every token: (tokens of all rows, V)."""

    def forget(self, row: int) -> None:
        """Empties a row."""

    def copy(self, source: int, target: int) -> None:
        """Makes a row equal to another."""
