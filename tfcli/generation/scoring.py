"""How likely a model finds a text: the log-probability of each of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcli.generation.sampling import log_softmax
from tfcli.text.tokenizer import BEGIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tfcli.generation.engines.engine import Engine

    Logprobs = np.ndarray[Any, np.dtype[np.float64]]  # (tokens,)

LOGITS_AT_ONCE = 1 << 24  # numbers: 64 MB; with it everything else that is in memory is bounded


@dataclass(frozen=True)
class Window:
    """A part of a text that is read at once: `<s>`, some tokens to be seen, some to be scored.

    Attributes:
        text: which text it is of.
        begin, scored, end: tokens [begin, end) are in view; those from `scored` on are scored.

    """

    text: int
    begin: int
    scored: int
    end: int


def windows(lengths: Iterable[int], *, context: int, stride: int) -> Iterator[Window]:
    """The windows over texts of so many tokens, in order; each token is scored exactly once.

    A window of at most `context` tokens moves by `stride`, and its last `stride` are scored: each
    token is predicted from at least the `context - stride` before it, or from all there are.
    """
    for text, length in enumerate(lengths):
        for start in range(0, length, stride):
            end = min(start + stride, length)
            yield Window(text, max(0, start + stride - context), start, end)


def score(
    engine: Engine, texts: Sequence[Sequence[int]], *, rows: int, stride: int
) -> Iterator[Logprobs]:
    """The log-probability of every token of each text, in the order of the texts.

    Args:
        texts: token ids, without `<s>`; each begins anew.
        rows: that the engine has room for.
        stride: by how much the window moves in a text that is longer than the context.

    Yields:
        (tokens,) in nats, float64.

    """
    context = engine.context_length
    parts: list[list[Logprobs]] = [[] for _ in texts]
    done = 0
    lengths = [len(text) for text in texts]
    every = windows(lengths, context=context, stride=stride)
    for group in _groups(every, rows, LOGITS_AT_ONCE // engine.vocab_size):
        inputs = [[BEGIN, *texts[w.text][w.begin : w.end - 1]] for w in group]
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


def _joined(parts: list[list[Logprobs]], text: int) -> Logprobs:
    joined = np.concatenate([np.empty(0), *parts[text]])
    parts[text] = []
    return joined


def _groups(every: Iterable[Window], rows: int, tokens: int) -> Iterator[list[Window]]:
    """Windows that are read together: at most so many, of at most so many tokens, one at least."""
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
