"""`tfcli eval`: how well a run answers prompts, against the answers that are expected."""

from __future__ import annotations

import contextlib
import itertools
import json as json_lines
import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.shared_options import EngineOptions, JsonOption, QuietOption, ThreadOptions
from tfcli.errors import DataError, UsageError
from tfcli.options import Options, option
from tfcli.text.reading_options import ReadingOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tfcli.files.atomic import FileWriter
    from tfcli.generation.pair_evaluation import Answered, Pair
    from tfcli.runs.run import Run
    from tfcli.text.pairs import PairForm

ROWS = 32  # answered at a time
NAMED = 3  # wrong answers that are shown


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options):
    """Which pairs are answered, and what is written."""

    limit: int | None = option(
        None, min=1, shown_default="all", help="Evaluate on the first N pairs only."
    )
    output: str | None = option(
        None, short="o", metavar="FILE", conflicts=("jsonl",),
        help="Write each pair with its answer to FILE, as JSON lines.",
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
    """Answer the prompts of pairs, and compare with the answers expected.

    Answers are greedy. An exact match is right to the character, and ends there.

    tfcli eval reverse test.jsonl -o answers.jsonl
    """
    from tfcli.files import new_file, require_absent
    from tfcli.generation.pair_evaluation import PairFigures

    cpu.apply()
    if json and options.jsonl:
        raise UsageError("--json cannot be combined with --jsonl", hint="--json -o answers.jsonl")
    if options.output:
        require_absent(Path(options.output))
    name, file = _run_and_file(names or [], model.run)
    reporter = streams.Reporter(quiet=quiet)
    answer, run, step = _open(name, model, reporter)
    pairs = _pairs_of_file(file, reading, run, reporter) if file else _held_out(run)
    figures = PairFigures()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(new_file(Path(options.output))) if options.output else None
        show = stack.enter_context(_progress(quiet=quiet))
        for one in answer(itertools.islice(pairs, options.limit)):
            figures.answered.append(one)
            if options.jsonl or out:
                _write(one, len(figures.answered), run.form, out)
            show(figures)
    if not figures.answered:
        raise DataError(
            "no pairs of prompt and answer to evaluate on",
            hint=f"tfcli eval {run.argument} FILE   # with rows of prompt and completion",
        )
    found = {"run": run.name, "step": step, **_rounded(figures.to_json())}
    _report_long(figures.answered, reporter)
    if json:
        streams.write_json_result(found)
    else:
        _show(found, streams.say if options.jsonl else _to_stdout)
    _show_wrong(figures.answered, run.form, reporter)


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
) -> tuple[Callable[[Iterator[Pair]], Iterator[Answered]], Run, int]:
    """What answers pairs with a run's model, the run, and the number of its step."""
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

    return answer, run, step.state.step


def _pairs_of_file(
    file: str, reading: ReadingOptions, run: Run, reporter: streams.Reporter
) -> Iterator[Pair]:
    """The pairs of a file, framed as those that the run was trained on."""
    from dataclasses import replace

    from tfcli.generation.pair_evaluation import pairs_of
    from tfcli.text.readers import read_chunks
    from tfcli.text.reading import Reading
    from tfcli.text.sources import find_sources

    if run.form is None:
        reporter.note(
            f"Note: {run.name} was not trained on pairs: it does not know where an answer begins "
            f"({reading.pair_separator!r} is put before it) or ends, and its figures mean little. "
            f"To train it on pairs: tfcli train PAIRS --from {shlex.quote(run.argument)}"
        )
    else:
        reading = replace(reading, pair_separator=run.form.separator)
        trained = run.corpus.reading
        if trained and not reading.prompt_field and not reading.answer_field:
            reading = replace(
                reading, prompt_field=trained.prompt_field, answer_field=trained.answer_field
            )
    sources = find_sources([file])
    reading.require_named(sources.met)
    for path in sources.files:
        facts = Reading()
        yield from pairs_of(read_chunks(path, reading, reading=facts, beside="id"), facts)
        if facts.form is None:
            raise DataError(
                f"{path} has no pairs of prompt and answer",
                hint=f"tfcli score {file}   # how likely a text is",
            )
        if run.form and facts.form.kind != run.form.kind:
            reporter.note(
                f"Note: {path} holds {facts.form.kind}, and {run.name} was trained on "
                f"{run.form.kind}."
            )
        for note in facts.notes(path, reading):
            reporter.note(f"Note: {note}.")


