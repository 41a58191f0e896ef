"""`tfcli score`: how likely a text is to a model, as a whole, by line or by token."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.output_formats import escaped_bytes, stdout_filter
from tfcli.cli.shared_options import EngineOptions, JsonOption, QuietOption
from tfcli.cli.stdin_lines import StdinLines
from tfcli.errors import DataError, UsageError
from tfcli.options import OptionError, Options, option
from tfcli.text.reading_options import ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tfcli.generation.engines.engine import Engine
    from tfcli.text.tokenizer import Tokenizer

ROWS = 16  # windows per batch
LINES = 256  # scored together


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(Options):
    """How a text is scored."""

    by: Literal["text", "line", "token"] = option(
        "text", help="Score the whole text, each line, or each token."
    )
    stride: int | None = option(
        None, min=1, shown_default="half the context length",
        help="Stride of the sliding window in tokens, for text longer than the context.",
    )  # fmt: skip


@takes_options
def score(
    model: EngineOptions,
    options: ScoreOptions,
    reading: ReadingOptions,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to score; - for stdin.")] = "-",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score text in nats per byte; lower is more likely.

    By line: nats per byte, nats, and the line, separated by tabs; lines are independent.

    By token: nats and the token, separated by a tab.

    grep . book.txt | tfcli score --by line | sort -n | head
    """
    from tfcli.generation.open_engine import open_best, open_engine
    from tfcli.runs.run import find_run

    reporter = streams.Reporter(quiet=quiet)
    run, step_path = find_run(model.run)
    open_with = partial(open_engine, run, device=model.device, rows=ROWS, engine=model.engine)
    step, engine = open_best(
        run, step_path, partial(open_with, int8=model.int8), on_damaged=reporter.warn
    )
    if reporter.warned:
        reporter.note(f"Using {step.path.name} instead.")
    scorer = Scorer(engine, run.tokenizer(), options.stride)
    if options.by == "line":
        for number, (line, text) in enumerate(scorer.lines(_lines(file, reading, reporter)), 1):
            _write_line(line, text, number, json=json)
        return
    documents = [document for document, _ in _documents(file, reading, reporter)]
    if not documents:
        raise DataError("no text to score")
    text = scorer.whole(documents)
    if options.by == "token":
        for token, logprob in zip(text.ids, text.logprobs, strict=True):
            _write_token(token, -logprob, scorer.tokenizer.token_bytes[token], json=json)
    elif json:
        streams.write_json_result(text.to_json() | scorer.protocol)
    else:
        streams.write_result(f"{_describe(text, scorer)}\n".encode())
        if model.int8:
            in_float32 = Scorer(open_with(step), scorer.tokenizer, options.stride)
            exact = in_float32.whole(documents)
            reporter.note(_format_int8_loss(text, exact))


@dataclass(frozen=True)
class Scored:
    """A text with the log-probability of each of its tokens."""

    ids: list[int]
    logprobs: list[float]
    bytes: int

    @property
    def nats(self) -> float:
        """Of the whole text."""
        return 0.0 - math.fsum(self.logprobs)

    @property
    def nats_per_byte(self) -> float:
        """0 for an empty text."""
        return self.nats / self.bytes if self.bytes else 0.0

    @property
    def perplexity(self) -> float:
        """Per token; 1 for an empty text."""
        each = self.nats / len(self.ids) if self.ids else 0.0
        return math.exp(min(each, 700.0))

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "nats": self.nats,
            "nats_per_byte": self.nats_per_byte,
            "perplexity": self.perplexity,
            "bytes": self.bytes,
            "tokens": len(self.ids),
        }


