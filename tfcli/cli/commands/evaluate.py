"""`tfcli eval`: how well a run answers prompts, against the answers that are expected."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.shared_options import EngineOptions, JsonOption, QuietOption, ThreadOptions
from tfcli.errors import DataError, UsageError
from tfcli.options import Options, option
from tfcli.text.encoding import in_a_shell, shown_name
from tfcli.text.reading_options import ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfcli.generation.pair_evaluation import Answered, Pair, PairFigures
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep
    from tfcli.text.sources import Sources

ROWS = 32  # answered at a time
MIN_KEPT = 10  # pairs of standard input, whose figures are kept for the card


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options):
    """Which pairs are answered, and what is written."""

    limit: int | None = option(
        None, min=1, shown_default="all", help="Evaluate on the first N pairs only."
    )
    by: str | None = option(
        None, metavar="FIELD", shown_default="all together",
        help="Also compare the values of a field of the rows, such as language.",
    )  # fmt: skip
    output: str | None = option(
        None, short="o", metavar="FILE", conflicts=("jsonl",),
        help="Write each pair with its answer to FILE, as JSON lines; - for stdout.",
    )  # fmt: skip
    jsonl: bool = option(False, help="Write them to stdout, and the figures to stderr.")


@takes_options
def evaluate(
    model: EngineOptions,
    options: EvalOptions,
    reading: ReadingOptions,
    cpu: ThreadOptions,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [FILE]",
            help="A run, and rows of prompts and answers. Without FILE: the pairs that the run "
            "held out.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer prompts, and compare with the answers expected.

    Answers are greedy. An exact match is right to the character, and ends there.
    The figures are saved with the run for `tfcli runs card`, without --limit.

    tfcli eval reverse test.jsonl -o answers.jsonl
    tfcli eval reverse test.jsonl --by length
    """
    from tfcli.cli.eval_output import answer_progress, show_wrong, write_answer
    from tfcli.files import new_file, require_absent
    from tfcli.generation.pair_evaluation import PairFigures
    from tfcli.text.sources import find_sources

    cpu.apply()
    if options.output == "-":
        options = replace(options, output=None, jsonl=True)
    if json and options.jsonl:
        raise UsageError("--json cannot be combined with --jsonl", hint="--json -o answers.jsonl")
    if options.output:
        require_absent(Path(options.output))
    name, file = _run_and_file(names or [], model.run)
    reporter = streams.Reporter(quiet=quiet)
    sources = find_sources([file]) if file else None
    answer, run, step = _open(name, model, reporter)
    pairs = (
        _pairs_of_files(sources, reading, run, options, reporter)
        if sources
        else _held_out(run, options)
    )
    figures = PairFigures()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(new_file(Path(options.output))) if options.output else None
        show = stack.enter_context(answer_progress(quiet=quiet))
        for one in answer(itertools.islice(pairs, options.limit)):
            figures.answered.append(one)
            if options.jsonl or out:
                write_answer(one, len(figures.answered), run.form, out)
            show(figures)
    _report(figures, run, step, sources, options, reporter, json=json)
    show_wrong(figures.answered, run.form, reporter)


def _report(
    figures: PairFigures,
    run: Run,
    step: ValidStep,
    sources: Sources | None,
    options: EvalOptions,
    reporter: streams.Reporter,
    *,
    json: bool,
) -> None:
    """Keeps the figures with the run, and writes them where they were asked for.

    Raises:
        DataError: nothing was answered.

    """
    from tfcli.cli.audit_records import note_trained_on, save_audit
    from tfcli.cli.eval_output import (
        report_long,
        rounded,
        to_stdout,
        write_figures,
        write_groups,
    )
    from tfcli.files import hash_file
    from tfcli.runs.source_names import list_sources
    from tfcli.text.byte_streams import STDIN

    if not figures.answered:
        raise DataError(
            "no pairs of prompt and answer to evaluate on",
            hint=f"tfcli eval {run.argument} FILE   # with rows of prompt and completion",
        )
    report_long(figures.answered, reporter)
    found = rounded(figures.to_json())
    by = {"field": options.by, "groups": rounded(figures.groups())} if options.by else None
    files = sources.files if sources else []
    hashes = {path: hash_file(path) for path in files}
    (only,) = hashes.values() if len(files) == 1 else (None,)
    named = [str(shown_name(path)) for path in files]
    known = note_trained_on(run, hashes, reporter)
    changed = not sources and _warn_changed(run, reporter)
    few = STDIN in files and len(figures.answered) < MIN_KEPT
    if few:
        reporter.note(
            f"Note: fewer than {MIN_KEPT} pairs tell little; the figures are not kept for the card."
        )
    if options.limit is None and not (changed or few):
        save_audit(run, step, "eval", {
            **found, "by": by, "source": list_sources(named) or "its held-out part",
            "sha256": only and only.sha256, "trained_on": known,
        }, reporter)  # fmt: skip
    if json:
        context = {"run": run.name, "step": step.state.step}
        streams.write_json_result(context | found | ({"by": by} if by else {}))
        return
    write = streams.say if options.jsonl else to_stdout
    write_figures(found, write)
    if by:
        write_groups(by, write)


