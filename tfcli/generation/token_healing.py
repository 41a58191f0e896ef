"""Token healing: the last token of a prompt is chosen anew, together with what follows it.

A prompt is cut into tokens as if its text ended there. But in the texts that a model has learned
from, a space was the beginning of the next word's token and hardly ever a token of its own: after
`The cat `, the model finds no word likely. So the last token is taken back, and the next one has
to begin with its bytes: ` sat`, or the space alone. Lundberg, "The Art of Prompt Design: Prompt
Boundaries and Token Healing", 2023.

docs/lab-notes.md has what it gains and costs, by where a prompt ends.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from math import log
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfcli.generation.engines.engine import Logits
    from tfcli.text.tokenizer import Tokenizer

# A person's prompt mostly ends with a word, which shall not grow: `a` into `another`. A text, from
# which the model has its probabilities, could be cut anywhere.
WHOLE_WORD = log(10)


class TokenHealing:
    """Which tokens can stand in for the last one of a prompt."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def take_back(self, ids: list[int]) -> tuple[list[int], bytes]:
        """The ids of a prompt without the last, and the bytes of that.

        All ids and no bytes, where no other token begins with these bytes.
        """
        if not ids or ids[-1] in self._tokenizer.byte_ids:
            return ids, b""
        overlap = self._tokenizer.token_bytes[ids[-1]]
        if not overlap or len(self._beginning_with(overlap)) == 1:
            return ids, b""
        return ids[:-1], overlap

    def allow(self, logits: Logits, overlap: bytes) -> Logits:
        """Masks what does not begin with the bytes taken back, in logits (V,), not changed."""
        allowed = np.full_like(logits, -np.inf)
        exact, *longer = self._beginning_with(overlap)
        allowed[longer] = logits[longer]
        ends_in_word = overlap.decode(errors="replace")[-1].isalnum()
        allowed[exact] = logits[exact] + (WHOLE_WORD if ends_in_word else 0)
        return allowed

    def _beginning_with(self, overlap: bytes) -> list[int]:
        """The tokens that begin with the bytes of one; that itself first."""
        texts, tokens = self._sorted
        first = end = bisect_left(texts, overlap)
        while end < len(texts) and texts[end].startswith(overlap):
            end += 1
        return tokens[first:end]

    @cached_property
    def _sorted(self) -> tuple[list[bytes], list[int]]:
        """The bytes of every token but those of byte fallback, in order, and the ids."""
        tokenizer = self._tokenizer
        spelled = sorted(
            (text, token)
            for token, text in enumerate(tokenizer.token_bytes)
            if text and token not in tokenizer.byte_ids
        )
        return [text for text, _ in spelled], [token for _, token in spelled]
