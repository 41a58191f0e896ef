"""The generation loop with continuous batching: requests in, tokens out, many texts at once.

Each text has a row of the engine to itself. When one is finished, the next request takes its row,
so the engine stays busy to the end. No text depends on the others in the batch: its random numbers
come from its own seed and row number, and so does everything else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

from tfcli.errors import DataError
from tfcli.generation.active_sequence import ActiveSequence
from tfcli.generation.characters import LACKING, START, CharacterMask
from tfcli.generation.constraints import GrammarCompiler
from tfcli.generation.penalties import NO_PENALTIES, penalize
from tfcli.generation.prompts import PromptReader
from tfcli.generation.sampling import choose_tokens, log_softmax, suppress_control_tokens
from tfcli.generation.token_healing import MOST, TokenHealing
from tfcli.generation.word_end import WordEnd
from tfcli.options import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tfcli.generation.active_sequence import FinishReason
    from tfcli.generation.constraints import FormatFit
    from tfcli.generation.engines.engine import Engine, Logits
    from tfcli.generation.request import GenerationRequest, Sampling
    from tfcli.text.pairs import PairForm
    from tfcli.text.tokenizer import Tokenizer

DRY_BREAKERS = (b"\n", b":", b'"', b"*")  # those of DRY's author
PREFILL_TOKENS = 4096  # read at once at most, to bound the memory; one prompt always fits


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A token was generated.

    Attributes:
        index: which request it is for, counted from 0.
        token: its id.
        spelled: the bytes that it stands for.
        data: the bytes that can be shown now, of this and earlier tokens; those that may begin a
            stop string are held back.
        logprob: the model's own log-probability of the token, before any sampling option, if
            requested.

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
        reason: `eos`: the model ended the text; `stop`: a stop string was found; `length`: the
            token limit was reached; `timeout`: the time limit was; `incomplete`: one of these came
            before the structured output was complete.
        stop: the stop string that was found.
        score: of a beam search; see `tfcli.generation.beam`.
        fit: of structured output.

    """

    index: int
    data: bytes
    reason: FinishReason
    stop: bytes | None = None
    score: float | None = None
    fit: FormatFit | None = None


Request_co = TypeVar("Request_co", covariant=True)


class Requests(Protocol[Request_co]):
    """Where requests come from."""

    def take(self, *, wait: bool) -> Request_co | None:
        """The next one; None where there is none, or, without waiting, none yet."""


class RequestList(Generic[Request_co]):
    """Requests that are all known in advance."""

    def __init__(self, requests: Iterable[Request_co]) -> None:
        self._rest = iter(requests)

    def take(self, *, wait: bool) -> Request_co | None:  # noqa: ARG002
        """See `Requests`."""
        return next(self._rest, None)