def _held_out(run: Run) -> Iterator[Pair]:
    """The pairs that a run held out, from where it was trained on them."""
    from tfcli.generation.pair_evaluation import pairs_of
    from tfcli.training.run_text import corpus_of

    if run.form is None:
        raise UsageError(
            f"{run.name} was not trained on pairs of prompt and answer",
            hint=f"tfcli train PAIRS --from {shlex.quote(run.argument)}   # then tfcli eval",
        )
    corpus = corpus_of(run.corpus)
    return pairs_of(corpus.held_out())


# --- what is written ----------------------------------------------------------------------------


def _write(one: Answered, number: int, form: PairForm | None, out: FileWriter | None) -> None:
    value = {
        "row": number, **one.pair.returned, "prompt": _bare_prompt(one, form),
        "completion": one.pair.answer, "answer": one.answer, "exact": one.exact,
        "edits": one.edits, "nats": round(one.nats, 6),
        "tokens": one.tokens,
    }  # fmt: skip
    line = (json_lines.dumps(value, ensure_ascii=False) + "\n").encode()
    if out is None:
        streams.write_result(line)
    else:
        out.write(line)


def _bare_prompt(one: Answered, form: PairForm | None) -> str:
    """A prompt without its frame; a conversation stays as the model reads it."""
    prompt = one.pair.prompt
    if form is None or form.kind == "pairs":
        return prompt.removesuffix(form.separator if form else "\n")
    return prompt


def _rounded(value: Any) -> Any:
    """Figures with six decimals, as those of `score`."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return round(value, 6) if isinstance(value, float) else value


@contextlib.contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[Any], None]]:
    """Says on stderr how many pairs are answered and right so far, once that takes a while."""
    import sys
    import time

    from tfcli.cli.render import LINE_EVERY

    on_terminal = streams.is_terminal(sys.stderr)
    following = time.monotonic() + streams.PROGRESS_DELAY

    def show(figures: Any) -> None:
        nonlocal following
        now = time.monotonic()
        if quiet or now < following:
            return
        following = now + (0.2 if on_terminal else LINE_EVERY)
        exact = sum(one.exact for one in figures.answered)
        text = f"{streams.counted(len(figures.answered), 'pair')} answered, {exact:,} exactly"
        if on_terminal:
            streams.draw_line(text)
        else:
            streams.say(text)

    try:
        yield show
    finally:
        if on_terminal:
            streams.draw_line("")


def _show(found: Mapping[str, Any], write: Callable[[str], None]) -> None:
    """The figures, each with its interval of 95 %."""

    def percent(figure: Mapping[str, float]) -> str:
        value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
        return f"{value:<6.4g} %  ({low:.4g} to {high:.4g})"

    def plain(figure: Mapping[str, float]) -> str:
        value, low, high = (f"{figure[key]:.3g}" for key in ("value", "low", "high"))
        return f"{value:<8}  ({low} to {high})"

    exact, errors = found["exact_match"], found["character_error_rate"]
    lines = {
        "exact match": f"{percent(exact)}  {exact['count']:,} of {found['pairs']:,} pairs",
        "character errors": f"{percent(errors)}  {errors['edits']:,} edits in "
        f"{errors['characters']:,} characters",
        "nats/byte": f"{plain(found['nats_per_byte'])}  of the answers expected",
        "nats/token": f"{plain(found['nats_per_token'])}  ends included",
    }
    for name, said in lines.items():
        write(f"{name:<16}  {said}")


def _to_stdout(line: str) -> None:
    streams.write_result(f"{line}\n".encode())


def _report_long(answered: list[Answered], reporter: streams.Reporter) -> None:
    """Counts and names the pairs that the model cannot see all of."""
    long = [one for one in answered if not one.fits]
    if long:
        named = ", ".join(repr(one.pair.prompt[:30]) for one in long[:NAMED])
        reporter.note(
            f"Note: {streams.counted(len(long), 'pair')} longer than the context, answered from "
            f"what fits: {named}{', ...' if len(long) > NAMED else ''}"
        )


def _show_wrong(
    answered: list[Answered], form: PairForm | None, reporter: streams.Reporter
) -> None:
    from tfcli.generation.streaming import make_visible

    for one in [one for one in answered if not one.exact][:NAMED]:
        prompt, expected, given = (
            repr(text if len(text) <= 40 else f"{text[:39]}…")
            for text in (_bare_prompt(one, form), one.pair.answer, one.answer)
        )
        reporter.note(make_visible(f"Wrong: {prompt} -> {given}, expected {expected}"))
