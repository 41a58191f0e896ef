"""The generation loop: requests in, tokens out, many texts side by side.

Each text has a row of the engine to itself. When one is finished, the next request takes its row,
so the engine is as busy at the end as at the beginning. No text depends on what is written beside
it: its random numbers come from its own seed and row number, and so does everything else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from tfcli.errors import DataError, UsageError
from tfcli.generation.penalties import NO_PENALTIES, penalise
from tfcli.generation.sampling import (
    choose_tokens,
    log_softmax,
    row_random,
    suppress_control_tokens,
)
from tfcli.generation.stopping import StopStrings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tfcli.generation.engines.engine import Engine, Logits
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.sampling import Sampling
    from tfcli.text.tokenizer import SpecialTokens, Tokenizer

Reason = Literal["end", "stop", "length", "time", "unfinished"]

DRY_BREAKERS = (b"\n", b":", b'"', b"*")  # those of DRY's author
PREFILL_TOKENS = 4096  # read at once at most, to bound the memory; one prompt always fits


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A token was written.

    Attributes:
        index: which request it is for, counted from 0.
        token: its id.
        spelled: the bytes that it stands for.
        data: the bytes that can be shown now, of this and earlier tokens; those that may begin a
            stop string are held back.
        logprob: the model's own log-probability of the token, before any sampling option, where
            that was asked for.

    """

    index: int
    token: int
    spelled: bytes
    data: bytes
    logprob: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """A text is complete.

    Attributes:
        data: bytes that had been held back.
        reason: the model ended it, a stop string, its length, or the time; or it was cut short by
            one of these before it had the form asked for.

    """

    index: int
    data: bytes
    reason: Reason


class Requests(Protocol):
    """Where requests come from."""

    def take(self, *, wait: bool) -> GenerationRequest | None:
        """The next one; None where there is none, or, without waiting, none yet."""


class RequestList:
    """Requests that are all known."""

    def __init__(self, requests: Iterable[GenerationRequest]) -> None:
        self._rest = iter(requests)

    def take(self, *, wait: bool) -> GenerationRequest | None:  # noqa: ARG002
        """See `Requests`."""
        return next(self._rest, None)


class ActiveSequence:
    """One text on its way."""

    def __init__(
        self, index: int, request: GenerationRequest, ids: list[int], special: SpecialTokens
    ) -> None:
        self.index = index
        self.request = request
        self.view = ids  # what is, or will be, in the engine's row: `bos` and tokens
        self.fresh = True  # whether the row has to be read from its beginning
        self.prompt = [token for token in ids if token not in special.control]
        self.written: list[int] = []
        self.ended = False  # whether the last token written ends the text
        self.random = row_random(request.seed, request.row)
        self.constraint = request.grammar.begin() if request.grammar else None
        self.stop = StopStrings([string.encode() for string in request.stop])
        self.plain = request.penalties == NO_PENALTIES and not request.grammar


