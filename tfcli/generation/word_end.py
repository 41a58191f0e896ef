"""A prompt that its writer has ended, with Enter or the newline of `echo`, ends a word.

A model trained on `sol` and `soldado` may go on from either. But whoever enters `El sol` has
written the word to its end, so the next token does not begin with a letter. Where hardly anything
else can come next, it may: `ACGT` goes on with `ACGT` in a text without words.

docs/lab-notes.md has how often words grew without.
"""

from __future__ import annotations

import unicodedata
from functools import cached_property
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tfcli.generation.engines.engine import Logits
    from tfcli.text.tokenizer import Tokenizer

LEAST = log(1e-3)  # of all tokens that end a word, together: below, the word may grow
UNSPACED = ("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")  # scripts with no space between words


def ends_in_word(text: str) -> bool:
    """Whether a text ends within or at the end of a word, in a script that parts words by spaces.

    Korean parts them too, but writes its particles after a noun without one, and counts as
    Chinese and Japanese here.
    """
    last = text[-1:]
    if not _is_of_word(last) or unicodedata.east_asian_width(last) in {"W", "F", "H"}:
        return False
    return not unicodedata.name(last, "").startswith(UNSPACED)


def _is_of_word(character: str) -> bool:
    """Whether it is a letter, a digit or a mark on one."""
    return character.isalnum() or (character != "" and unicodedata.category(character)[0] == "M")


class WordEnd:
    """Masks the tokens that would lengthen the word before them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def apply(self, logits: Logits) -> Logits:
        """The logits (V,) of the token after a whole word; those given are not changed."""
        others = np.logaddexp.reduce(logits[~self._lengthens])
        if others - np.logaddexp.reduce(logits) < LEAST:
            return logits
        return np.where(self._lengthens, -np.inf, logits)

    @cached_property
    def _lengthens(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether each token begins with a character of a word: (V,)."""
        # a character has four bytes at most; one that is cut off is not known to be a letter
        first = (spelled[:4].decode(errors="ignore")[:1] for spelled in self._tokenizer.token_bytes)
        return np.array([_is_of_word(character) for character in first])
