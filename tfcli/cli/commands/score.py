"""`tfcli score`: how likely a text is to a model, as a whole, by line, by row or by token."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.score_input import ScoreInput
from tfcli.cli.score_options import ScoreOptions
from tfcli.cli.score_output import (
    describe,
    figures,
    format_int8_loss,
    write_line,
    write_row,
    write_tokens,
)
from tfcli.cli.shared_options import EngineOptions, JsonOption, QuietOption, ThreadOptions
from tfcli.errors import DataError, UsageError
from tfcli.options import OptionError
from tfcli.text.reading_options import ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tfcli.cli.score_input import Document
    from tfcli.generation.score_lines import ScoreLine
    from tfcli.generation.scorer import Scorer

    Progress = Callable[[int], None]  # told how many bytes are done

ROWS = 32  # windows per batch


@takes_options
def score(
    model: EngineOptions,
    options: ScoreOptions,
    reading: ReadingOptions,
    cpu: ThreadOptions,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What to score.", show_default="stdin")
    ] = "-",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score text in nats per byte; lower is more likely.

    Of pairs of prompt and answer, the answers are scored, given their prompts.
    One newline at the end of stdin, which `echo` adds, is not part of the text.

    --by line: nats per byte, nats and the line, separated by tabs; each line is
    scored on its own. With --bound, the bound in nats per byte, its standard
    error, and the line.

    --by token: nats and the token; with --top-logprobs, others and their
    probabilities.

    --jsonl: a row is {"text": "...", "prompt": "...", "id": 1}, of which only
    text is required; --field and --prompt-field name other keys or columns.

    grep . book.txt | tfcli score --by line | sort -n | head
    tfcli score answers.csv --prompt-field question --field answer
    """
    cpu.apply()
    _require_compatible(options, reading)
    reporter = streams.Reporter(quiet=quiet)
    if options.bound:
        _score_bound(ScoreInput(file, reading, reporter), model, options, json=json)
        return
    scorer, open_exact = _open(model, options, reporter)
    given = ScoreInput(file, reading, reporter, scorer.form)
    if options.jsonl:
        with _progress(given.size, reporter, streaming=True) as progress:
            _score_rows(given.rows(), scorer, progress, tokens=options.by == "token")
        return
    if options.by == "line":
        with _progress(given.size, reporter, streaming=True) as progress:
            _score_lines(given.lines(), scorer, progress, json=json)
        return
    documents, size = _whole(given)
    with _progress(size, reporter, streaming=False) as progress:
        texts, prompts, _ = map(list, zip(*documents, strict=True))
        text = scorer.whole(texts, prompts, progress)
        exact = open_exact().whole(texts, prompts) if _compares_int8(model, options, json) else None
    if options.by == "token":
        write_tokens(text, scorer.tokenizer, json=json)
    elif json:
        streams.write_json_result(figures(text) | scorer.protocol)
    else:
        streams.write_result(f"{describe(text, scorer)}\n".encode())
    if exact:
        reporter.note(format_int8_loss(text, exact))


def _require_compatible(options: ScoreOptions, reading: ReadingOptions) -> None:
    """Raises UsageError for options that mean nothing together."""
    if options.top_logprobs and options.by != "token":
        raise OptionError("top_logprobs", "requires --by token")
    if options.bound_samples is not None and not options.bound:
        raise OptionError("bound_samples", "requires --bound")
    if options.bound and options.by == "token":
        raise UsageError("--bound cannot be combined with --by token", why="it is of whole texts")
    if options.jsonl and options.by == "line":
        raise UsageError("--jsonl cannot be combined with --by line", why="each row is on its own")
    if options.jsonl and reading.format not in {None, "json", "csv", "tsv"}:
        raise OptionError("format", "must be json, csv or tsv with --jsonl")


def _compares_int8(model: EngineOptions, options: ScoreOptions, json: bool) -> bool:
    """Whether to say what 8-bit weights cost: to a person who asked for a single figure."""
    return model.int8 and options.by == "text" and not json