class Generator:
    """Generates texts with one model; see `generate`.

    Args:
        rows: how many texts the engine has room for.
        many_documents, form, notice: see `PromptReader`.
        deadline: a value of `time.monotonic()` at which all texts end.
        logprobs: whether each token comes with its log-probability.

    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        rows: int = 1,
        many_documents: bool = False,
        form: PairForm | None = None,
        deadline: float | None = None,
        logprobs: bool = False,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._engine, self._tokenizer, self._rows = engine, tokenizer, rows
        self._special = tokenizer.special
        self._deadline, self._logprobs = deadline, logprobs
        self._grammars = GrammarCompiler(tokenizer)
        self._characters = CharacterMask(tokenizer.token_bytes)
        self._healing, self._word_end = TokenHealing(tokenizer), WordEnd(tokenizer)
        self._prompts = PromptReader(
            tokenizer, self._healing,
            context_length=engine.context_length, many_documents=many_documents, form=form,
            notice=notice,
        )  # fmt: skip

    @cached_property
    def _breakers(self) -> frozenset[int]:
        """The tokens across which DRY follows no repetition."""
        return frozenset(
            token
            for token, spelled in enumerate(self._tokenizer.token_bytes)
            if any(breaker in spelled for breaker in DRY_BREAKERS)
        )

    def check(self, request: GenerationRequest) -> None:
        """Raises UsageError where this model cannot answer a request."""
        size = self._tokenizer.vocab_size
        for token, _ in request.penalties.logit_bias:
            if token >= size:
                problem = f"names token {token}, but the vocabulary has {size:,} tokens"
                raise OptionError("logit_bias", problem)
        self._grammars.begin(request.structured)

    def stream(self, requests: Requests[GenerationRequest]) -> Iterator[TokenEvent | Finished]:
        """Generates every text that is requested; the events of one come in their order."""
        active: list[ActiveSequence] = []  # the text in row r of the engine is active[r]
        count = 0
        while True:
            while len(active) < self._rows:
                request = requests.take(wait=not active)
                if request is None:
                    break
                active.append(self._begin(count, request))
                count += 1
            if not active:
                return
            yield from self._finish(active)
            if active:
                yield from self._step(active)

    def _begin(self, index: int, request: GenerationRequest) -> ActiveSequence:
        ids, taken = self.read_prompt(request)
        constraint = self._grammars.begin(request.structured, after_space=bool(taken))
        return ActiveSequence(
            index, request, ids, self._special, taken, constraint,
            ends_word=self._prompts.ends_word(request),
        )  # fmt: skip

    def read_prompt(
        self, request: GenerationRequest, *, most_taken: int = MOST
    ) -> tuple[list[int], list[int]]:
        """See `PromptReader.read`."""
        return self._prompts.read(request, most_taken=most_taken)

    # --- a step ---------------------------------------------------------------------------------

    def _step(self, active: list[ActiveSequence]) -> Iterator[TokenEvent]:
        """One more token for each text."""
        logits = self._read(active)
        if np.isnan(logits.sum()):
            raise DataError(
                "the model produced NaN logits", why="its weights are damaged, or training diverged"
            )
        logits = self._heal(active, logits)
        tokens = self._choose(active, logits)
        logprobs: list[float | None] = [None] * len(tokens)
        if self._logprobs:
            every = log_softmax(suppress_control_tokens(logits, self._special))
            logprobs = every[np.arange(len(tokens)), tokens].tolist()
        for sequence, token, logprob in zip(active, tokens, logprobs, strict=True):
            sequence.ended = token in self._special.eos_ids
            if not sequence.ended:
                sequence.context_ids.append(token)
            if sequence.taken[:1] == [token]:  # it is the prompt's own
                sequence.prompt.append(sequence.taken.pop(0))
                if sequence.constraint:
                    sequence.constraint.accept(token)
                continue
            overlap = sum(len(self._tokenizer.token_bytes[each]) for each in sequence.taken)
            sequence.taken, sequence.ends_word = [], False
            sequence.written.append(token)
            sequence.character = self._characters.state_after(sequence.character, token)
            if sequence.constraint:
                sequence.constraint.accept(token)
            if not sequence.ended:
                new = self._tokenizer.token_bytes[token][overlap:]
                data = sequence.stop.feed(new) if sequence.may_stop else new
                yield TokenEvent(sequence.index, token, new, data, logprob)

    def _read(self, active: list[ActiveSequence]) -> Logits:
        """The logits after all of them: (len(active), V)."""
        length = self._engine.context_length
        for sequence in active:
            ids = sequence.context_ids
            if len(ids) > length:
                self._prompts.notice_once(
                    "prompt and answer together are longer than the context", ids[-length:]
                )
                kept = ids[-max(1, length // 2) :]
                sequence.context_ids = [*self._prompts.bos, *kept][-length:]
                sequence.needs_prefill = True
        fresh = [row for row, sequence in enumerate(active) if sequence.needs_prefill]
        decoding = [row for row, sequence in enumerate(active) if not sequence.needs_prefill]
        parts = [self._prefill(active, rows) for rows in self._prefill_batches(active, fresh)]
        if decoding:
            last = [active[row].context_ids[-1:] for row in decoding]
            parts.append(self._engine.forward(decoding, last))
        logits = parts[0] if len(parts) == 1 else np.concatenate(parts)
        logits = logits[np.argsort(fresh + decoding)] if fresh and decoding else logits
        return logits[:, : self._tokenizer.vocab_size]

    def _prefill_batches(
        self, active: list[ActiveSequence], fresh: list[int]
    ) -> Iterator[list[int]]:
        """Rows to be read from their beginning, as many at a time as memory allows."""
        portion: list[int] = []
        tokens = 0
        for row in fresh:
            if portion and tokens + len(active[row].context_ids) > PREFILL_TOKENS:
                yield portion
                portion, tokens = [], 0
            portion.append(row)
            tokens += len(active[row].context_ids)
        if portion:
            yield portion

    def _prefill(self, active: list[ActiveSequence], rows: list[int]) -> Logits:
        """Reads rows from their beginning; equal ones once."""
        first: dict[tuple[int, ...], int] = {}
        for row in rows:
            active[row].needs_prefill = False
            self._engine.reset(row)
            first.setdefault(tuple(active[row].context_ids), row)
        read = list(first.values())
        logits = self._engine.forward(read, [active[row].context_ids for row in read])
        source = [first[tuple(active[row].context_ids)] for row in rows]
        for row, same in zip(rows, source, strict=True):
            if row != same:
                self._engine.copy_row(same, row)
        return logits[[read.index(row) for row in source]]

    def _heal(self, active: list[ActiveSequence], logits: Logits) -> Logits:
        """The logits (len(active), V) of those tokens that the ends of the prompts allow."""
        if not any(sequence.taken or sequence.ends_word for sequence in active):
            return logits
        pairs = zip(active, logits, strict=True)
        return np.stack([self._heal_one(sequence, row) for sequence, row in pairs])

    def _heal_one(self, sequence: ActiveSequence, logits: Logits) -> Logits:
        if sequence.taken:
            return self._healing.allow(logits, sequence.taken)
        return self._word_end.apply(logits) if sequence.ends_word else logits

    def _choose(self, active: list[ActiveSequence], logits: Logits) -> list[int]:
        """The next token of each row."""
        states = [sequence.character for sequence in active]
        rooms = [sequence.room for sequence in active]
        logits = self._characters.allow(logits, states, rooms)
        if not all(sequence.is_plain for sequence in active):
            pairs = zip(active, logits, strict=True)
            logits = np.stack([self._adjust(sequence, row) for sequence, row in pairs])
        by_sampling: dict[Sampling, list[int]] = {}
        for row, sequence in enumerate(active):
            by_sampling.setdefault(sequence.request.sampling, []).append(row)
        tokens = np.empty(len(active), np.int64)
        for sampling, rows in by_sampling.items():
            randoms = [active[row].random for row in rows]
            chosen = logits if len(rows) == len(active) else logits[rows]
            tokens[rows] = choose_tokens(chosen, sampling, randoms, self._special)
        return tokens.tolist()

    def _adjust(self, sequence: ActiveSequence, logits: Logits) -> Logits:
        """The logits (V,) of a text after its penalties and its constraint."""
        penalties = sequence.request.penalties
        if penalties != NO_PENALTIES:
            breakers = self._breakers if penalties.dry_multiplier else frozenset[int]()
            tokens = sequence.prompt + sequence.written
            unpenalized = logits
            logits = penalize(logits, penalties, tokens, sequence.written, breakers)
            own = sequence.taken[:1]  # the prompt is what it is
            logits[own] = unpenalized[own]
        if sequence.constraint:
            logits = sequence.constraint.allow(logits)
        if sequence.may_not_end:
            logits = logits.copy()
            logits[list(self._special.eos_ids)] = -np.inf
        return logits

    def logits_processor(
        self, request: GenerationRequest
    ) -> Callable[[Logits, tuple[int, ...]], Logits]:
        """Applies the penalties of a request to the logits after some tokens: for beam search."""
        ids, taken = self.read_prompt(request, most_taken=1)
        ends_word = self._prompts.ends_word(request)

        def adjust(logits: Logits, written: tuple[int, ...]) -> Logits:
            sequence = ActiveSequence(
                0, request, ids, self._special, [] if written else taken,
                ends_word=ends_word and not written,
            )  # fmt: skip
            sequence.written = list(written)
            logits = self._heal_one(sequence, logits)
            state = START
            for token in written[-max(LACKING) :]:
                state = self._characters.state_after(state, token)
            (logits,) = self._characters.allow(logits[None], [state], [sequence.room])
            return self._adjust(sequence, logits)

        return adjust

    # --- the end --------------------------------------------------------------------------------

    def _finish(self, active: list[ActiveSequence]) -> Iterator[Finished]:
        """Removes the texts that are complete; moves the last row into the gap."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        for row in reversed(range(len(active))):
            reason = active[row].finish_reason(late=late)
            if reason is None:
                continue
            done, last = active[row], active.pop()
            if last is not done:
                if not last.needs_prefill:
                    self._engine.copy_row(len(active), row)
                active[row] = last
            rest = b"" if reason == "stop" else done.stop.rest()
            yield Finished(done.index, rest, reason, done.stop.found, fit=done.fit)


def generate(
    engine: Engine,
    tokenizer: Tokenizer,
    request: GenerationRequest,
    *,
    many_documents: bool = False,
    notice: Callable[[str], None] = lambda _: None,
) -> Iterator[int]:
    """Yields the tokens of one text that continues a prompt.

    It ends at `eos`, which is not yielded, at a stop string, or at the token limit. When a context
    is full, its later half is kept. No token is healed: all follow those of the prompt.
    """
    request = replace(request, token_healing=False)
    generator = Generator(engine, tokenizer, many_documents=many_documents, notice=notice)
    for event in generator.stream(RequestList([request])):
        if isinstance(event, TokenEvent):
            yield event.token
