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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.text.tokenizer import SpecialTokens

    Logprobs = np.ndarray[Any, np.dtype[np.float64]]  # (tokens,)
    Ids = np.ndarray[Any, np.dtype[np.int64]]

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


@dataclass(frozen=True)
class TokenScores:
    """What is known of each scored token of a text.

    Attributes:
        logprobs: (tokens,) in nats.
        top_ids, top_logprobs: (tokens, n), the likeliest other tokens in its place, in order.

    """

    logprobs: Logprobs
    top_ids: Ids
    top_logprobs: Logprobs


@dataclass(frozen=True)
class Alternatives:
    """Which other tokens are looked for: the `count` likeliest of `ids`."""

    count: int = 0
    ids: Sequence[int] = ()


def windows(
    lengths: Iterable[int], *, context: int, stride: int, prompts: Sequence[int] = ()
) -> Iterator[Window]:
    """The windows over texts of these lengths, in order; each token is scored exactly once.

    A window of at most `context` tokens moves by `stride`, and its last `stride` are scored: each
    token is predicted from at least the `context - stride` before it, or from all there are.

    Args:
        prompts: with how many tokens each text begins that are not scored. After a prompt, as much
            is read as fits into the context.

    """
    for text, length in enumerate(lengths):
        prompt = prompts[text] if prompts else 0
        for start in range(prompt, length, stride):
            end = min(start + stride, length)
            last = end if prompt else start + stride
            yield Window(text, max(0, last - context), start, end)


def score(
    engine: Engine,
    texts: Sequence[Sequence[int]],
    special: SpecialTokens,
    *,
    rows: int,
    stride: int,
    starts: Sequence[Sequence[int]] = (),
) -> Iterator[Logprobs]:
    """The log-probability of every token of each text, in the order of the texts.

    Args:
        texts: token ids without special tokens; they are independent of each other.
        rows: number of rows of the engine.
        stride: by how many tokens the window moves in a text that is longer than the context.
        starts: of each text what it begins behind, which is not scored; see `document_start`.

    Yields:
        (tokens,) in nats, float64.

    Raises:
        DataError: the tokenizer has neither `bos` nor `eos`.

    """
    together = texts
    if starts:
        together = [[*start, *ids] for start, ids in zip(starts, texts, strict=True)]
    for scores in score_tokens(
        engine, together, special, rows=rows, stride=stride, prompts=list(map(len, starts))
    ):
        yield scores.logprobs


def document_start(special: SpecialTokens, *, many_documents: bool) -> list[int]:
    """What a document begins behind: the end of another, where a model has seen several."""
    return [special.eos] if many_documents and special.eos is not None else []


def score_tokens(
    engine: Engine,
    texts: Sequence[Sequence[int]],
    special: SpecialTokens,
    *,
    rows: int,
    stride: int,
    prompts: Sequence[int] = (),
    alternatives: Alternatives = Alternatives(),
    progress: Callable[[Window], None] = lambda _: None,
) -> Iterator[TokenScores]:
    """As `score`, with more to ask for.

    Args:
        prompts: see `windows`.
        progress: is told of every window that has been scored.

    """
    parts: list[list[TokenScores]] = [[] for _ in texts]
    done = 0
    every = windows(map(len, texts), context=engine.context_length, stride=stride, prompts=prompts)
    for group in groups(every, rows, LOGITS_AT_ONCE // engine.vocab_size):
        inputs = [window_inputs(texts[window.text], window, special) for window in group]
        for row in range(len(group)):
            engine.reset(row)
        logits = engine.forward_all(range(len(group)), inputs)
        first = 0
        for window, own in zip(group, inputs, strict=True):
            scored = slice(first + window.scored - window.begin, first + len(own))
            targets = np.asarray(texts[window.text][window.scored : window.end])
            parts[window.text].append(
                _token_scores(log_softmax(logits[scored]), targets, alternatives)
            )
            first += len(own)
            progress(window)
        while done < group[-1].text:
            yield _joined(parts, done)
            done += 1
    for text in range(done, len(texts)):
        yield _joined(parts, text)


def _token_scores(logprobs: Logprobs, targets: Ids, alternatives: Alternatives) -> TokenScores:
    """The scores of targets from the log-probabilities of all tokens, (tokens, V)."""
    own = logprobs[np.arange(len(targets)), targets]
    if not alternatives.count:
        return TokenScores(own, *_no_alternatives(len(targets)))
    ids = np.asarray(alternatives.ids)
    others = np.where(ids == targets[:, None], -np.inf, logprobs[:, ids])  # (tokens, ids)
    count = min(alternatives.count, len(ids) - 1)
    places = np.sort(np.argpartition(-others, count - 1)[:, :count])
    found = np.take_along_axis(others, places, 1)
    order = np.argsort(-found, kind="stable")
    return TokenScores(
        own, np.take_along_axis(ids[places], order, 1), np.take_along_axis(found, order, 1)
    )


def _no_alternatives(tokens: int) -> tuple[Ids, Logprobs]:
    return np.empty((tokens, 0), np.int64), np.empty((tokens, 0))


def window_inputs(text: Sequence[int], window: Window, special: SpecialTokens) -> list[int]:
    """What is read to predict a window's tokens: each of them from what is left of it."""
    before = special.bos
    if before is None:
        before = text[window.begin - 1] if window.begin else special.eos
    if before is None:
        raise DataError("the first token cannot be scored: the tokenizer has neither bos nor eos")
    return [before, *text[window.begin : window.end - 1]]


def _joined(parts: list[list[TokenScores]], text: int) -> TokenScores:
    own, parts[text] = parts[text], []
    if not own:
        return TokenScores(np.empty(0), *_no_alternatives(0))
    return TokenScores(
        np.concatenate([part.logprobs for part in own]),
        np.concatenate([part.top_ids for part in own]),
        np.concatenate([part.top_logprobs for part in own]),
    )


def groups(every: Iterable[Window], rows: int, tokens: int) -> Iterator[list[Window]]:
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
