"""Filling gaps of a known length, with a model that was trained with `--masked`: all at once.

The gaps of a text are denoised together; see `tfcli.generation.denoising`. Where there is a space
right before a gap it becomes part of the gap's first token, as in every text that was trained on:

    The [2] sat        The [m][m] _sat        not  The _ [m][m] _sat
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tfcli.errors import UsageError
from tfcli.generation.denoising import Canvas, Denoiser
from tfcli.generation.filling import FilledGap, FillJob, MiddleEvent
from tfcli.generation.masked_model import reads_both_ways, require_both_ways
from tfcli.generation.penalties import NO_PENALTIES
from tfcli.generation.sampling import row_random
from tfcli.options import OptionError
from tfcli.runs.infill_tokens import find_run_infill_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.generation.fill_request import FillRequest
    from tfcli.generation.gaps import GappedText
    from tfcli.generation.generate import Requests
    from tfcli.generation.masked_model import MaskedPredictor
    from tfcli.runs.run import Run
    from tfcli.text.tokenizer import Tokenizer

    # told the text after every step: part by part, each with the number of its gap, or None for
    # what was there; the text of a part is None where a token is still open
    Show = Callable[[list[tuple[str | None, int | None]]], None]


def require_numbers(text: GappedText, context_length: int) -> None:
    """Raises UsageError for a gap without a number: all its tokens are there from the start.

    Or for one that the model cannot see as a whole, with the token that begins every row.
    """
    if None in text.tokens:
        raise UsageError(
            "a gap of this run needs its number of tokens, such as [3] instead of []",
            why="the run was trained with --masked: it fills gaps [N] of N tokens",
            hint='tfcli fill "Once [3] a time"   # gaps [] need a run trained with --infill',
        )
    most = context_length - 1
    for count in text.tokens:
        if count is not None and count > most:
            raise UsageError(
                f"a gap of this run has at most {most:,} tokens, not {count:,}",
                why=f"the model's context is of {context_length:,} tokens",
                hint=f"[{most}] or less, or several gaps with text between them",
            )


def fills_at_once(
    run: Run, tokenizer: Tokenizer, request: FillRequest, *, show: bool = False
) -> bool:
    """Whether a run fills all gaps of a text together: of one that does both, if they are [N].

    Args:
        show: whether the steps are to be shown.

    Raises:
        UsageError: an option or the run needs it, and cannot have it.

    """
    asked, text = _asked_with(request, show=show), request.text
    if asked:
        require_both_ways(run)
    if not reads_both_ways(run):
        return False
    if None not in text.tokens or find_run_infill_tokens(run.metadata, tokenizer) is None:
        require_numbers(text, run.model_config.context_length)
        return True
    if asked:
        raise OptionError(asked, "needs a number in every gap, such as [3] instead of []")
    return False


def _asked_with(request: FillRequest, *, show: bool) -> str | None:
    """The option by which someone asks for all gaps together; None: nobody does."""
    if show:
        return "show"
    if request.denoising.steps is not None:
        return "steps"
    return None if request.denoising.threshold is None else "threshold"


class DenoisingFiller:
    """Fills gaps with one model; see `filling.Filler`, which this can stand in for."""

    def __init__(
        self,
        model: MaskedPredictor,
        tokenizer: Tokenizer,
        *,
        show: Show | None = None,
    ) -> None:
        self._denoiser = Denoiser(model, tokenizer)
        self._tokenizer, self._mask, self._show = tokenizer, model.mask, show
        self._context_length = model.length + 1

    @staticmethod
    def check(request: FillRequest, *, alone: bool = True) -> None:
        """Raises UsageError for options that need the text from left to right.

        Args:
            alone: whether the options are for no other texts, whose gaps have no numbers.

        """
        unused = {
            "--max-new-tokens": (request.max_new_tokens, "[N] says how many tokens a gap has"),
            "--order": (request.order != "spm", "the model reads both sides of a gap at once"),
        }
        for name, (given, why) in unused.items():
            if given and alone:
                raise UsageError(f"gaps [N] cannot be filled with {name}", why=why)
        wrong = {
            "penalties and --logit-bias": request.penalties != NO_PENALTIES,
            "structured output": request.structured.source is not None,
            "--min-new-tokens": request.min_new_tokens > 0,
            "--stop": bool(request.stop),
            "--best-of": request.best_of > 1,
        }
        for name, given in wrong.items():
            if given:
                raise UsageError(
                    f"gaps [N] cannot be filled with {name}",
                    why="a run trained with --masked chooses their tokens in any order",
                )

    def fill(self, requests: Requests[FillRequest], *, first: int = 0) -> Iterator[MiddleEvent]:
        """Fills every gap of every text; those of one text come together.

        Args:
            first: the number of the first text.

        Raises:
            UsageError: a gap has no number, or is longer than the context.

        """
        while (request := requests.take(wait=True)) is not None:
            job, first = FillJob(request, first), first + 1
            canvas = self._canvas(job.text)
            random = row_random(request.seed)
            self._tell(job, canvas)
            for _ in self._denoiser.denoise(canvas, request.denoising, request.sampling, random):
                self._tell(job, canvas)
            for number, gap in enumerate(canvas.gaps):
                text = self._text(canvas, gap)
                job.gaps.append(
                    FilledGap(
                        text[number in canvas.spaces :],
                        canvas.ids[gap.start : gap.stop].tolist(),
                        [canvas.logprobs[place] for place in gap],
                        "length",
                    )
                )
                yield MiddleEvent(job, job.gaps[-1].text, ended=True)

    def _canvas(self, text: GappedText) -> Canvas:
        require_numbers(text, self._context_length)
        ids: list[int] = []
        gaps: list[range] = []
        spaces: set[int] = set()
        spelled, heals = self._tokenizer.token_bytes, self._denoiser.has_spaced_tokens
        for number, (part, count) in enumerate(zip(text.parts, [*text.tokens, 0], strict=True)):
            own = self._tokenizer.encode_continuation(part) if part else []
            if count and heals and own and spelled[own[-1]] == b" ":
                own.pop()
                spaces.add(number)
            ids += own
            if count:
                gaps.append(range(len(ids), len(ids) + count))
                ids += [self._mask] * count
        return Canvas(np.array(ids, np.int64), gaps, spaces, {})

    def _text(self, canvas: Canvas, gap: range) -> str:
        """What stands in a gap: whole characters once it is filled."""
        spelled = self._tokenizer.token_bytes
        known = [spelled[canvas.ids[place]] for place in gap if place in canvas.logprobs]
        return b"".join(known).decode(errors="replace")

    def _tell(self, job: FillJob, canvas: Canvas) -> None:
        """Shows how far a text is, if that is wanted."""
        if self._show is None:
            return
        shown: list[tuple[str | None, int | None]] = []
        for number, (part, gap) in enumerate(
            zip(job.text.parts, [*canvas.gaps, range(0)], strict=True)
        ):
            if number in canvas.spaces and gap.start in canvas.logprobs:
                part = part[:-1]  # the token has the space
            shown.append((part, None))
            place = gap.start
            while place < gap.stop:
                end = place
                while end < gap.stop and end in canvas.logprobs:
                    end += 1
                if end > place:
                    shown.append((self._text(canvas, range(place, end)), number))
                else:
                    shown.append((None, number))
                    end += 1
                place = end
        self._show(shown)
