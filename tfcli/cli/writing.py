"""One call of `generate`: where requests come from, and where what is written goes."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.formats import Result
from tfcli.cli.stdin_lines import StdinLines
from tfcli.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tfcli.cli.formats import OutputFormat
    from tfcli.generation.constraints import ConstraintKind
    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.open_engine import EngineName
    from tfcli.generation.request import GenerationRequest
    from tfcli.generation.request_lines import RequestLine
    from tfcli.text.tokenizer import Tokenizer
    from tfcli.training.machine import Device

PATIENCE = 2.0  # seconds before progress is shown
FRAME = 0.25  # seconds between two looks of it


@dataclass(frozen=True, kw_only=True)
class GenerationSession:
    """What the options of one call came to."""

    run: str | None
    request: GenerationRequest
    samples: int
    rows: int
    deadline: float | None
    form: tuple[ConstraintKind, str] | None
    int8: bool
    engine: EngineName
    device: Device
    reporter: streams.Reporter
    started: float
    stats: bool

    @cached_property
    def notes(self) -> Notes:
        """Where notes on the writing go."""
        return Notes(self.reporter)

    def answer(self, prompt: str, form: OutputFormat) -> None:
        """Writes the texts of one prompt."""
        from tfcli.generation.request_lines import RequestLine

        engine, tokenizer, many = self._open(min(self.rows, self.samples))
        request = replace(self._request(tokenizer), prompt=prompt)
        feed = RequestFeed(iter([RequestLine(1, request)]), form, samples=self.samples)
        self._write(engine, tokenizer, many, feed, form)

    def answer_rows(self, form: OutputFormat, *, json: bool) -> None:
        """Writes the texts that the lines of stdin ask for.

        Raises:
            DataError: a line made no sense; all others are answered.

        """
        from tfcli.generation.request_lines import parse_json_line, parse_plain_line

        # they are read while the model is opened
        arriving = StdinLines("requests" if json else "prompts", self.deadline)
        engine, tokenizer, many = self._open(self.rows)
        request = self._request(tokenizer)
        parse = (
            partial(parse_json_line, default=request, vocab_size=tokenizer.vocab_size)
            if json
            else partial(parse_plain_line, default=request)
        )
        numbered = enumerate(arriving, 1)
        rows = (parse(line, number) for number, line in numbered if not json or line.strip())
        feed = RequestFeed(
            rows, form, samples=self.samples, arriving=arriving, deadline=self.deadline
        )
        self._write(engine, tokenizer, many, feed, form)
        if feed.cut:
            raise DataError(
                f"the time was over after {feed.count} rows, and there were more",
                hint="a longer --max-time, or fewer rows",
            )
        if feed.failures:
            raise DataError(
                f"{feed.failures} of {feed.count} rows could not be answered",
                why="each says so in its place" if json else None,
            )

    def search(self, prompt: str, form: OutputFormat, beams: int) -> None:
        """Writes the likeliest texts that a search finds."""
        from tfcli.generation.beam import beam_search
        from tfcli.generation.generate import Finished, Generator, TokenEvent
        from tfcli.generation.request_lines import RequestLine

        engine, tokenizer, many = self._open(beams)
        generator = Generator(engine, tokenizer, many_documents=many, notice=self.notes)
        request = replace(self.request, prompt=prompt)
        view = generator.first_view(request)
        room = engine.context_length - len(view) + 1
        if room < request.max_new_tokens:
            self.notes(f"a search ends where the context is full, after {room} tokens here")
        found = beam_search(
            engine,
            tokenizer,
            view,
            beams=beams,
            max_new_tokens=request.max_new_tokens,
            adjust=generator.adjuster(request),
        )
        for number, text in enumerate(found[: self.samples]):
            result = Result(number, RequestLine(1, request), text.score)
            form.begin(result)
            for token in text.tokens:
                spelled = tokenizer.token_bytes[token]
                form.piece(result, TokenEvent(0, token, spelled, spelled, None))
            form.finish(result, Finished(0, b"", "end" if text.ended else "length"))
        form.close()
        self.notes.release()

    def converse(self, prompt: str | None) -> None:
        """Writes together with a person."""
        from tfcli.cli.interactive import Conversation
        from tfcli.generation.generate import Generator

        engine, tokenizer, many = self._open(1)
        generator = Generator(engine, tokenizer, many_documents=many, notice=self.notes)
        Conversation(generator, self._request(tokenizer), self.reporter, self.notes).run(prompt)

    def _request(self, tokenizer: Tokenizer) -> GenerationRequest:
        """The request without its prompt, with the form that texts are to have."""
        if self.form is None:
            return self.request
        from tfcli.generation.constraints import Grammar

        return replace(self.request, grammar=Grammar(*self.form, tokenizer))

    def _open(self, rows: int) -> tuple[Engine, Tokenizer, bool]:
        """The engine, the tokenizer, and whether there were several documents."""
        from tfcli.generation.open_engine import open_best, open_engine
        from tfcli.generation.request_lines import check_bias
        from tfcli.runs.run import find_run

        run, step_path = find_run(self.run)
        tokenizer = run.tokenizer()
        check_bias(self.request, tokenizer.vocab_size, "--logit-bias")
        opened = partial(
            open_engine, run, device=self.device, rows=rows, engine=self.engine, int8=self.int8
        )
        step, engine = open_best(run, step_path, opened, damaged=self.reporter.warn)
        if self.reporter.warned:
            self.reporter.note(f"Used instead: {step.path.name}.")
        return engine, tokenizer, run.metadata["corpus"]["documents"] > 1

    def _write(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        many: bool,
        feed: RequestFeed,
        form: OutputFormat,
    ) -> None:
        from tfcli.generation.generate import Generator, TokenEvent

        generator = Generator(
            engine,
            tokenizer,
            rows=self.rows,
            many_documents=many,
            deadline=self.deadline,
            logprobs=form.logprobs,
            notice=self.notes,
        )
        unfinished = 0
        pace = Throughput(self.started, engine.weight_bytes)
        with Progress(feed, pace, shown=feed.many and not self.reporter.quiet) as progress:
            for event in generator.write(feed):
                result = feed.taken[event.index]
                if isinstance(event, TokenEvent):
                    pace.count()
                    form.piece(result, event)
                else:
                    form.finish(result, event)
                    feed.finished(event.index)
                    unfinished += event.reason == "unfinished"
                progress.show()
        form.close()
        self.notes.release()
        if self.stats:
            streams.say(f"{pace.report(alone=feed.count == 1)} Engine: {engine.description}.")
        if unfinished:
            raise DataError(
                f"{unfinished} of {feed.count} texts ended before they had the form asked for",
                hint="more --max-new-tokens, if there is a text of that form at all",
            )


class Notes:
    """Notes on a text, which wait for its end where they would stand in the middle of it."""

    def __init__(self, reporter: streams.Reporter) -> None:
        self._voice = reporter
        self._waiting: list[str] = []

    def __call__(self, text: str) -> None:
        """Says it, or keeps it where text and notes go to the same terminal."""
        self._waiting.append(text)
        if not (streams.is_terminal(sys.stdout) and streams.is_terminal(sys.stderr)):
            self.release()

    def release(self) -> None:
        """Says what has waited."""
        while self._waiting:
            self._voice.note(f"Note: {self._waiting.pop(0)}.")


class RequestFeed:
    """The rows of a call as the generator takes them; a row that failed is answered at once.

    Args:
        rows: from the first on.
        samples: of each.
        arriving: what the rows are made from, where they come one by one.
        deadline: after which none is taken.

    """

    def __init__(
        self,
        rows: Iterator[RequestLine],
        form: OutputFormat,
        *,
        samples: int,
        arriving: StdinLines | None = None,
        deadline: float | None = None,
    ) -> None:
        self._rows, self._form, self._samples = rows, form, samples
        self._arriving, self._deadline = arriving, deadline
        self.many = arriving is not None
        self.taken: dict[int, Result] = {}
        self._waiting: Iterator[RequestLine] = iter(())  # samples of the line that was taken last
        self.cut = False  # whether the time was over before all lines were taken
        self._indices = 0
        self.count = self.failures = self.complete = 0

    def take(self, *, wait: bool) -> GenerationRequest | None:
        """See `tfcli.generation.generate.Requests`."""
        while (row := next(self._waiting, None) or self._next(wait)) is not None:
            result = Result(self.count, row)
            self.count += 1
            self._form.begin(result)
            if row.request is not None:
                self.taken[self._indices] = result
                self._indices += 1
                return row.request
            self.failures += 1
            self._form.finish(result, None)
        return None

    def _next(self, wait: bool) -> RequestLine | None:
        """The first sample of the next line, if there is one; or if it is to be waited for."""
        from tfcli.generation.request_lines import repeat

        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.cut = self._arriving is not None and self._arriving.has_more()
            return None
        if self._arriving and not wait and not self._arriving.has_line():
            return None
        row = next(self._rows, None)
        if row is None:
            return None
        self._waiting = repeat(row, self._samples, self.count)
        return next(self._waiting)

    def finished(self, index: int) -> None:
        """A text is complete, and no more is kept of it."""
        del self.taken[index]
        self.complete += 1


class Throughput:
    """How fast a call is."""

    def __init__(self, started: float, weight_bytes: int) -> None:
        self._started, self._weight_bytes = started, weight_bytes
        self.tokens = 0
        self._first = self._last = started

    def count(self) -> None:
        """A token was written."""
        self._last = time.monotonic()
        if not self.tokens:
            self._first = self._last
        self.tokens += 1

    @property
    def per_second(self) -> float:
        """Tokens, after the first."""
        return (self.tokens - 1) / (self._last - self._first) if self.tokens > 1 else 0.0

    def report(self, *, alone: bool) -> str:
        """For `--stats`; what is read of the weights can be told of a text that is alone."""
        if not self.tokens:
            return "No token was written."
        said = f"First token after {self._first - self._started:.2f} s"
        if self.tokens > 1:
            said += f", then {self.per_second:,.0f} tokens/s"
        if alone and self.tokens > 1:
            from tfcli.generation.engines.bandwidth import memory_bandwidth

            read = self.per_second * self._weight_bytes / 1e9
            said += (
                f": {read:.1f} GB/s of weights, where the memory of this machine gives "
                f"{memory_bandwidth() / 1e9:.1f}"
            )
        return f"{said}."


class Progress:
    """A line on stderr for a person, once many texts take long."""

    def __init__(self, feed: RequestFeed, pace: Throughput, *, shown: bool) -> None:
        self._feed, self._pace = feed, pace
        on_terminal = streams.is_terminal(sys.stderr) and not streams.is_terminal(sys.stdout)
        self._shown = shown and on_terminal  # a terminal with both would lose text to it
        self._next = time.monotonic() + PATIENCE
        self._drawn = False

    def __enter__(self) -> Progress:
        return self

    def show(self) -> None:
        """Draws the line anew, now and then."""
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + FRAME
            self._drawn = True
            streams.draw_line(
                f"{self._feed.complete:,} texts, {self._pace.tokens:,} tokens, "
                f"{self._pace.per_second:,.0f} tokens/s"
            )

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            streams.draw_line("")