class Generator:
    """Writes texts with one model; see `generate`.

    Args:
        rows: how many texts the engine has room for.
        many_documents: whether the model learned from several documents; then an empty prompt
            asks for the beginning of one.
        deadline: a value of `time.monotonic()` at which all texts end.
        logprobs: whether each token comes with its log-probability.
        notice: told once when a prompt is too long, and once when a context is full.

    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        rows: int = 1,
        many_documents: bool = False,
        deadline: float | None = None,
        logprobs: bool = False,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine, self._tokenizer, self._rows = engine, tokenizer, rows
        self._special = tokenizer.special
        self._bos = [] if self._special.bos is None else [self._special.bos]
        self._many_documents, self._deadline = many_documents, deadline
        self._logprobs, self._notice = logprobs, notice
        self._noticed: set[str] = set()

    @cached_property
    def _breakers(self) -> frozenset[int]:
        """The tokens over which no repetition is followed by `dry`."""
        return frozenset(
            token
            for token, spelled in enumerate(self._tokenizer.token_bytes)
            if any(breaker in spelled for breaker in DRY_BREAKERS)
        )

    def write(self, requests: Requests) -> Iterator[TokenEvent | Finished]:
        """Writes every text that is requested; what belongs to one comes in its order."""
        active: list[ActiveSequence] = []  # the text in row r of the engine is active[r]
        count = 0
        while True:
            while len(active) < self._rows:
                request = requests.take(wait=not active)
                if request is None:
                    break
                ids = self.first_view(request)
                active.append(ActiveSequence(count, request, ids, self._special))
                count += 1
            if not active:
                return
            yield from self._finish(active)
            if active:
                yield from self._step(active)

    def first_view(self, request: GenerationRequest) -> list[int]:
        """`bos` and the ids of the prompt, or as many of the last ones as fit the context.

        Raises:
            UsageError: the prompt is empty, and the tokenizer has no token that a text begins with.

        """
        ids = self._tokenizer.encode(request.prompt)
        if not ids and self._special.eos is not None and (self._many_documents or not self._bos):
            ids = [self._special.eos]  # a document begins where another has ended
        if not ids and not self._bos:
            raise UsageError("this model cannot begin a text by itself: it needs a prompt")
        room = self._engine.context_length - len(self._bos)
        if len(ids) > room:
            self._notice_once(f"the prompt has {len(ids):,} tokens; using the last {room:,}")
            ids = ids[len(ids) - room :]
        return [*self._bos, *ids]

    def _notice_once(self, text: str) -> None:
        kind = text.split()[1]
        if kind not in self._noticed:
            self._noticed.add(kind)
            self._notice(text)

    # --- a step ---------------------------------------------------------------------------------

    def _step(self, active: list[ActiveSequence]) -> Iterator[TokenEvent]:
        """One more token for each text."""
        logits = self._read(active)
        if np.isnan(logits.sum()):
            raise DataError(
                "the model produced NaN logits", why="its weights are damaged, or training diverged"
            )
        tokens = self._choose(active, logits)
        logprobs: list[float | None] = [None] * len(tokens)
        if self._logprobs:
            every = log_softmax(suppress_control_tokens(logits, self._special))
            logprobs = every[np.arange(len(tokens)), tokens].tolist()
        for writing, token, logprob in zip(active, tokens, logprobs, strict=True):
            writing.written.append(token)
            if writing.constraint:
                writing.constraint.accept(token)
            writing.ended = token in self._special.eos_ids
            if not writing.ended:
                writing.view.append(token)
                spelled = self._tokenizer.token_bytes[token]
                data = writing.stop.feed(spelled)
                yield TokenEvent(writing.index, token, spelled, data, logprob)

    def _read(self, active: list[ActiveSequence]) -> Logits:
        """The logits after all of them: (len(active), V)."""
        length = self._engine.context_length
        for writing in active:
            if len(writing.view) > length:
                kept = max(1, length // 2)
                self._notice_once(f"context full; keeping the last {kept:,} tokens")
                writing.view = [*self._bos, *writing.view[len(writing.view) - kept :]][-length:]
                writing.fresh = True
        fresh = [row for row, writing in enumerate(active) if writing.fresh]
        going = [row for row, writing in enumerate(active) if not writing.fresh]
        parts = [self._prefill(active, rows) for rows in self._portions(active, fresh)]
        if going:
            parts.append(self._engine.forward(going, [active[row].view[-1:] for row in going]))
        logits = parts[0] if len(parts) == 1 else np.concatenate(parts)
        logits = logits[np.argsort(fresh + going)] if fresh and going else logits
        return logits[:, : self._tokenizer.vocab_size]

    def _portions(self, active: list[ActiveSequence], fresh: list[int]) -> Iterator[list[int]]:
        """Rows to be read from their beginning, as many together as is good for the memory."""
        portion: list[int] = []
        tokens = 0
        for row in fresh:
            if portion and tokens + len(active[row].view) > PREFILL_TOKENS:
                yield portion
                portion, tokens = [], 0
            portion.append(row)
            tokens += len(active[row].view)
        if portion:
            yield portion

    def _prefill(self, active: list[ActiveSequence], rows: list[int]) -> Logits:
        """Reads rows from their beginning; those that are equal once."""
        first: dict[tuple[int, ...], int] = {}
        for row in rows:
            active[row].fresh = False
            self._engine.reset(row)
            first.setdefault(tuple(active[row].view), row)
        read = list(first.values())
        logits = self._engine.forward(read, [active[row].view for row in read])
        source = [first[tuple(active[row].view)] for row in rows]
        for row, same in zip(rows, source, strict=True):
            if row != same:
                self._engine.copy_row(same, row)
        return logits[[read.index(row) for row in source]]

    def _choose(self, active: list[ActiveSequence], logits: Logits) -> list[int]:
        """The next token of each row."""
        if any(not writing.plain for writing in active):
            pairs = zip(active, logits, strict=True)
            logits = np.stack([self._adjust(writing, row) for writing, row in pairs])
        alike: dict[Sampling, list[int]] = {}
        for row, writing in enumerate(active):
            alike.setdefault(writing.request.sampling, []).append(row)
        tokens = np.empty(len(active), np.int64)
        for sampling, rows in alike.items():
            randoms = [active[row].random for row in rows]
            chosen = logits if len(rows) == len(active) else logits[rows]
            tokens[rows] = choose_tokens(chosen, sampling, randoms, self._special)
        return tokens.tolist()

    def _adjust(self, writing: ActiveSequence, logits: Logits) -> Logits:
        """The logits (V,) of a text after what stands in it, and the form it has to have."""
        penalties = writing.request.penalties
        if penalties != NO_PENALTIES:
            breakers = self._breakers if penalties.dry else frozenset[int]()
            tokens = writing.prompt + writing.written
            logits = penalise(logits, penalties, tokens, writing.written, breakers)
        return writing.constraint.allow(logits) if writing.constraint else logits

    def adjuster(self, request: GenerationRequest) -> Callable[[Logits, tuple[int, ...]], Logits]:
        """What the penalties of a request do to the logits after some tokens: for beam search."""
        view = self.first_view(request)

        def adjust(logits: Logits, written: tuple[int, ...]) -> Logits:
            writing = ActiveSequence(0, request, view, self._special)
            writing.written = list(written)
            return self._adjust(writing, logits)

        return adjust

    # --- the end --------------------------------------------------------------------------------

    def _finish(self, active: list[ActiveSequence]) -> Iterator[Finished]:
        """Takes the texts out that are complete; the last row takes the place of such a one."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        for row in reversed(range(len(active))):
            reason = _reason(active[row], late)
            if reason is None:
                continue
            done = active[row]
            last = active.pop()
            if last is not done:
                if not last.fresh:
                    self._engine.copy_row(len(active), row)
                active[row] = last
            yield Finished(done.index, b"" if reason == "stop" else done.stop.rest(), reason)


def _reason(writing: ActiveSequence, late: bool) -> Reason | None:
    """Why a text is over, if it is."""
    constraint = writing.constraint
    reason: Reason | None = None
    if writing.stop.found:
        reason = "stop"
    elif writing.ended or (constraint and constraint.closed):
        reason = "end"
    elif len(writing.written) >= writing.request.max_new_tokens:
        reason = "length"
    elif late:
        reason = "time"
    if reason and constraint and not constraint.complete:
        return "unfinished"
    return reason


def generate(
    engine: Engine,
    tokenizer: Tokenizer,
    request: GenerationRequest,
    *,
    many_documents: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> Iterator[int]:
    """Yields the tokens of one text that goes on from a prompt.

    It ends at `eos`, which is not yielded, at a stop string, or at the limit. When the context is
    full, the model continues from the later half of it.
    """
    generator = Generator(engine, tokenizer, many_documents=many_documents, notice=notice)
    for event in generator.write(RequestList([request])):
        if isinstance(event, TokenEvent):
            yield event.token
