"""Filling a gap with the best of several candidates: the one that makes the likeliest text.

By Bayes' theorem what stands in a gap is as likely as the text that it makes:

    P(middle | prefix, suffix)  =  P(prefix + middle + suffix) / a term of both sides alone

The right side is what any causal model computes from left to right, which it learns long before it
heeds a suffix that it has read first, or knows where a gap ends. So the candidates are written as
in `Filler`, each may end after any of its tokens, and every such text is scored from left to right.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from tfcli.generation.filling import FillJob, MiddleEvent
from tfcli.generation.sampling import log_softmax

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.fill_request import FillRequest
    from tfcli.generation.filling import Candidate, FilledGap, Filler
    from tfcli.generation.generate import Requests
    from tfcli.generation.scoring import Logprobs
    from tfcli.text.tokenizer import Tokenizer

BEHIND = 16  # tokens of the suffix that are scored; what comes later tells candidates little apart
ROWS = 8  # texts that are scored at a time
SLACK = 8  # tokens by which a text may grow where its parts are joined


@dataclass(frozen=True)
class _Ending:
    """A candidate up to one of its tokens.

    Attributes:
        candidate: its number.
        ids: of the text that it makes.
        seam: how many of these do not depend on the suffix.

    """

    candidate: int
    gap: FilledGap
    ids: list[int]
    seam: int


class BestFiller:
    """Fills gaps with the best of several candidates; see `Filler`, which this can stand in for.

    Args:
        filler: writes the candidates.
        engine: of the same model.

    """

    def __init__(self, filler: Filler, engine: Engine, tokenizer: Tokenizer) -> None:
        self._filler, self._tokenizer = filler, tokenizer
        self._engine = engine.with_rows(ROWS + 1)  # the last one is for what all texts begin with

    def check(self, request: FillRequest) -> None:
        """Raises UsageError where this model cannot answer a request."""
        self._filler.check(request)

    def fill(self, requests: Requests[FillRequest], *, first: int = 0) -> Iterator[MiddleEvent]:
        """Fills every gap of every text; each gap comes as a whole.

        Args:
            first: the number of the first text.

        """
        while (request := requests.take(wait=True)) is not None:
            job, first = FillJob(request, first), first + 1
            while not job.complete:
                candidates = self._filler.candidates(job, request.best_of)
                job.gaps.append(self._best(job, candidates))
                yield MiddleEvent(job, job.gaps[-1].text, ended=True)

    def _best(self, job: FillJob, candidates: Sequence[Candidate]) -> FilledGap:
        """The candidate, and where it ends, that makes the likeliest text."""
        best, most = candidates[0].gap, -np.inf
        endings = self._endings(job, candidates)
        if not endings:
            return best
        shared = self._read_shared(endings)
        hopeless: set[int] = set()
        for length in sorted({len(ending.gap.tokens) for ending in endings}):
            same = [e for e in endings if len(e.gap.tokens) == length]
            same = [e for e in same if e.candidate not in hopeless]
            for start in range(0, len(same), ROWS):
                some = same[start : start + ROWS]
                for ending, own in zip(some, self._score(some, shared), strict=True):
                    if own.sum() > most:
                        best, most = ending.gap, own.sum()
                    # what a candidate goes on with can only make its text less likely
                    if own[: ending.seam - shared].sum() < most:
                        hopeless.add(ending.candidate)
        return best

    def _endings(self, job: FillJob, candidates: Sequence[Candidate]) -> list[_Ending]:
        """All candidates, up to each of their tokens; none where nothing is behind the gap."""
        encode, decode = self._tokenizer.encode_continuation, self._tokenizer.decode_continuation
        after = decode(encode(job.text.parts[len(job.gaps) + 1])[:BEHIND]).decode(errors="ignore")
        if not after:
            return []
        longest = max(len(candidate.gap.tokens) for candidate in candidates)
        room = self._engine.context_length - 1 - BEHIND - longest - SLACK
        known = encode(job.filled())
        before = decode(known[max(0, len(known) - max(0, room)) :]).decode(errors="ignore")
        special = self._tokenizer.special
        start = special.eos if special.bos is None else special.bos
        assert start is not None, "a tokenizer without either has no tokens for gaps"
        endings, seen = [], set[str]()
        for number, candidate in enumerate(candidates):
            for gap in candidate.endings(max(1, job.request.min_new_tokens)):
                if gap.text in seen:
                    continue
                seen.add(gap.text)
                ids = [start, *encode(before + gap.text + after)]
                alone = [start, *encode(before + gap.text)]
                if len(ids) <= self._engine.context_length:
                    endings.append(_Ending(number, gap, ids, _common([ids, alone])))
        return endings

    def _read_shared(self, endings: Sequence[_Ending]) -> int:
        """Reads what all texts begin with, but for the last token of it; returns its tokens."""
        every = [ending.ids for ending in endings]
        shared = min(_common(every), min(map(len, every)) - 1)
        self._engine.reset(ROWS)
        if shared > 1:
            self._engine.forward([ROWS], [every[0][: shared - 1]])
        return shared

    def _score(self, endings: Sequence[_Ending], shared: int) -> list[Logprobs]:
        """The log-probabilities of the tokens of texts after those that they share."""
        for row in range(len(endings)):
            self._engine.copy_row(ROWS, row)
        read = [ending.ids[shared - 1 : -1] for ending in endings]
        logits = self._engine.forward_all(range(len(read)), read)
        every = log_softmax(logits[:, : self._tokenizer.vocab_size])
        targets = np.concatenate([ending.ids[shared:] for ending in endings])
        own = every[np.arange(len(targets)), targets]
        return np.split(own, np.cumsum([len(ids) for ids in read])[:-1])


def _common(every: Sequence[Sequence[int]]) -> int:
    """With how many tokens all begin."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*every, strict=False)))
