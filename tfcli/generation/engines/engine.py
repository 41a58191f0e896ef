"""What an engine is: token ids in, logits of the next token out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    Logits = np.ndarray[Any, np.dtype[Any]]  # floats, shape (rows, V) or (tokens, V)


class Engine(Protocol):
    """Computes logits for several rows of text, each with its own KV cache.

    Rows are numbered from 0, begin empty, and have lengths of their own. What one holds never
    changes the logits of another.

    Attributes:
        context_length: how many tokens a row can hold.
        vocab_size: V.
        weight_bytes: how many bytes of weights one token reads.
        description: which engine this is and what it runs on, for `--stats`.

    """

    context_length: int
    vocab_size: int
    weight_bytes: int
    description: str

    def forward(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """Appends tokens to rows: `tokens[i]`, at least one, to row `rows[i]`.

        With the tokens of a prompt this is the prefill; with the one token that was sampled last
        it is a decoding step.

        Returns:
            The logits after the last token of each row: (rows, V).

        """

    def forward_all(self, rows: Sequence[int], tokens: Sequence[Sequence[int]]) -> Logits:
        """As `forward`, but returns the logits after every token: (tokens of all rows, V)."""

    def reset(self, row: int) -> None:
        """Empties a row."""

    def copy_row(self, source: int, target: int) -> None:
        """Makes a row equal to another."""

    def with_rows(self, rows: int) -> Engine:
        """An engine with the same weights, not copied, and so many rows of its own."""
