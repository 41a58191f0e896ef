"""Filling gaps, with a model that was trained with `--infill`: it reads both sides of a gap first.

    Once [] a time

    SPM   <s> PRE SUF _a time MID Once_        and the model goes on: upon END
    PSM   <s> PRE Once_ SUF _a time MID

SPM is the default: the model goes on from what is right before the gap, as it does in all other
texts. After a short training it knows that long before it finds there from MID.

Several gaps of a text are filled from left to right: what is before one is known by then, and what
is behind it ends at the next. So the gaps of one text wait for each other, but texts do not.
"""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tfcli.errors import UsageError
from tfcli.generation.fill_request import MIDDLE_SHARE
from tfcli.generation.generate import Finished, Generator, RequestList, TokenEvent
from tfcli.generation.streaming import TextStream
from tfcli.generation.token_healing import TokenHealing
from tfcli.runs.infill_tokens import find_run_infill_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.generation.active_sequence import FinishReason
    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.fill_request import FillRequest, Order
    from tfcli.generation.gaps import GappedText
    from tfcli.generation.generate import Requests
    from tfcli.generation.request import GenerationRequest
    from tfcli.runs.run import Run
    from tfcli.text.infill_tokens import InfillTokens
    from tfcli.text.tokenizer import Tokenizer


@dataclass
class FilledGap:
    """What was written into a gap.

    Attributes:
        logprobs: of each token, in nats: the model's own, before any sampling option.
        finish_reason: `eos`: the model found it complete; else as in `Finished`.

    """

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason = "incomplete"


@dataclass
class Candidate:
    """One of several fillings of a gap.

    Attributes:
        spelled: the bytes of each of its tokens.

    """

    gap: FilledGap = field(default_factory=FilledGap)
    spelled: list[bytes] = field(default_factory=list)

    def endings(self, shortest: int) -> Iterator[FilledGap]:
        """What it would be if it had ended after one of its tokens, or as it did; never empty."""
        whole, data = self.gap, b"".join(self.spelled[: shortest - 1])
        for count in range(shortest, len(self.spelled)):
            data += self.spelled[count - 1]
            text = data.decode(errors="ignore")
            if text.encode() == data and text != whole.text and whole.text.startswith(text):
                yield FilledGap(text, whole.tokens[:count], whole.logprobs[:count], "eos")
        if whole.text:
            yield whole


@dataclass
class FillJob:
    """A text whose gaps are being filled.

    Attributes:
        number: which of all texts it is, from 0.
        gaps: those filled, and the one that is being filled.

    """

    request: FillRequest
    number: int = 0
    gaps: list[FilledGap] = field(default_factory=list)

    @property
    def text(self) -> GappedText:
        """The text with its gaps."""
        return self.request.text

    @property
    def complete(self) -> bool:
        """Whether no gap is left."""
        return len(self.gaps) == len(self.text.tokens)

    def filled(self) -> str:
        """The text up to the first gap that is not being filled."""
        parts = [self.text.parts[0]]
        for gap, after in zip(self.gaps, self.text.parts[1:], strict=False):
            parts += gap.text, after
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class MiddleEvent:
    """Some more characters of the last gap of a text; `ended`: it is filled."""

    job: FillJob
    text: str
    ended: bool


def infill_tokens_of(run: Run, tokenizer: Tokenizer) -> InfillTokens:
    """By which tokens a run knows a gap.

    Raises:
        UsageError: it was not trained to fill gaps.

    """
    found = find_run_infill_tokens(run.metadata, tokenizer)
    if found is None:
        raise UsageError(
            f"the run {run.name} cannot fill gaps",
            why="it was imported from what names no tokens for gaps, and imports do not keep "
            "whether it was trained with --masked"
            if run.metadata.get("imported")
            else "it was trained from left to right only, without --infill or --masked",
            hint="tfcli train FILE --infill 0.5, or --masked 0.5 for gaps of N tokens",
        )
    return found


def ends_gaps(tokenizer: Tokenizer, tokens: InfillTokens) -> Tokenizer:
    """The tokenizer, to which a text ends where a gap does, and nowhere else.

    Where a model ends both alike, each of its ends counts.
    """
    special = tokenizer.special
    if tokens.end in special.eos_ids:
        return tokenizer
    ending: Any = copy.copy(tokenizer)
    ending.special = replace(
        special, eos=tokens.end, other_eos=frozenset(), control=special.control | {tokens.end}
    )
    ending.token_bytes = list(tokenizer.token_bytes)
    ending.token_bytes[tokens.end] = b""  # of a byte that no character has
    return ending  # type: ignore[no-any-return]


