"""Token healing: the last token of a prompt is regenerated along with its continuation.

A prompt is cut into tokens as if its text ended there. But in the texts that a model has learned
from, a space was the beginning of the next word's token and hardly ever a token of its own: after
`The cat `, the model finds no word likely. So the last token is taken back, and the next one has
to begin with its bytes: ` sat`, or the space alone. Lundberg, "The Art of Prompt Design: Prompt
Boundaries and Token Healing", 2023.

A word that has no token may have been cut into several: `The ca` into ` c` and `a`, where `The cat`
has ` cat`. So as many tokens are taken back as some longer token begins with; but they are put in
place again, one by one, unless that token is likelier than all that begins as the prompt does.

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
MOST = 8  # tokens that are taken back


class TokenHealing:
    """Which tokens can stand in for the last ones of a prompt."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def take_back(self, ids: list[int], most: int = MOST) -> tuple[list[int], list[int]]:
        """The ids of a prompt without the last ones, and those: as many as a longer token spells.

        None are taken back where no longer token begins with their bytes.
        """
        count = 0
        for end in range(1, min(len(ids), most) + 1):
            token = ids[-end]
            if token in self._tokenizer.byte_ids or not self._tokenizer.token_bytes[token]:
                break
            overlap = self._spell(ids[-end:])
            if len(overlap) > self._longest:
                break
            longer = self._beginning_with(overlap)
            if any(len(self._tokenizer.token_bytes[other]) > len(overlap) for other in longer):
                count = end
        return ids[: len(ids) - count], ids[len(ids) - count :]

    def allow(self, logits: Logits, taken: list[int]) -> Logits:
        """Masks what cannot stand in for the tokens taken back, in logits (V,), not changed.

        What is left begins with all of their bytes; or it is the first of them.
        """
        overlap = self._spell(taken)
        possible = self._beginning_with(overlap)
        whole_word = WHOLE_WORD if overlap.decode(errors="replace")[-1:].isalnum() else 0.0
        first = taken[0]
        if len(taken) > 1:
            longer = np.logaddexp.reduce(logits[possible])
            possible = [first] if logits[first] + whole_word > longer else possible
            whole_word = 0.0
        allowed = np.full_like(logits, -np.inf)
        allowed[possible] = logits[possible]
        allowed[first] += whole_word
        return allowed

    def _spell(self, tokens: list[int]) -> bytes:
        return b"".join(self._tokenizer.token_bytes[token] for token in tokens)

    def _beginning_with(self, overlap: bytes) -> list[int]:
        """The tokens that begin with some bytes."""
        texts, tokens = self._sorted
        first = end = bisect_left(texts, overlap)
        while end < len(texts) and texts[end].startswith(overlap):
            end += 1
        return tokens[first:end]

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._sorted[0]), default=0)

    @cached_property
    def _sorted(self) -> tuple[list[bytes], list[int]]:
        """The bytes of every token but those of byte fallback, in order, and the ids."""
        texts = self._tokenizer.token_bytes
        without = self._tokenizer.byte_ids | self._tokenizer.special.control
        tokens = [token for token in range(len(texts)) if token not in without and texts[token]]
        tokens.sort(key=texts.__getitem__)  # three times as fast as pairs
        return [texts[token] for token in tokens], tokens