def _warn_changed(run: Run, reporter: streams.Reporter) -> bool:
    """Says where a run's own text is no longer what it was, and with it what is held out."""
    from tfcli.text.corpus import CACHE
    from tfcli.training.newer_text import changed_files, names_of

    changed = changed_files(run, CACHE)
    if changed:
        reporter.note(
            f"Warning: {names_of(changed)} changed since {run.name} was trained: these may not be "
            "the pairs that it held out. The figures are not kept for its card."
        )
    return bool(changed)


def _run_and_file(names: list[str], run: str | None) -> tuple[str | None, str | None]:
    """The run and the file that the arguments name; a single one that is a file is no run."""
    if run is not None:
        names = [run, *names]
    if len(names) > 2:
        raise UsageError("eval takes a run and a file", hint="tfcli eval RUN pairs.jsonl")
    if len(names) == 1 and run is None and (names[0] == "-" or Path(names[0]).is_file()):
        return None, names[0]
    first, second = (*names, None, None)[:2]
    return first, second


def _open(
    name: str | None, model: EngineOptions, reporter: streams.Reporter
) -> tuple[Callable[[Iterator[Pair]], Iterator[Answered]], Run, ValidStep]:
    """What answers pairs with a run's model, the run, and its step."""
    from tfcli.cli.best_step import open_best_step
    from tfcli.generation.open_engine import open_engine
    from tfcli.generation.pair_evaluation import answer_pairs
    from tfcli.runs.run import find_run

    run, step_path = find_run(name)
    open_with = partial(
        open_engine, run, device=model.device, rows=ROWS, engine=model.engine, int8=model.int8,
        memory=model.memory,
    )  # fmt: skip
    step, engine = open_best_step(run, step_path, open_with, reporter)
    tokenizer = run.tokenizer()
    if tokenizer.special.eos is None:
        raise DataError(f"{run.name} has no token that ends an answer")

    def answer(pairs: Iterator[Pair]) -> Iterator[Answered]:
        return answer_pairs(engine, tokenizer, pairs, rows=ROWS)

    return answer, run, step


def _pairs_of_files(
    sources: Sources,
    reading: ReadingOptions,
    run: Run,
    options: EvalOptions,
    reporter: streams.Reporter,
) -> Iterator[Pair]:
    """The pairs of files, framed as those that the run was trained on."""
    from tfcli.generation.pair_evaluation import pairs_of
    from tfcli.text.readers import read_chunks
    from tfcli.text.reading import Reading

    if run.form is None:
        reporter.note(
            f"Note: {run.name} was not trained on pairs: it does not know where an answer begins "
            f"({reading.pair_separator!r} is put before it) or ends, and its figures mean little. "
            f"To train it on pairs: tfcli train PAIRS --from {shlex.quote(run.argument)}"
        )
    else:
        reading = replace(reading, pair_separator=run.form.separator)
        trained = run.corpus.reading
        if trained and not (reading.prompt_field or reading.answer_field or reading.field):
            reading = replace(
                reading, prompt_field=trained.prompt_field, answer_field=trained.answer
            )
    reading.require_named(sources.met)
    for path in sources.files:
        facts = Reading()
        chunks = read_chunks(path, reading, reading=facts, whole_rows=True)
        first = next(chunks, None)
        if first is None or (first.last and not first.data):
            raise DataError(f"{shown_name(path)} is empty")
        chunks = itertools.chain([first], chunks)
        yield from pairs_of(chunks, lambda facts=facts: facts.row, options.by, options.limit)  # type: ignore[misc]
        if facts.form is None:
            raise DataError(
                f"{shown_name(path)} has no pairs of prompt and answer",
                hint=f"tfcli score {in_a_shell(path)}   # how likely a text is",
            )
        if run.form and facts.form.kind != run.form.kind:
            reporter.note(
                f"Note: {path} holds {facts.form.kind}, and {run.name} was trained on "
                f"{run.form.kind}."
            )
        for note in facts.notes(path, reading):
            reporter.note(f"Note: {note}.")


def _held_out(run: Run, options: EvalOptions) -> Iterator[Pair]:
    """The pairs that a run held out, from where it was trained on them."""
    from tfcli.generation.pair_evaluation import pairs_of
    from tfcli.text.reading import Reading
    from tfcli.training.run_text import corpus_of

    if run.form is None:
        raise UsageError(
            f"{run.name} was not trained on pairs of prompt and answer",
            hint=f"tfcli train PAIRS --from {shlex.quote(run.argument)}   # then tfcli eval",
        )
    current = Reading()

    def follow(_: Path, reading: Reading) -> None:
        nonlocal current
        current = reading

    held_out = corpus_of(run.corpus).held_out(follow)
    return pairs_of(held_out, lambda: current.row, options.by, options.limit)