class Filler:
    """Fills gaps with one model.

    Args:
        tokens: see `infill_tokens_of`.
        rows: how many texts the engine has room for.
        notice: called once, when a text is longer than the context.

    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        tokens: InfillTokens,
        *,
        rows: int = 1,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tokenizer, self._tokens = tokenizer, tokens
        self._healing = TokenHealing(tokenizer)
        self._context_length = engine.context_length
        self._notice, self._noticed = notice, False
        self._generator = Generator(
            engine, ends_gaps(tokenizer, tokens), rows=rows, logprobs=True, notice=notice
        )

    def check(self, request: FillRequest) -> None:
        """Raises UsageError where this model cannot answer a request."""
        self._generator.check(request.to_request())

    def fill(self, requests: Requests[FillRequest], *, first: int = 0) -> Iterator[MiddleEvent]:
        """Fills every gap of every text; the events of one come in their order.

        Args:
            first: the number of the first text.

        """
        gaps = _GapRequests(requests, self._gap_request, first)
        streams: dict[int, TextStream] = {}
        for event in self._generator.stream(gaps):
            job = gaps.taken[event.index]
            stream = streams.setdefault(event.index, TextStream())
            gap, text = job.gaps[-1], stream.feed(event.data)
            gap.text += text
            if isinstance(event, TokenEvent):
                gap.tokens.append(event.token)
                gap.logprobs.append(event.logprob or 0.0)
            if isinstance(event, Finished):
                gap.finish_reason = event.reason
                del gaps.taken[event.index], streams[event.index]
            yield MiddleEvent(job, text, isinstance(event, Finished))
            if isinstance(event, Finished) and not job.complete:
                gaps.waiting.append(job)

    def candidates(self, job: FillJob, count: int) -> list[Candidate]:
        """So many fillings of the next gap of a text."""
        request, gaps = self._gap_request(job), len(job.text.tokens)
        found = [Candidate() for _ in range(count)]
        streams = [TextStream() for _ in range(count)]
        requests = (replace(request, row=request.row + i * gaps) for i in range(count))
        for event in self._generator.stream(RequestList(requests)):
            gap = found[event.index].gap
            gap.text += streams[event.index].feed(event.data)
            if isinstance(event, TokenEvent):
                found[event.index].spelled.append(event.spelled)
                gap.tokens.append(event.token)
                gap.logprobs.append(event.logprob or 0.0)
            else:
                gap.finish_reason = event.reason
        return found

    def _gap_request(self, job: FillJob) -> GenerationRequest:
        """The request for the next gap of a text."""
        place = len(job.gaps)
        wanted = job.request.length_of(place, self._context_length)
        before, after = job.filled(), job.text.parts[place + 1]
        ids, taken = self._read(before, after, wanted, job.request.order)
        room = max(1, self._context_length - len(ids))
        return job.request.to_request(
            ids=tuple(ids), taken=tuple(taken), row=place, max_new_tokens=min(wanted, room),
            min_new_tokens=min(job.request.min_new_tokens, wanted, room),
        )  # fmt: skip

    def _read(
        self, before: str, after: str, wanted: int, order: Order
    ) -> tuple[list[int], list[int]]:
        """The ids of what is around a gap, and as much of it as leaves room for the middle.

        A space before a gap is the beginning of the gap's first token, in either order: it is not
        read, but returned apart.
        """
        prefix = self._tokenizer.encode_continuation(before)
        suffix = self._tokenizer.encode_continuation(after)
        bos = self._tokenizer.special.bos
        start = [] if bos is None else [bos]
        middle = min(wanted, self._context_length // MIDDLE_SHARE)
        room = max(0, self._context_length - len(start) - len(self._tokens.markers) - middle)
        behind = min(len(suffix), max(room // 2, room - len(prefix)))
        ahead = min(len(prefix), room - behind)
        if ahead + behind < len(prefix) + len(suffix) and not self._noticed:
            self._noticed = True
            self._notice(
                f"the text around the gap has {len(prefix) + len(suffix):,} tokens; the model sees "
                f"{ahead:,} before it and {behind:,} behind it"
            )
        prefix, suffix = prefix[len(prefix) - ahead :], suffix[:behind]
        is_space = prefix and self._tokenizer.token_bytes[prefix[-1]] == b" "
        prefix, taken = self._healing.take_back(prefix, 1 if is_space else 0)
        pre, suf, mid = self._tokens.markers
        if order == "spm":
            return [*start, pre, suf, *suffix, mid, *prefix], taken
        return [*start, pre, *prefix, suf, *suffix, mid], taken


class _GapRequests:
    """One request a gap: first of texts that have begun, then of new ones."""

    def __init__(
        self,
        requests: Requests[FillRequest],
        make_request: Callable[[FillJob], GenerationRequest],
        first: int,
    ) -> None:
        self._requests, self._make_request, self._number = requests, make_request, first
        self.waiting: deque[FillJob] = deque()
        self.taken: dict[int, FillJob] = {}  # by the number of their request
        self._count = 0

    def take(self, *, wait: bool) -> GenerationRequest | None:
        """See `tfcli.generation.generate.Requests`."""
        job = self.waiting.popleft() if self.waiting else self._begin(wait=wait)
        if job is None:
            return None
        request = self._make_request(job)
        job.gaps.append(FilledGap())
        self.taken[self._count] = job
        self._count += 1
        return request

    def _begin(self, *, wait: bool) -> FillJob | None:
        """The next text."""
        request = self._requests.take(wait=wait)
        if request is None:
            return None
        self._number += 1
        return FillJob(request, self._number - 1)