def _open(
    model: EngineOptions, options: ScoreOptions, reporter: streams.Reporter
) -> tuple[Scorer, Callable[[], Scorer]]:
    """The model that was asked for, and how to open it without 8-bit weights."""
    from tfcli.cli.best_step import open_best_step
    from tfcli.generation.open_engine import open_engine
    from tfcli.generation.scorer import Scorer
    from tfcli.runs.run import find_run

    run, step_path = find_run(model.run)
    open_with = partial(
        open_engine, run, device=model.device, rows=ROWS, engine=model.engine, memory=model.memory
    )
    step, engine = open_best_step(run, step_path, partial(open_with, int8=model.int8), reporter)
    make = partial(
        Scorer, tokenizer=run.tokenizer(), rows=ROWS, stride=options.stride,
        top=options.top_logprobs, form=run.form, many_documents=run.many_documents,
    )  # fmt: skip
    return make(engine), lambda: make(open_with(step))


def _whole(given: ScoreInput) -> tuple[list[Document], int]:
    """The documents that are scored as one text, and their bytes."""
    with _progress(given.size, given.reporter, streaming=False, what="Reading") as progress:
        documents = given.whole(progress)
    if not documents:
        raise DataError("no text to score")
    return documents, sum(len(text.encode()) for text, _, _ in documents)


def _score_bound(
    given: ScoreInput, model: EngineOptions, options: ScoreOptions, *, json: bool
) -> None:
    """A bound of the text, or of each line."""
    from tfcli.cli.score_bound import open_estimator, write_bound, write_line_bounds
    from tfcli.generation.bound import SAMPLES

    reporter = given.reporter
    estimator = open_estimator(
        model, samples=options.bound_samples or SAMPLES, stride=options.stride, reporter=reporter
    )
    if options.by == "line":
        with _progress(given.size, reporter, streaming=True) as progress:
            write_line_bounds(given.lines(), estimator, progress, json=json)
        return
    documents, size = _whole(given)
    with _progress(size, reporter, streaming=False) as progress:
        bound = estimator.whole([prompt + text for text, prompt, _ in documents], progress)
    write_bound(bound, estimator, json=json)


def _score_lines(
    groups: Iterator[list[Document]], scorer: Scorer, progress: Progress, *, json: bool
) -> None:
    """Each line as a separate text; those of a group are scored together."""
    number = done = 0
    for group in groups:
        texts, prompts = [line.text for line in group], [line.prompt for line in group]
        for line, text in zip(group, scorer.score(texts, prompts, framed=True), strict=True):
            number += 1
            done += text.bytes + 1
            write_line(line, text, number, json=json)
            progress(done)


def _score_rows(
    groups: Iterator[list[tuple[int, ScoreLine]]],
    scorer: Scorer,
    progress: Progress,
    *,
    tokens: bool,
) -> None:
    """Each row, with its bytes; an invalid one is answered with an error.

    Raises:
        DataError: rows were invalid; all others are answered.

    """
    count = failures = done = 0
    for rows in groups:
        valid = [row for _, row in rows if row.error is None]
        scores = scorer.score([row.text for row in valid], [row.prompt for row in valid])
        for size, row in rows:
            done += size + 1
            write_row(
                row, next(scores) if row.error is None else None, scorer.tokenizer, tokens=tokens
            )
            progress(done)
        count += len(rows)
        failures += len(rows) - len(valid)
    if failures:
        raise DataError(
            f"invalid lines: {failures:,} of {count:,}", why="each has an error object in its place"
        )


# --- progress -----------------------------------------------------------------------------------


def _progress(
    total: int | None, reporter: streams.Reporter, *, streaming: bool, what: str = "Scoring"
) -> AbstractContextManager[Progress]:
    """A bar for a person.

    Args:
        total: bytes; None if not known.
        streaming: whether results come meanwhile, so that on one terminal they would be mixed up.

    """
    from tfcli.cli.render import progress

    shown = streams.is_terminal(sys.stderr) and not (streaming and streams.is_terminal(sys.stdout))
    return progress(what, total=total, quiet=reporter.quiet or not shown)
