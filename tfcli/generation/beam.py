"""Beam search: the most likely text that a search over a few candidates at a time finds.

Lowerre, "The HARPY Speech Recognition System", 1976; ended and compared as in transformers: the
score of a text is its log-probability divided by its number of tokens, `</s>` included.
"""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfcli.generation.sampling import forbid_controls, log_softmax
from tfcli.text.tokenizer import END

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tfcli.generation.engines.engine import Engine, Logits
    from tfcli.generation.generate import FinishReason


@dataclass(frozen=True, order=True)
class Hypothesis:
    """A complete text.

    Attributes:
        score: log-probability divided by the number of tokens.
        tokens: without `</s>`.
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
    view: Sequence[int],
    *,
    beams: int,
    max_new_tokens: int,
    deadline: float | None = None,
    adjust: Callable[[Logits, tuple[int, ...]], Logits] = lambda logits, _: logits,
) -> list[Hypothesis]:
    """The best texts that continue a prompt, at most `beams`, the best first.

    A text ends at `</s>`, after `max_new_tokens`, where the context is full, or at the deadline.

    Args:
        engine: with a row for each beam.
        view: `<s>` and the prompt.
        deadline: a value of `time.monotonic()` at which the search ends with what it has.
        adjust: changes the logits (V,) after the tokens written so far.

    """
    room = engine.context_length - len(view) + 1
    limit = min(max_new_tokens, room)
    if limit < 1:
        return [Hypothesis(0.0, (), "length")]
    if _is_late(deadline):
        return [Hypothesis(0.0, (), "timeout")]
    running = [_Beam(0.0, ())]
    following: list[tuple[int, _Beam]] = []  # parent, child
    complete: list[Hypothesis] = []
    engine.forget(0)
    logits = engine.read([0], [view])
    for length in range(1, limit + 1):
        adjusted = [adjust(row, beam.tokens) for row, beam in zip(logits, running, strict=True)]
        logprobs = log_softmax(forbid_controls(np.stack(adjusted)))
        sums = logprobs + np.array([beam.logprob for beam in running])[:, None]  # (beams, V)
        best = _largest(sums, 2 * beams)
        following = []
        for rank, (parent, token) in enumerate(best):
            total = float(sums[parent, token])
            tokens = running[parent].tokens
            if token == END:
                if rank < beams:
                    complete.append(Hypothesis(total / length, tokens, "eos"))
            elif len(following) < beams:
                following.append((parent, _Beam(total, (*tokens, token))))
        complete = heapq.nlargest(beams, complete)
        if not following:
            return complete
        settled = len(complete) == beams
        if settled and following[0][1].logprob / length <= complete[-1].score:
            return complete  # no running beam can reach the best of these
        late = _is_late(deadline)
        if late or length == limit:
            break
        running = _place(engine, len(running), following)
        logits = engine.read(range(len(running)), [beam.tokens[-1:] for beam in running])
    reason: FinishReason = "timeout" if late else "length"
    cut = [Hypothesis(beam.logprob / length, beam.tokens, reason) for _, beam in following]
    return heapq.nlargest(beams, complete + cut)


def _is_late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _largest(sums: Logits, count: int) -> list[tuple[int, int]]:
    """The places (row, token) of the largest possible sums, the largest first."""
    flat = sums.ravel()
    count = min(count, int(np.isfinite(flat).sum()))
    chosen = np.argpartition(flat, -count)[-count:] if count else np.empty(0, np.int64)
    chosen = chosen[np.lexsort((chosen, -flat[chosen]))]
    return [divmod(int(place), sums.shape[1]) for place in chosen]


def _place(engine: Engine, rows: int, following: list[tuple[int, _Beam]]) -> list[_Beam]:
    """Gives each new beam a row that holds its parent, and returns the beams in row order.

    The first child of a beam stays in its parent's row. Others go to rows whose beam has no child,
    or that are free, so that no row is copied after it was overwritten.
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
        engine.copy(parent, row)
        placed[row] = beam
    # rows must be 0, 1, 2 ...: the last ones move into the gaps
    for gap in range(len(placed)):
        if gap not in placed:
            last = max(placed)
            engine.copy(last, gap)
            placed[gap] = placed.pop(last)
    return [placed[row] for row in range(len(placed))]
