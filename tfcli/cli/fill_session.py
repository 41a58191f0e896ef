"""One call of `fill`: from texts, through the model, to an output format."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.best_step import open_best_step
from tfcli.cli.command import flag
from tfcli.cli.denoising_view import DenoisingView
from tfcli.cli.fill_output import EscapedFill, FillFormat, FillRow, JsonFill, LateFill, PlainFill
from tfcli.cli.generation_progress import ReadingProgress
from tfcli.errors import DataError, TfcliError
from tfcli.generation.choosing_filler import ChoosingFiller
from tfcli.generation.filling import Filler, FillJob, infill_tokens_of
from tfcli.generation.gaps import parse_gaps
from tfcli.generation.masked_filling import DenoisingFiller, fills_at_once
from tfcli.generation.masked_model import (
    open_masked,
    reads_both_ways,
    require_torch,
)
from tfcli.generation.open_engine import Opened, open_engine
from tfcli.options import OptionError
from tfcli.runs.infill_tokens import find_run_infill_tokens
from tfcli.runs.run import find_run
from tfcli.text.encoding import UTF8_BOM, decode_line
from tfcli.text.escapes import unescape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.cli.fill_options import FillOptions
    from tfcli.cli.shared_options import EngineOptions
    from tfcli.cli.stdin_lines import ArrivingLines
    from tfcli.generation.fill_request import FillRequest
    from tfcli.generation.gaps import GappedText
    from tfcli.runs.valid_steps import ValidStep


class FillFeed:
    """The texts of a session as the filler takes them; invalid lines are answered at once."""

    def __init__(
        self,
        texts: Iterator[GappedText | TfcliError],
        output: FillFormat,
        request: FillRequest,
        *,
        samples: int,
        arriving: ArrivingLines | None = None,
    ) -> None:
        self._texts, self._output, self._request = texts, output, request
        self._samples, self._arriving = samples, arriving
        self._waiting: Iterator[FillRow] = iter(())  # samples of the text that was taken last
        self.taken: dict[int, FillRow] = {}
        self.lines = self.failures = self._count = 0

    def take(self, *, wait: bool) -> FillJob | None:
        """See `tfcli.generation.filling.FillJobs`."""
        while (row := next(self._waiting, None) or self._next(wait)) is not None:
            self._output.begin(row)
            if row.job is not None:
                self.taken[row.number] = row
                return row.job
            self.failures += 1
        return None

    def _next(self, wait: bool) -> FillRow | None:
        if self._arriving and not wait and not self._arriving.has_line():
            return None
        text = next(self._texts, None)
        if text is None:
            return None
        self.lines += 1
        self._waiting = self._rows(text)
        return next(self._waiting)

    def _rows(self, text: GappedText | TfcliError) -> Iterator[FillRow]:
        for sample in range(1 if isinstance(text, TfcliError) else self._samples):
            number = self._count
            self._count += 1
            if isinstance(text, TfcliError):
                yield FillRow(number, self.lines, sample, None, text)
            else:
                request = self._request.with_next_seed(number)
                yield FillRow(number, self.lines, sample, FillJob(text, request, number))


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
        self._infills = find_run_infill_tokens(self._run, self._tokenizer) is not None
        if not reads_both_ways(self._run):
            infill_tokens_of(self._run, self._tokenizer)  # an error where it cannot fill at all
        self._notes = streams.DeferredNotes(reporter)

    def fill(self, text: GappedText, request: FillRequest, output: FillFormat) -> None:
        """Fills one text, as often as samples are wanted."""
        self._check(text, request)
        if self._options.show:
            output = LateFill(output)
        self._fill(iter([text]), request, output, rows=self._options.samples)

    def fill_lines(self, lines: ArrivingLines, request: FillRequest, output: FillFormat) -> None:
        """Fills the text of each line.

        Raises:
            DataError: a line is invalid; all others are filled.

        """
        numbered = parse_gaps("[1]")
        if self._at_once(numbered, request) and not self._infills:
            self._check(numbered, request)  # before any line is read: none is at fault
        texts = (self._parse_line(line, number, request) for number, line in enumerate(lines, 1))
        feed = self._fill(texts, request, output, rows=self._options.batch_size, arriving=lines)
        if feed.failures:
            raise DataError(f"invalid lines: {feed.failures:,} of {feed.lines:,}")

    def _check(self, text: GappedText, request: FillRequest) -> None:
        """Raises UsageError for a text that the run cannot fill as the options say."""
        if self._at_once(text, request):
            DenoisingFiller.check(request)
            model = self._model
            require_torch(
                engine=model.engine, int8=model.int8, memory=model.memory,
                what="filling gaps [N]",
            )  # fmt: skip

    def _parse_line(
        self, line: bytes, number: int, request: FillRequest
    ) -> GappedText | TfcliError:
        try:
            data = line.removeprefix(UTF8_BOM) if number == 1 else line
            text = parse_gaps(unescape(decode_line(data, number).removesuffix("\r")))
            self._check(text, request)
            return text
        except TfcliError as error:
            said = error.spelled(flag) if isinstance(error, OptionError) else error
            return DataError(f"line {number}: {said.what}", why=said.why, hint=said.hint)

    def _fill(
        self,
        texts: Iterator[GappedText | TfcliError],
        request: FillRequest,
        output: FillFormat,
        *,
        rows: int,
        arriving: ArrivingLines | None = None,
    ) -> FillFeed:
        rows = min(rows, self._options.batch_size)
        filler = ChoosingFiller(
            lambda job: self._at_once(job.text, request),
            self._open_masked,
            partial(self._open, rows, request),
        )
        feed = FillFeed(texts, output, request, samples=self._options.samples, arriving=arriving)
        ends: list[str] = []
        for event in filler.fill(feed):
            output.add(feed.taken[event.job.number], event)
            if event.ended:
                place = len(event.job.gaps) - 1
                reason = event.job.gaps[place].finish_reason
                asked = reason == "length" and event.job.text.tokens[place] is not None
                ends.append("asked" if asked else reason)
            if event.ended and event.job.complete:
                del feed.taken[event.job.number]
        output.close()
        if cut := ends.count("length"):
            which = "the gap" if len(ends) == 1 else f"{cut:,} of {len(ends):,} gaps"
            self._notes(f"{which}: token limit reached before the end of the gap")
        self._notes.release()
        if incomplete := ends.count("incomplete"):
            raise DataError(
                f"{incomplete:,} of {streams.counted(len(ends), 'gap')} incomplete: a limit was "
                "reached before the format was matched",
                hint="raise --max-new-tokens, or the number in [N]",
            )
        return feed

    def _open_masked(self) -> DenoisingFiller:
        open_with = partial(open_masked, self._run, device=self._model.device)
        masked = self._chosen(open_with)
        view = DenoisingView() if self._options.show else None
        return DenoisingFiller(masked, self._tokenizer, show=view.show if view else None)

    def _open(self, rows: int, request: FillRequest) -> Filler:
        model = self._model
        reading = ReadingProgress(shown=not self._reporter.quiet)
        open_with = partial(
            open_engine, self._run, device=model.device, rows=rows, engine=model.engine,
            int8=model.int8, memory=model.memory, on_read=reading.show,
        )  # fmt: skip
        tokens = infill_tokens_of(self._run, self._tokenizer)
        engine = self._chosen(open_with)
        filler = Filler(engine, self._tokenizer, tokens, rows=rows, notice=self._notes)
        filler.check(request)
        return filler

    def _chosen(self, open_with: Callable[[ValidStep], Opened]) -> Opened:
        """Opens the run's best step."""
        return open_best_step(self._run, self._step, open_with, self._reporter)[1]


def fill_format(options: FillOptions, *, json: bool) -> FillFormat:
    """The format that the options ask for."""
    if json:
        return JsonFill()
    if options.lines:
        return EscapedFill(only=options.middle_only)
    return PlainFill(only=options.middle_only, samples=options.samples)
