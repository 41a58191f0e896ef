"""`tfcli score`: how likely a text is to a model, as a whole, by line, by row or by token."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import piped_text, streams
from tfcli.cli.command import takes_options
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
from tfcli.cli.stdin_lines import StdinLines
from tfcli.cli.training_notes import report_left_out
from tfcli.errors import DataError, NotFoundError, UsageError
from tfcli.options import OptionError
from tfcli.text.encoding import UTF8_BOM, decode_line
from tfcli.text.reading_options import ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tfcli.generation.score_lines import ScoreLine
    from tfcli.generation.scorer import Scorer
    from tfcli.text.sources import Sources

    Progress = Callable[[int], None]  # told how many bytes are done

ROWS = 32  # windows per batch
LINES = 256  # scored together
PLAIN = {"", ".txt", ".md", ".jsonl", ".ndjson"}  # whose size is that of their lines


@takes_options
def score(
    model: EngineOptions,
    options: ScoreOptions,
    reading: ReadingOptions,
    cpu: ThreadOptions,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to score; - for stdin.")] = "-",
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Score text in nats per byte; lower is more likely.

    One newline at the end of stdin, which `echo` adds, is not part of the text.

    By line: nats per byte, nats, and the line, separated by tabs; lines are independent.

    By line with --bound: the bound in nats per byte, its standard error, and the line.

    By token: nats and the token, then with --top-logprobs others and their probabilities.

    With --jsonl, a row is {"text": "...", "prompt": "...", "id": 1}; only the text is required.
    --field names its key, if that is another; other keys are ignored.

    grep . book.txt | tfcli score --by line | sort -n | head
    """
    cpu.apply()
    if options.top_logprobs and options.by != "token":
        raise OptionError("top_logprobs", "requires --by token")
    if options.bound and options.by == "token":
        raise UsageError("--bound cannot be combined with --by token", why="it is of whole texts")
    if options.jsonl and options.by == "line":
        raise UsageError("--jsonl cannot be combined with --by line", why="each row is on its own")
    reporter = streams.Reporter(quiet=quiet)
    if options.bound:
        _score_bound(file, model, options, reading, reporter, json=json)
        return
    scorer, open_exact = _open(model, options, reporter)
    if options.jsonl:
        from tfcli.generation.score_lines import parse_score_line
        from tfcli.text.rows import STANDARD

        with _progress(_size(file), reporter, streaming=True) as progress:
            parse = partial(parse_score_line, field=reading.field or STANDARD)
            _score_rows(file, scorer, progress, parse, tokens=options.by == "token")
        return
    if options.by == "line":
        with _progress(_size(file), reporter, streaming=True) as progress:
            _score_lines(_lines(file, reading, reporter), scorer, progress, json=json)
        return
    documents, size = _whole(file, reading, reporter)
    with _progress(size, reporter, streaming=False) as progress:
        text = scorer.whole(documents, progress)
        exact = open_exact().whole(documents) if _compares_int8(model, options, json) else None
    if options.by == "token":
        write_tokens(text, scorer.tokenizer, json=json)
    elif json:
        streams.write_json_result(figures(text) | scorer.protocol)
    else:
        streams.write_result(f"{describe(text, scorer)}\n".encode())
    if exact:
        reporter.note(format_int8_loss(text, exact))


def _compares_int8(model: EngineOptions, options: ScoreOptions, json: bool) -> bool:
    """Whether to say what 8-bit weights cost: to a person who asked for a single figure."""
    return model.int8 and options.by == "text" and not json


def _open(
    model: EngineOptions, options: ScoreOptions, reporter: streams.Reporter
) -> tuple[Scorer, Callable[[], Scorer]]:
    """The model that was asked for, and how to open it without 8-bit weights."""
    from tfcli.generation.open_engine import open_best, open_engine
    from tfcli.generation.scorer import Scorer
    from tfcli.runs.run import find_run

    run, step_path = find_run(model.run)
    open_with = partial(
        open_engine, run, device=model.device, rows=ROWS, engine=model.engine, memory=model.memory
    )
    step, engine = open_best(
        run, step_path, partial(open_with, int8=model.int8), on_damaged=reporter.warn
    )
    if reporter.warned:
        reporter.note(f"Using {step.path.name} instead.")
    make = partial(
        Scorer, tokenizer=run.tokenizer(), rows=ROWS, stride=options.stride,
        top=options.top_logprobs, form=run.form,
    )  # fmt: skip
    return make(engine), lambda: make(open_with(step))


def _score_bound(
    file: str,
    model: EngineOptions,
    options: ScoreOptions,
    reading: ReadingOptions,
    reporter: streams.Reporter,
    *,
    json: bool,
) -> None:
    """A bound of the text, or of each line."""
    from tfcli.cli.score_bound import open_estimator, write_bound, write_line_bounds

    estimator = open_estimator(
        model, samples=options.bound_samples, stride=options.stride, reporter=reporter
    )
    if options.by == "line":
        with _progress(_size(file), reporter, streaming=True) as progress:
            write_line_bounds(_lines(file, reading, reporter), estimator, progress, json=json)
        return
    documents, size = _whole(file, reading, reporter)
    with _progress(size, reporter, streaming=False) as progress:
        bound = estimator.whole(documents, progress)
    write_bound(bound, estimator, json=json)


def _score_lines(
    groups: Iterator[list[str]], scorer: Scorer, progress: Progress, *, json: bool
) -> None:
    """Each line as a separate text; those of a group are scored together."""
    number = done = 0
    for group in groups:
        for line, text in zip(group, scorer.score(group), strict=True):
            number += 1
            done += text.bytes + 1
            write_line(line, text, number, json=json)
            progress(done)


