"""One call of `fill`: from texts, through the model, to an output format."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.best_step import open_best_step
from tfcli.cli.command import flag
from tfcli.cli.denoising_view import DenoisingView
from tfcli.cli.empty_texts import WAY_ON
from tfcli.cli.fill_output import (
    EscapedFill,
    FillFormat,
    FillResult,
    JsonFill,
    LateFill,
    PlainFill,
)
from tfcli.cli.generation_progress import ReadingProgress
from tfcli.cli.request_feed import RequestFeed, parse_lines
from tfcli.errors import DataError, UsageError
from tfcli.generation.best_fill import BestFiller
from tfcli.generation.choosing_filler import ChoosingFiller
from tfcli.generation.fill_lines import parse_json_line, parse_plain_line
from tfcli.generation.filling import Filler, infill_tokens_of
from tfcli.generation.gaps import parse_gaps
from tfcli.generation.masked_filling import DenoisingFiller, fills_at_once
from tfcli.generation.masked_model import (
    open_masked,
    reads_both_ways,
    require_torch,
)
from tfcli.generation.open_engine import Opened, open_engine
from tfcli.generation.request_lines import RequestLine
from tfcli.options import OptionError
from tfcli.quantities import counted
from tfcli.runs.infill_tokens import find_run_infill_tokens
from tfcli.runs.run import find_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.cli.fill_options import FillOptions
    from tfcli.cli.shared_options import EngineOptions
    from tfcli.cli.stdin_lines import ArrivingLines
    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.fill_request import FillRequest
    from tfcli.runs.valid_steps import ValidStep


# What is said of how gaps ended, if not as they should.
END_NOTES = {
    "length": "token limit reached before the end of the gap",
    "empty": "the model finds that nothing is missing",
    "stopped": f"the model began with a stop text; {WAY_ON}",
}


class FillSession:
    """Opens a run's model and fills gaps with it.

    Raises:
        UsageError: the run was not trained to fill gaps.

    """

    def __init__(
        self, model: EngineOptions, options: FillOptions, *, reporter: streams.Reporter
    ) -> None:
        self._model, self._options, self._reporter = model, options, reporter
        self._run, self._step = find_run(model.run)
        self._tokenizer = self._run.tokenizer()
        self._at_once = partial(fills_at_once, self._run, self._tokenizer, show=options.show)
        self._infills = find_run_infill_tokens(self._run.metadata, self._tokenizer) is not None
        if not reads_both_ways(self._run):
            infill_tokens_of(self._run, self._tokenizer)  # an error where it cannot fill at all
        self._notes = streams.DeferredNotes(reporter)
        self._rows = options.batch_size

    def fill(self, request: FillRequest, output: FillFormat) -> None:
        """Fills one text, as often as samples are wanted."""
        self._require_number()
        self._check(request)
        if self._options.show:
            output = LateFill(output)
        self._rows = min(self._rows, max(self._options.samples, request.best_of))
        samples = self._options.samples
        self._fill(
            RequestFeed(iter([RequestLine(1, request)]), output, FillResult, samples=samples),
            output,
        )

    def _require_number(self) -> None:
        """Refuses a gap between two files, which has no number, where the run needs it."""
        if self._infills:
            return
        before, after = (
            "" if file is None else f"cat {shlex.quote(file)}; "
            for file in (self._options.prefix, self._options.suffix)
        )
        if before or after:
            raise UsageError(
                "this run cannot fill a gap between --prefix and --suffix",
                why="it was trained with --masked: a gap needs its number of tokens, as in [3]",
                hint=f"({before}printf '[3]'; {after}) | tfcli fill".replace("; )", ")"),
            )

    def fill_lines(
        self, lines: ArrivingLines, request: FillRequest, output: FillFormat, *, json: bool
    ) -> None:
        """Fills the text of each line, or of the request on it.

        Raises:
            DataError: a line is invalid; all others are filled.

        """
        # before any line is read: none is at fault
        numbered = replace(request, text=parse_gaps("[1]"))
        if self._at_once(numbered) and not self._infills:
            self._check(numbered)
        elif self._infills:
            self._filler.check(request)
        parse = (
            partial(parse_json_line, default=request, check=self._check)
            if json
            else partial(parse_plain_line, default=request, check=self._check_flags)
        )
        feed = RequestFeed(
            parse_lines(lines, parse, json=json), output, FillResult,
            samples=self._options.samples, arriving=lines,
        )  # fmt: skip
        self._fill(feed, output)
        if feed.failures:
            raise DataError(f"invalid lines: {feed.failures:,} of {feed.lines:,}")

    def _check(self, request: FillRequest) -> None:
        """Raises UsageError for a text that the run cannot fill as the options say."""
        if not self._at_once(request):
            self._filler.check(request)
            return
        many = self._options.lines or self._options.jsonl
        DenoisingFiller.check(request, alone=not (many and self._infills))
        model = self._model
        require_torch(
            engine=model.engine, int8=model.int8, memory=model.memory,
            what="filling gaps [N]",
        )  # fmt: skip

    def _check_flags(self, request: FillRequest) -> None:
        """The same of a request whose options are those of the command line."""
        try:
            self._check(request)
        except OptionError as error:
            raise error.spelled(flag) from None

    def _fill(self, feed: RequestFeed[FillRequest, FillResult], output: FillFormat) -> None:
        """Fills the texts of a feed.

        Raises:
            DataError: a limit was reached before a gap had the form that was asked for.

        """
        filler = ChoosingFiller(
            self._at_once,
            {
                "at once": lambda: self._denoising,
                "best": lambda: self._best,
                "plain": lambda: self._filler,
            },
        )
        ends: list[str] = []
        several = False  # whether the best of several was taken
        for event in filler.fill(feed):
            result = feed.taken[event.job.number]
            several |= event.job.request.best_of > 1
            output.add(result, event)
            if event.ended:
                place = len(event.job.gaps) - 1
                gap = event.job.gaps[place]
                asked = gap.finish_reason == "length" and event.job.text.tokens[place] is not None
                left_empty = {"eos": "empty", "stop": "stopped"} if not gap.text else {}
                ends.append(
                    "asked" if asked else left_empty.get(gap.finish_reason, gap.finish_reason)
                )
            if event.ended and event.job.complete:
                output.finish(result, event.job)
                feed.finished(event.job.number)
        output.close()
        for end, words in END_NOTES.items():
            if count := ends.count(end):
                which = "the gap" if len(ends) == 1 else f"{count:,} of {len(ends):,} gaps"
                hint = "; --best-of 8 finds an end" if end == "length" and not several else ""
                self._notes(f"{which}: {words}{hint}")
        self._notes.release()
        if incomplete := ends.count("incomplete"):
            raise DataError(
                f"{incomplete:,} of {counted(len(ends), 'gap')} incomplete: a limit was "
                "reached before the format was matched",
                hint="raise --max-new-tokens, or the number in [N]",
            )

    @cached_property
    def _denoising(self) -> DenoisingFiller:
        open_with = partial(open_masked, self._run, device=self._model.device)
        masked = self._chosen(open_with)
        view = DenoisingView() if self._options.show else None
        return DenoisingFiller(masked, self._tokenizer, show=view.show if view else None)

    @cached_property
    def _engine(self) -> Engine:
        model = self._model
        reading = ReadingProgress(shown=not self._reporter.quiet)
        open_with = partial(
            open_engine, self._run, device=model.device, rows=self._rows, engine=model.engine,
            int8=model.int8, memory=model.memory, on_read=reading.show,
        )  # fmt: skip
        return self._chosen(open_with)

    @cached_property
    def _filler(self) -> Filler:
        tokens = infill_tokens_of(self._run, self._tokenizer)
        return Filler(self._engine, self._tokenizer, tokens, rows=self._rows, notice=self._notes)

    @cached_property
    def _best(self) -> BestFiller:
        return BestFiller(self._filler, self._engine, self._tokenizer)

    def _chosen(self, open_with: Callable[[ValidStep], Opened]) -> Opened:
        """Opens the run's best step."""
        return open_best_step(self._run, self._step, open_with, self._reporter)[1]


def fill_format(options: FillOptions) -> FillFormat:
    """The format that the options ask for."""
    if options.jsonl:
        return JsonFill()
    if options.lines:
        return EscapedFill(only=options.middle_only)
    return PlainFill(only=options.middle_only, samples=options.samples)