class Scorer:
    """Scores texts with one model."""

    def __init__(self, engine: Engine, tokenizer: Tokenizer, stride: int | None) -> None:
        self.tokenizer = tokenizer
        self._engine = engine
        context = engine.context_length
        if stride is not None and stride > context:
            raise OptionError(
                "stride", f"must be at most {context}, the context length, not {stride}",
                hint=f"--stride {context // 2}",
            )  # fmt: skip
        self._stride = stride or max(1, context // 2)
        self.protocol = {"context": context, "stride": self._stride}

    def whole(self, documents: list[str]) -> Scored:
        """All documents together, each scored on its own."""
        ids: list[int] = []
        logprobs: list[float] = []
        size = 0
        for scored in self._score(documents):
            ids += scored.ids
            logprobs += scored.logprobs
            size += scored.bytes
        return Scored(ids, logprobs, size)

    def lines(self, groups: Iterable[list[str]]) -> Iterator[tuple[str, Scored]]:
        """Each line as a separate text; those of a group are scored together."""
        for group in groups:
            yield from zip(group, self._score(group), strict=True)

    def _score(self, texts: list[str]) -> Iterator[Scored]:
        from tfcli.generation.scoring import score

        ids = [self.tokenizer.encode(text) for text in texts]
        scores = score(self._engine, ids, self.tokenizer.special, rows=ROWS, stride=self._stride)
        for text, own, logprobs in zip(texts, ids, scores, strict=True):
            yield Scored(own, logprobs.tolist(), len(text.encode()))


def _describe(text: Scored, scorer: Scorer) -> str:
    bits = text.nats_per_byte / math.log(2)
    return (
        f"{text.nats_per_byte:.4f} nats/byte, {bits:.4f} bits/byte, per-token "
        f"perplexity {text.perplexity:.2f}; {text.bytes:,} bytes, {len(text.ids):,} tokens "
        f"(context {scorer.protocol['context']}, stride {scorer.protocol['stride']})"
    )


def _format_int8_loss(rounded: Scored, exact: Scored) -> str:
    more = rounded.nats_per_byte - exact.nats_per_byte
    return f"In float32: {exact.nats_per_byte:.4f} nats/byte; int8 differs by {more:+.4f}."


def _write_line(line: str, text: Scored, number: int, *, json: bool) -> None:
    if json:
        streams.write_json_result({"line": number, "text": line} | text.to_json())
    else:
        figures = f"{text.nats_per_byte:.6f}\t{text.nats:.6f}\t"
        line = line.replace("\n", "\\n")  # of a row
        streams.write_result(f"{figures}{stdout_filter()(line)}\n".encode())


def _write_token(token: int, nats: float, spelled: bytes, *, json: bool) -> None:
    if json:
        text = spelled.decode(errors="backslashreplace")
        streams.write_json_result({"token": token, "text": text, "nats": nats})
    else:
        streams.write_result(f"{nats:.6f}\t{stdout_filter()(escaped_bytes(spelled))}\n".encode())


def _documents(
    file: str, reading: ReadingOptions, reporter: streams.Reporter
) -> Iterator[tuple[str, bool]]:
    """The documents of a file or of stdin, each with whether it is a row.

    Raises:
        DataError: it is not text.

    """
    from tfcli.text.readers import read_chunks
    from tfcli.text.reading import Reading
    from tfcli.text.sources import find_sources

    if file == "-":
        _require_stdin()
        streams.mention_waiting("the text")
    for path in find_sources([file]).files:
        found = Reading()
        parts: list[bytes] = []
        for chunk in read_chunks(path, reading, reading=found):
            parts.append(chunk.data)
            if chunk.last:
                yield b"".join(parts).decode(), found.rows is not None
                parts = []
        for note in found.notes(path, reading):
            reporter.note(f"Note: {note}.")


def _lines(file: str, reading: ReadingOptions, reporter: streams.Reporter) -> Iterator[list[str]]:
    """The lines of a file, or of stdin as they arrive, in groups; rows count as lines."""
    if file == "-" and reading == ReadingOptions():
        yield from _arriving_lines()
        return
    group: list[str] = []
    for document, is_row in _documents(file, reading, reporter):
        for line in [document] if is_row else document.removesuffix("\n").split("\n"):
            group.append(line)
            if len(group) == LINES:
                yield group
                group = []
    if group:
        yield group


def _arriving_lines() -> Iterator[list[str]]:
    _require_stdin()
    arriving = StdinLines("lines")
    number = 0
    while some := arriving.read_available(LINES):
        group: list[str] = []
        try:
            for line in some:
                number += 1
                group.append(_decoded(line.removeprefix(BOM) if number == 1 else line, number))
        finally:
            yield group  # lines before an invalid one are scored all the same


BOM = b"\xef\xbb\xbf"


def _require_stdin() -> None:
    if not streams.stdin_is_piped():
        raise UsageError("no text to score", hint="tfcli score FILE   # or pipe it in")


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"line {number} is not valid UTF-8", why=str(error)) from None
