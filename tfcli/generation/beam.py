"""Beam search: extends several texts side by side and keeps the most likely ones.

Lowerre, "The HARPY Speech Recognition System", 1976; it ends and compares as in transformers: the
score of a text is its log-probability divided by its number of tokens, `eos` included.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfcli.generation.sampling import log_softmax, suppress_control_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.generation.active_sequence import FinishReason
    from tfcli.generation.engines.engine import Engine, Logits
    from tfcli.text.tokenizer import Tokenizer


@dataclass(frozen=True, order=True)
class Hypothesis:
    """A complete text.

    Attributes:
        score: log-probability divided by the number of tokens.
        tokens: without `eos`.
        reason: why it ended: `eos`, `length` or `timeout`.

    """

    score: float
    tokens: tuple[int, ...]
    reason: FinishReason


@dataclass(frozen=True)
class _Beam:
    logprob: float
    tokens: tuple[int, ...]


def beam_search(
    engine: Engine,
    tokenizer: Tokenizer,
    prompt_ids: Sequence[int],
    *,
    beams: int,
    max_new_tokens: int,
    deadline: float | None = None,
    logits_processor: Callable[[Logits, tuple[int, ...]], Logits] = lambda logits, _: logits,
) -> list[Hypothesis]:
    """The best continuations of a prompt, at most `beams` of them, best first.

    A text ends at `eos`, after `max_new_tokens`, when the context is full, or at the deadline.

    Args:
        engine: with a row for each beam.
        prompt_ids: the ids of the prompt, `bos` included.
        deadline: a value of `time.monotonic()` at which the search ends with what it has.
        logits_processor: changes the logits (V,) after the tokens written so far.

    """
    special = tokenizer.special
    room = engine.context_length - len(prompt_ids) + 1
    limit = min(max_new_tokens, room)
    if limit < 1:
        return [Hypothesis(0.0, (), "length")]
    if _is_late(deadline):
        return [Hypothesis(0.0, (), "timeout")]
    running = [_Beam(0.0, ())]
    following: list[tuple[int, _Beam]] = []  # parent, child
    complete: list[Hypothesis] = []
    engine.reset(0)
    logits = engine.forward([0], [prompt_ids])
    for length in range(1, limit + 1):
        logits = logits[:, : tokenizer.vocab_size]
        adjusted = [
            logits_processor(row, beam.tokens) for row, beam in zip(logits, running, strict=True)
        ]
        logprobs = log_softmax(suppress_control_tokens(np.stack(adjusted), special))
        sums = logprobs + np.array([beam.logprob for beam in running])[:, None]  # (beams, V)
        best = _largest(sums, 2 * beams)
        following = []
        for rank, (parent, token) in enumerate(best):
            total = float(sums[parent, token])
            tokens = running[parent].tokens
            if token in special.eos_ids:
                if rank < beams:
                    complete.append(Hypothesis(total / length, tokens, "eos"))
            elif len(following) < beams:
                following.append((parent, _Beam(total, (*tokens, token))))
        complete = heapq.nlargest(beams, complete)
        if not following:
            return complete
        settled = len(complete) == beams
        if settled and following[0][1].logprob / length <= complete[-1].score:
            return complete  # none that is still running could get in
        late = _is_late(deadline)
        if late or length == limit:
            break
        running = _place(engine, len(running), following)
        logits = engine.forward(range(len(running)), [beam.tokens[-1:] for beam in running])
    reason: FinishReason = "timeout" if late else "length"
    cut = [Hypothesis(beam.logprob / length, beam.tokens, reason) for _, beam in following]
    return heapq.nlargest(beams, complete + cut)


def _is_late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _largest(sums: Logits, count: int) -> list[tuple[int, int]]:
    """The positions (row, token) of the largest finite sums, largest first."""
    flat = sums.ravel()
    count = min(count, int(np.isfinite(flat).sum()))
    chosen = np.argpartition(flat, -count)[-count:] if count else np.empty(0, np.int64)
    chosen = chosen[np.lexsort((chosen, -flat[chosen]))]
    return [divmod(int(position), sums.shape[1]) for position in chosen]


def _place(engine: Engine, rows: int, following: list[tuple[int, _Beam]]) -> list[_Beam]:
    """Gives each new beam a row that holds its parent; returns the beams in the order of rows.

    The first child of a beam stays in its parent's row. Other children go to rows that are free or
    whose beam has no child, so that no parent is overwritten before it is copied.
    """
    placed: dict[int, _Beam] = {}
    others = []
    for parent, beam in following:
        if parent in placed:
            others.append((parent, beam))
        else:
            placed[parent] = beam
    free = (row for row in range(rows + len(others)) if row not in placed)
    for (parent, beam), row in zip(others, list(free), strict=False):
        engine.copy_row(parent, row)
        placed[row] = beam
    # rows have to be 0, 1, 2 ...: the last ones move into the gaps
    for gap in range(len(placed)):
        if gap not in placed:
            last = max(placed)
            engine.copy_row(last, gap)
            placed[gap] = placed.pop(last)
    return [placed[row] for row in range(len(placed))]