def _score_rows(
    file: str,
    scorer: Scorer,
    progress: Progress,
    parse: Callable[[bytes, int], ScoreLine],
    *,
    tokens: bool,
) -> None:
    """Each row of JSON; an invalid one is answered with an error.

    Raises:
        DataError: rows were invalid; all others are answered.

    """
    count = failures = done = 0
    for group in _numbered_lines(file, "rows"):
        rows = [(len(line), parse(line, n)) for n, line in group if line.strip()]
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
    total: int | None, reporter: streams.Reporter, *, streaming: bool
) -> AbstractContextManager[Progress]:
    """A bar for a person.

    Args:
        total: bytes; None if not known.
        streaming: whether results come meanwhile, so that on one terminal they would be mixed up.

    """
    from tfcli.cli.render import progress

    shown = streams.is_terminal(sys.stderr) and not (streaming and streams.is_terminal(sys.stdout))
    return progress("Scoring", total=total, quiet=reporter.quiet or not shown)


def _size(file: str) -> int | None:
    """The bytes of the lines of a file, or of stdin; None if not known."""
    try:
        status = os.fstat(0) if file == "-" else Path(file).stat()
    except (OSError, ValueError):
        return None
    plain = file == "-" or Path(file).suffix.lower() in PLAIN
    return status.st_size if plain and stat.S_ISREG(status.st_mode) else None


# --- input --------------------------------------------------------------------------------------


def _documents(
    file: str, reading: ReadingOptions, reporter: streams.Reporter
) -> Iterator[tuple[str, bool]]:
    """The documents of a file or of stdin, each with whether it is a row.

    Raises:
        DataError: it is not text.

    """
    from tfcli.text.readers import read_chunks
    from tfcli.text.reading import Reading

    if file == "-":
        _require_stdin()
        piped_text.mention_waiting("the text")
    sources = _sources(file)
    report_left_out(sources, (), reporter)
    for path in sources.files:
        found = Reading()
        parts: list[bytes] = []
        try:
            for chunk in read_chunks(path, reading, reading=found):
                parts.append(chunk.data)
                if chunk.last:
                    yield b"".join(parts).decode(), found.rows is not None
                    parts = []
        except DataError as error:
            if path not in sources.found:
                raise
            reporter.note(f"Note: left out: {error.what}.")  # as `train` does
        for note in found.notes(path, reading):
            reporter.note(f"Note: {note}.")


def _files(file: str) -> tuple[Path, ...]:
    """The files of the argument; see `_sources`."""
    return _sources(file).files


def _sources(file: str) -> Sources:
    """What the argument stands for.

    Raises:
        NotFoundError: there is none; of a sentence, with the command that scores it.

    """
    from tfcli.text.sources import find_sources

    try:
        return find_sources([file])
    except NotFoundError as error:
        if " " in file and error.hint is None:
            error.hint = f"echo {shlex.quote(file)} | tfcli score   # if it is the text itself"
        raise


def _whole(file: str, reading: ReadingOptions, reporter: streams.Reporter) -> tuple[list[str], int]:
    """The documents that are scored as one text, and their bytes.

    See `piped_text.without_last_newline`.
    """
    found = list(_documents(file, reading, reporter))
    if file == "-" and found and not found[-1][1]:
        last, _ = found.pop()
        if last := piped_text.without_last_newline(last):
            found.append((last, False))
    if not found:
        raise DataError("no text to score")
    return [document for document, _ in found], sum(len(text.encode()) for text, _ in found)


def _lines(file: str, reading: ReadingOptions, reporter: streams.Reporter) -> Iterator[list[str]]:
    """The lines of a file, or of stdin as they arrive, in groups; rows of a file count as lines."""
    if file == "-" and reading == ReadingOptions():
        yield from _arriving_lines(reporter)
        return
    group: list[str] = []
    for document, is_row in _documents(file, reading, reporter):
        for line in [document] if is_row else document.removesuffix("\n").split("\n"):
            group.append(line if is_row else line.removesuffix("\r"))
            if len(group) == LINES:
                yield group
                group = []
    if group:
        yield group


def _arriving_lines(reporter: streams.Reporter) -> Iterator[list[str]]:
    for lines in _numbered_lines("-", "lines"):
        group: list[str] = []
        try:
            for number, line in lines:
                group.append(decode_line(line, number).removesuffix("\r"))
                if number == 1 and _is_object(line):
                    reporter.note(
                        "Note: the input looks like JSON lines and is scored verbatim; "
                        "--format json scores the text field, --jsonl reads and writes JSON lines."
                    )
        finally:
            yield group  # lines before an invalid one are scored all the same


def _is_object(line: bytes) -> bool:
    import json

    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _numbered_lines(file: str, what: str) -> Iterator[list[tuple[int, bytes]]]:
    """Lines with their numbers, in groups, without a byte order mark; those of stdin arrive."""
    from tfcli.text.readers import read_lines

    if file == "-":
        _require_stdin()
        arriving = StdinLines(what)
        groups = iter(lambda: arriving.read_available(LINES), [])
    else:
        paths = _files(file)
        if len(paths) != 1:
            raise UsageError(
                f"--jsonl reads one file; {file} matches {len(paths):,}",
                hint="cat FILES | tfcli score --jsonl",
            )
        piped_text.require_no_other_input(file)
        lines = read_lines(paths[0])
        groups = iter(lambda: list(islice(lines, LINES)), [])
    number = 0
    for group in groups:
        if number == 0:
            group[0] = group[0].removeprefix(UTF8_BOM)
        yield list(enumerate(group, number + 1))
        number += len(group)


def _require_stdin() -> None:
    if not piped_text.stdin_is_piped():
        raise UsageError("no text to score", hint="tfcli score FILE   # or pipe it in")
