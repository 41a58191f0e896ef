"""How likely a model finds a text: the log-probability of each of its tokens.

Every token is predicted from the one before it at least. The first of a text follows `bos`; where
the tokenizer has none it follows `eos`, as in training, where one document comes after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.errors import DataError
from tfcli.generation.sampling import log_softmax

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.text.tokenizer import SpecialTokens

    Logprobs = np.ndarray[Any, np.dtype[np.float64]]  # (tokens,)

LOGITS_AT_ONCE = 1 << 24  # numbers: 64 MB; this bounds everything else in memory too


@dataclass(frozen=True)
class Window:
    """A part of a text that is read at once: some tokens of context, then some to be scored.

    Attributes:
        text: index of the text.
        begin, scored, end: tokens [begin, end) are read; those from `scored` on are scored.

    """

    text: int
    begin: int
    scored: int
    end: int


def windows(lengths: Iterable[int], *, context: int, stride: int) -> Iterator[Window]:
    """The windows over texts of these lengths, in order; each token is scored exactly once.

    A window of at most `context` tokens moves by `stride`, and its last `stride` are scored: each
    token is predicted from at least the `context - stride` before it, or from all there are.
    """
    for text, length in enumerate(lengths):
        for start in range(0, length, stride):
            end = min(start + stride, length)
            yield Window(text, max(0, start + stride - context), start, end)


def score(
    engine: Engine,
    texts: Sequence[Sequence[int]],
    special: SpecialTokens,
    *,
    rows: int,
    stride: int,
) -> Iterator[Logprobs]:
    """The log-probability of every token of each text, in the order of the texts.

    Args:
        texts: token ids without special tokens; they are independent of each other.
        rows: number of rows of the engine.
        stride: by how many tokens the window moves in a text that is longer than the context.

    Yields:
        (tokens,) in nats, float64.

    Raises:
        DataError: the tokenizer has neither `bos` nor `eos`.

    """
    context = engine.context_length
    parts: list[list[Logprobs]] = [[] for _ in texts]
    done = 0
    lengths = [len(text) for text in texts]
    every = windows(lengths, context=context, stride=stride)
    for group in _groups(every, rows, LOGITS_AT_ONCE // engine.vocab_size):
        inputs = [_inputs(texts[window.text], window, special) for window in group]
        for row in range(len(group)):
            engine.reset(row)
        logits = engine.forward_all(range(len(group)), inputs)
        first = 0
        for window, own in zip(group, inputs, strict=True):
            scored = slice(first + window.scored - window.begin, first + len(own))
            targets = np.asarray(texts[window.text][window.scored : window.end])
            logprobs = log_softmax(logits[scored])[np.arange(len(targets)), targets]
            parts[window.text].append(logprobs)
            first += len(own)
        while done < group[-1].text:
            yield _joined(parts, done)
            done += 1
    for text in range(done, len(texts)):
        yield _joined(parts, text)


def _inputs(text: Sequence[int], window: Window, special: SpecialTokens) -> list[int]:
    """What is read to predict a window's tokens: each of them from what is left of it."""
    before = special.bos
    if before is None:
        before = text[window.begin - 1] if window.begin else special.eos
    if before is None:
        raise DataError("the first token cannot be scored: the tokenizer has neither bos nor eos")
    return [before, *text[window.begin : window.end - 1]]


def _joined(parts: list[list[Logprobs]], text: int) -> Logprobs:
    joined = np.concatenate([np.empty(0), *parts[text]])
    parts[text] = []
    return joined


def _groups(every: Iterable[Window], rows: int, tokens: int) -> Iterator[list[Window]]:
    """Windows that are read together: at least one, at most `rows` and `tokens` tokens."""
    group: list[Window] = []
    size = 0
    for window in every:
        length = window.end - window.begin
        if group and (len(group) == rows or size + length > tokens):
            yield group
            group, size = [], 0
        group.append(window)
        size += length
    if group:
        yield group
