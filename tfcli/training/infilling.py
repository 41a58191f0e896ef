"""Infilling: some texts are read with their middle last, so that a model learns to fill gaps.

    text                Once upon a time
    cut at two places   Once_ | upon | _a time
    PSM                 PRE Once_ SUF _a time MID upon END
    SPM                 PRE SUF _a time MID Once_ upon END

Bavarian et al., "Efficient Training of Language Models to Fill in the Middle", 2022, sections 3 and
4: cut by character, after a row is chosen, each document of it on its own; PSM and SPM half each.
Different from there:

- PRE, SUF and MID are excluded from the loss. So they cost an ordinary text no probability.
- The end of a middle is not that of a text, which follows where the document ends there.
- Most texts that are chosen are first cut to a length at random. Where all were as long as a
  row, a model would learn to fill every gap with as much as makes a row of it.
- Half of them are cut before words. That is where people leave gaps, and the tokens on both sides
  stay those that the model knows from all other texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.training.examples import document_end, make_examples, row_start

if TYPE_CHECKING:
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.examples import Examples

STREAM = 0x696E66696C6C  # "infill": random numbers of its own beside those of (seed, step)
CONTINUATION = frozenset(bytes([byte]) for byte in range(0x80, 0xC0))  # of UTF-8
SHORTEST = 8  # tokens of a text that is rearranged
WHOLE = 0.2  # share of the texts chosen that are rearranged as a whole
AT_WORDS = 0.5  # share of the texts rearranged that are cut before words


class Infilling:
    """Rearranges rows, so that some texts have their middle last.

    Args:
        tokens: PRE, SUF, MID and END; where END is what ends a document it does both.
        share: of the texts that are rearranged.

    """

    def __init__(self, tokenizer: Tokenizer, tokens: InfillTokens, *, share: float) -> None:
        self.tokens = tokens
        self._tokenizer, self._share = tokenizer, share
        self._end = document_end(tokenizer.special)
        self._pad = row_start(tokenizer.special)

    def rearrange(self, examples: Examples, *, seed: int, step: int) -> Examples:
        """Rows of the same length; what is random in them is a function of (seed, step)."""
        random = np.random.Generator(np.random.Philox(key=[seed ^ STREAM, step]))
        ids, is_target = np.full_like(examples.ids, self._pad), np.zeros_like(examples.is_target)
        for row, (old, counts) in enumerate(zip(examples.ids, examples.is_target, strict=True)):
            first, last = np.flatnonzero(counts)[[0, -1]]
            ids[row, :first] = old[:first]
            new = self._row(old[first : last + 1].tolist(), len(old) - int(first), random)
            place = slice(int(first), int(first) + len(new))
            ids[row, place] = new
            is_target[row, place] = True
        is_target &= ~np.isin(ids, self.tokens.markers)
        return make_examples(ids, is_target, self._tokenizer.special)

    def _row(self, ids: list[int], room: int, random: np.random.Generator) -> list[int]:
        """The texts of a row, of which the last is cut where the row is full."""
        new: list[int] = []
        for text in _texts(ids, self._end):
            while text and len(new) < room:
                chosen = random.random() < self._share
                size = self._size(text, random) if chosen else len(text)
                part, text, left = text[:size], text[size:], room - len(new)
                new += (self._rearranged(part, left, random) if chosen else None) or part[:left]
        return new

    def _size(self, text: list[int], random: np.random.Generator) -> int:
        """How many tokens of a text are rearranged, all or any number; no character is cut."""
        size = len(text)
        if size >= 2 * SHORTEST and random.random() >= WHOLE:
            size = int(SHORTEST * (size / SHORTEST) ** random.random())
        spelled = self._tokenizer.token_bytes
        while size < len(text) and spelled[text[size]][:1] in CONTINUATION:
            size += 1
        return size if size <= len(text) - SHORTEST else len(text)

    def _rearranged(
        self, ids: list[int], room: int, random: np.random.Generator
    ) -> list[int] | None:
        """A text with its middle last, in at most `room` tokens; None: it is left as it is."""
        pre, suf, mid, end = self.tokens
        ends = [end, self._end] if ids[-1:] == [self._end] != [end] else [end]
        room -= len(self.tokens.markers) + len(ends)
        ids = ids[: len(ids) - (ids[-1:] == [self._end])][:room]
        if len(ids) < SHORTEST or not self._tokenizer.special.control.isdisjoint(ids):
            return None
        # a row may begin or end within a character
        text = self._tokenizer.decode_continuation(ids).decode(errors="ignore")
        first, second = _cuts(text, random)
        suffix_first = bool(random.integers(2))
        parts = (text[:first], text[first:second], text[second:])
        prefix, middle, suffix = map(self._tokenizer.encode_continuation, parts)
        # the cuts can make some tokens more: as many are left out at the ends of the text
        excess = max(0, len(prefix) + len(middle) + len(suffix) - room)
        behind = min(excess, len(suffix))
        suffix, prefix = suffix[: len(suffix) - behind], prefix[excess - behind :]
        if len(prefix) + len(middle) + len(suffix) > room:
            return None
        if suffix_first:
            return [pre, suf, *suffix, mid, *prefix, *middle, *ends]
        return [pre, *prefix, suf, *suffix, mid, *middle, *ends]


def _cuts(text: str, random: np.random.Generator) -> list[int]:
    """Two places of a text, in their order: anywhere, or each at the space before a word."""
    places: list[int] = random.integers(len(text) + 1, size=2).tolist()
    if random.random() < AT_WORDS:
        spaces = [text.rfind(" ", 0, place + 1) for place in places]
        places = [
            place if space < 0 else space for place, space in zip(places, spaces, strict=True)
        ]
    return sorted(places)


def _texts(ids: list[int], end: int) -> list[list[int]]:
    """The texts of a row, each with the token that ends it."""
    texts, start = [], 0
    while start < len(ids):
        stop = ids.index(end, start) + 1 if end in ids[start:] else len(ids)
        texts.append(ids[start:stop])
        start = stop
    return texts
