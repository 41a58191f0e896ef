"""One call of `generate`: from requests, through the model, to an output format."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.empty_texts import EmptyTexts
from tfcli.cli.format_report import FormatReport
from tfcli.cli.generation_progress import Progress, ReadingProgress, Throughput
from tfcli.cli.output_formats import (
    EscapedLines,
    JsonLines,
    OutputFormat,
    Plain,
    Result,
    Surprisal,
)
from tfcli.cli.request_feed import RequestFeed, parse_lines
from tfcli.cli.stdin_lines import open_lines
from tfcli.cli.voted import Voted
from tfcli.errors import DataError
from tfcli.generation.messages import with_system
from tfcli.generation.request import LENGTH, PROMPT, SAMPLING, Sampling, StructuredOutput
from tfcli.options import OptionError, Options, option, options_of
from tfcli.quantities import counted, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tfcli.cli.chat_options import ChatOptions
    from tfcli.cli.shared_options import EngineOptions
    from tfcli.generation.chat import Chat
    from tfcli.generation.engines.engine import Engine
    from tfcli.generation.generate import Finished, Generator, TokenEvent
    from tfcli.generation.messages import Messages
    from tfcli.generation.request import GenerationRequest
    from tfcli.runs.run import Run
    from tfcli.text.pairs import PairForm
    from tfcli.text.tokenizer import Tokenizer

    Feed = RequestFeed[GenerationRequest, Result]

BATCH = "Batch"


@dataclass(frozen=True, kw_only=True)
class SessionOptions(Options):
    """What a call of `generate` does with its requests, whatever they are."""

    max_time: float | None = option(
        None, metavar="TIME", shown_default="no limit", panel=LENGTH, from_text=parse_duration,
        help="Stop after this time, such as 10s, counted from the first byte of the prompt.",
    )  # fmt: skip
    echo: bool = option(False, panel=PROMPT, help="Print the prompt first.")
    num_beams: int = option(
        1, min=1, max=64, off=1, panel=SAMPLING,
        conflicts=(*options_of(Sampling), *options_of(StructuredOutput), "stop", "logprobs",
                   "stats"),
        help="Beam search: keep the N most likely texts instead of sampling; 1: off.",
    )  # fmt: skip
    samples: int = option(1, short="n", min=1, off=1, panel=BATCH, help="Samples per prompt.")
    vote: int = option(
        1, min=1, off=1, panel=BATCH,
        conflicts=("samples", "greedy", "num_beams", "logprobs", "interactive", "stats"),
        help="Sample N texts for each prompt and write the most frequent one; 1: off.",
    )  # fmt: skip
    lines: bool = option(
        False, panel=BATCH, conflicts=("jsonl", "interactive", "num_beams", "logprobs"),
        help="Read one prompt per line from stdin.",
    )  # fmt: skip
    jsonl: bool = option(
        False, panel=BATCH, aliases=("json",),
        help="Write JSON lines; read a request per line from stdin, or from a file as PROMPT.",
    )  # fmt: skip
    batch_size: int = option(
        32, min=1, max=4096, panel=BATCH, help="Sequences generated at a time."
    )
    interactive: bool = option(
        False, short="i", panel=PROMPT, help="Start an interactive session.",
        conflicts=("jsonl", "samples", "num_beams", "logprobs", "echo", "stats", "max_time"),
    )  # fmt: skip
    logprobs: bool = option(
        False, conflicts=("echo",),
        help="Color each token by its surprisal, or list it in a pipe.",
    )  # fmt: skip
    unconditional: bool = option(
        False, panel=PROMPT, conflicts=("lines", "interactive"),
        help="Generate from the start of a document, without a prompt.",
    )  # fmt: skip
    no_stdin: bool = option(
        False, panel=PROMPT, conflicts=("lines", "interactive"), help="Do not read stdin."
    )
    stats: bool = option(False, help="Report the speed.")

    @property
    def drawn(self) -> int:
        """How many texts are generated for each prompt."""
        return max(self.samples, self.vote)


def output_format(
    options: SessionOptions, request: GenerationRequest, chat: Chat | None = None
) -> OutputFormat:
    """The format that the options ask for."""
    if options.vote > 1:
        return Voted(output_format(replace(options, vote=1), request, chat), options.vote)
    if options.logprobs and not options.jsonl:  # whose lines have them
        return Surprisal(samples=options.samples)
    if options.jsonl:
        return JsonLines(echo=options.echo, chat=chat)
    if chat:
        from tfcli.cli.chat_output import EscapedAnswers, PlainAnswers

        if options.lines:
            return EscapedAnswers(chat, echo=options.echo)
        return PlainAnswers(chat, echo=options.echo, samples=options.samples)
    if options.lines:
        return EscapedLines(echo=options.echo)
    is_value = request.structured.source is not None
    return Plain(
        echo=options.echo,
        samples=options.samples,
        ends_line=is_value or options.samples > 1,
        numbered=not is_value or streams.is_terminal(sys.stdout),
    )


class GenerationSession:
    """Opens a run's model and answers requests with it.

    Args:
        limited: whether the person has said how many tokens an answer may have.

    """

    def __init__(
        self,
        options: SessionOptions,
        model: EngineOptions,
        chat: ChatOptions,
        *,
        reporter: streams.Reporter,
        started: float,
        limited: bool,
    ) -> None:
        self._options, self._model, self._chat_options = options, model, chat
        self._limited = limited
        self._reporter, self._started = reporter, started
        self._reading = ReadingProgress(shown=not reporter.quiet)
        self._deadline: float | None = None
        if options.max_time is not None:
            self._deadline = time.monotonic() + options.max_time
        self.notes = streams.DeferredNotes(reporter)
        self.form: PairForm | None = None  # of the run, once it is open

    def count_from(self, moment: float) -> None:
        """Counts the time limit from here on, by `time.monotonic()`."""
        if self._options.max_time is not None:
            self._deadline = moment + self._options.max_time

    def open(self, rows: int = 1, *, logprobs: bool = False) -> Generator:
        """The run's model, with room for so many texts at a time."""
        return self._open(rows, logprobs)[0]

    @cached_property
    def run(self) -> tuple[Run, Path | None]:
        """The run, and its step if one was named."""
        from tfcli.runs.run import find_run

        return find_run(self._model.run)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return self.run[0].tokenizer()

    @cached_property
    def chat(self) -> Chat | None:
        """What makes requests of conversations, if this is a chat."""
        if not self._chat_options.chat:
            return None
        from tfcli.generation.chat import Chat
        from tfcli.runs.chat_template import open_chat_template

        run, _ = self.run
        template = open_chat_template(run)  # first: it starts a process
        length = run.model_config.context_length
        return Chat(template, self._tokenizer, context_length=length, notice=self.notes)

    def with_length(self, request: GenerationRequest) -> GenerationRequest:
        """In a chat, an answer has room for half the context, where nobody has said anything."""
        if self.chat is None or self._limited:
            return request
        return replace(request, max_new_tokens=self.chat.usual_length)

    def _as_turn(self, messages: Messages | None, request: GenerationRequest) -> GenerationRequest:
        """The request for an answer to a conversation, or to the prompt; others as they are."""
        if self.chat is None:
            return request
        if request.special:
            raise OptionError("special", "cannot be combined with", "chat")
        messages = messages or [{"role": "user", "content": request.prompt}]
        return self.chat.request(with_system(messages, self._chat_options.system), request)

    def answer(self, request: GenerationRequest) -> None:
        """Generates the texts of one prompt."""
        from tfcli.generation.request_lines import RequestLine

        options = self._options
        output = output_format(options, request, self.chat)
        beams = options.num_beams
        if 1 < beams < options.samples:
            raise OptionError("samples", f"must not be more than {beams}, the number of beams")
        rows = min(options.batch_size, options.drawn) if beams == 1 else beams
        generator, engine, tokenizer = self._open(rows, output.logprobs and beams == 1)
        request = self._as_turn(None, self.with_length(request))
        generator.check(request)
        feed = RequestFeed(iter([RequestLine(1, request)]), output, Result, samples=options.drawn)
        if beams > 1:
            events = self._search(generator, engine, tokenizer, feed)
        else:
            events = generator.stream(feed)
        self._write(events, engine, feed, output).raise_if_incomplete()

    def answer_lines(
        self, default: GenerationRequest, *, json: bool, file: Path | None = None
    ) -> None:
        """Generates the texts that the lines of a file ask for, or of stdin without one.

        Raises:
            DataError: a line is invalid; all others are answered.

        """
        from tfcli.generation.request_lines import parse_json_line, parse_plain_line

        if self._options.num_beams > 1:
            raise OptionError("num_beams", "requires a single prompt")
        arriving = open_lines(file, "requests" if json else "prompts", self._deadline)
        # the lines are read while the model is opened
        output = output_format(self._options, default, self.chat)
        default = self.with_length(default)
        generator, engine, _ = self._open(self._options.batch_size, output.logprobs)
        generator.check(default)
        turn = self._as_turn if self.chat else None
        parse = (
            partial(parse_json_line, default=default, check=generator.check, turn=turn)
            if json
            else partial(parse_plain_line, default=default, turn=turn)
        )
        feed = RequestFeed(
            parse_lines(arriving, parse, json=json), output, Result,
            samples=self._options.drawn, arriving=arriving, deadline=self._deadline,
        )  # fmt: skip
        formats = self._write(generator.stream(feed), engine, feed, output)
        if not (file or feed.lines) and self._deadline and time.monotonic() >= self._deadline:
            raise DataError(
                "no line came on standard input in time",
                why=f"--max-time is {self._options.max_time:g} s, and the other end is still open",
            )
        if feed.cut:
            raise DataError(
                f"the time limit was reached after {counted(feed.lines, 'request')}; "
                "the rest were not answered",
                hint="raise --max-time, or send fewer lines",
            )
        if feed.failures:
            incomplete = formats.incomplete()
            raise DataError(
                f"invalid lines: {feed.failures:,} of {feed.lines:,}"
                + (f"; {incomplete.what}" if incomplete else ""),
                why="each has an error object in its place" if json else None,
                hint=incomplete.hint if incomplete else None,
            )
        formats.raise_if_incomplete()

    def _open(self, rows: int, logprobs: bool = False) -> tuple[Generator, Engine, Tokenizer]:
        from tfcli.cli.best_step import open_best_step
        from tfcli.generation.generate import Generator
        from tfcli.generation.open_engine import open_engine

        model = self._model
        run, step_path = self.run
        open_with = partial(
            open_engine, run, device=model.device, rows=rows, engine=model.engine, int8=model.int8,
            memory=model.memory, on_read=self._reading.show,
        )  # fmt: skip
        with ThreadPoolExecutor(1) as beside:
            # hashing the weights needs no lock of Python's: meanwhile the tokenizer is read
            opening = beside.submit(open_best_step, run, step_path, open_with, self._reporter)
            chat, tokenizer, self.form = self.chat, self._tokenizer, run.form
            _, engine = opening.result()
        tokenizer = chat.tokenizer if chat else tokenizer
        generator = Generator(
            engine,
            tokenizer,
            rows=rows,
            many_documents=run.many_documents,
            form=self.form,
            deadline=self._deadline,
            logprobs=logprobs,
            notice=self.notes,
        )
        return generator, engine, tokenizer

    def _search(
        self, generator: Generator, engine: Engine, tokenizer: Tokenizer, feed: Feed
    ) -> Iterator[TokenEvent | Finished]:
        """The most likely texts that a beam search finds, the best first."""
        from tfcli.generation.beam import beam_search
        from tfcli.generation.generate import Finished, TokenEvent

        request = feed.take(wait=True)
        assert request is not None
        ids, taken = generator.read_prompt(request, most_taken=1)  # as logits_processor does
        overlap = len(tokenizer.decode_continuation(taken))
        room = engine.context_length - len(ids) + 1
        if room < request.max_new_tokens:
            self.notes(f"beam search ends where the context is full, after {room:,} tokens")
        found = beam_search(
            engine, tokenizer, ids,
            beams=self._options.num_beams, max_new_tokens=request.max_new_tokens,
            deadline=self._deadline, logits_processor=generator.logits_processor(request),
        )  # fmt: skip
        for index, text in enumerate(found[: self._options.samples]):
            if index:
                feed.take(wait=True)
            for place, token in enumerate(text.tokens):
                spelled = tokenizer.token_bytes[token]
                spelled = spelled[overlap:] if place == 0 else spelled
                yield TokenEvent(index, token, spelled, spelled, None)
            yield Finished(index, b"", text.reason, score=text.score)

    def _write(
        self,
        events: Iterator[TokenEvent | Finished],
        engine: Engine,
        feed: Feed,
        output: OutputFormat,
    ) -> FormatReport:
        from tfcli.generation.generate import TokenEvent

        formats, empty = FormatReport(), EmptyTexts()
        in_time, cut = True, 0
        throughput = Throughput(self._started, engine.weight_bytes)
        shown = feed.many and not self._reporter.quiet
        with Progress(throughput, shown=shown) as progress:
            for event in events:
                result = feed.taken[event.index]
                self._reading.text_began()
                if isinstance(event, TokenEvent):
                    throughput.count()
                    output.token(result, event)
                    empty.token(event)
                else:
                    output.finish(result, event)
                    empty.finish(event)
                    feed.finished(event.index)
                    formats.add(event)
                    in_time &= event.reason != "timeout"
                    cut += event.reason == "length"
                progress.show(feed.complete)
        output.close()
        for note in (formats.note(), empty.note(single=feed.count == 1)):
            if note:
                self.notes(note)
        if self.chat and cut and not self._limited:
            self.notes(f"{counted(cut, 'answer')} cut off; --max-new-tokens gives more room")
        if not in_time and not throughput.tokens:
            self.notes("--max-time was over before the first token")
        self.notes.release()
        if self._options.stats:
            report = throughput.report(single=feed.count == 1)
            streams.say(f"{report} Engine: {engine.description}.")
        return formats
