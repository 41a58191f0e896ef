"""`tfcli inspect`: what a model makes of a text, and a tour through the model."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import piped_text, streams
from tfcli.cli.command import takes_options
from tfcli.cli.input_text import read_whole_input
from tfcli.cli.pages.files import require_page, write_page
from tfcli.cli.shared_options import (
    HtmlOption,
    JsonOption,
    QuietOption,
    ThreadOptions,
    typer_option,
)
from tfcli.options import ChoiceError, OptionError, Options, option
from tfcli.text.reading_options import FormatOptions

if TYPE_CHECKING:
    from tfcli.insight.forward import Model
    from tfcli.insight.inspection import Inspection
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep

PROMPT_END = 12  # characters of a framed prompt that a note shows
NAMES = ("surprise", "attention", "lens", "prompt", "heads")  # `View`, without importing numpy


def _parse_view(text: str) -> tuple[str]:
    """The name of a view, as the only item."""
    if text not in NAMES:
        raise ChoiceError(NAMES, text)
    return (text,)


def _parse_then(text: str) -> str:
    if not text:
        raise ValueError("must not be empty; without it, the model writes the continuation")
    return text


@dataclass(frozen=True, kw_only=True)
class InspectOptions(Options):
    """What is looked at."""

    run: str | None = option(
        None, metavar="RUN", shown_default="the newest",
        help="A run's name or path, or the path of one of its checkpoints.",
    )  # fmt: skip
    then: str | None = option(
        None, metavar="TEXT", shown_default="what the model writes", from_text=_parse_then,
        help="What comes after the prompt; the view prompt shows the part of each word in it.",
    )  # fmt: skip
    view: tuple[str, ...] = option(
        (), metavar="VIEW", from_text=_parse_view, shown_default="all",
        help=f"Show this view: {', '.join(NAMES[:-1])} or {NAMES[-1]}. Repeatable.",
    )  # fmt: skip
    raw: bool = option(
        False,
        help="Read the prompt as it is, where the run was trained on pairs of prompt and answer.",
    )
    tour: bool = option(
        False, conflicts=("then", "view"),
        help="Instead, follow a short text through the model, step by step.",
    )  # fmt: skip


@takes_options
def inspect(
    options: InspectOptions,
    reading: FormatOptions,
    cpu: ThreadOptions,
    prompt: Annotated[
        str | None,
        typer.Argument(metavar="PROMPT", help="The text to inspect; stdin if left out.",
                       show_default=False),
    ] = None,
    file: Annotated[
        Path | None,
        typer_option("--file", "-f", help="Read the text from a file.", metavar="FILE",
                     shown_default="stdin"),
    ] = None,
    html: HtmlOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Look at what a model makes of a text.

    Five views: how surprising each token is, from where each head of attention
    takes, what each layer would say, how much each word of the prompt matters
    to what comes after it, how much each head is missed.

    tfcli inspect "Once upon a time" --html inspect.html
    tfcli inspect "Ann saw a" --then " ship" --view prompt
    tfcli inspect --tour --html tour.html
    """
    cpu.apply()
    require_page(html)
    reporter = streams.Reporter(quiet=quiet)
    text = _read(prompt, file, reading, reporter, tour=options.tour)
    run, step, model = _open(options.run, reporter)
    if text is not None and run.form and not options.raw:
        text = run.form.frame(text)
        reporter.note(
            f"Note: {run.name} was trained on pairs: the prompt is read as it was written there, "
            f"{text[-PROMPT_END:]!r} at its end; --raw reads it as it is."
        )
    named = shlex.quote(options.run or run.argument)
    if options.tour:
        _tour(run, step, model, text, html, reporter, json=json)
    else:
        assert text is not None
        _show(run, step, model, text, options, file, html, reporter, json=json)
    if html is None and not json:
        reporter.next(f"tfcli inspect --run {named} --tour --html tour.html")


def _show(
    run: Run, step: ValidStep, model: Model, text: str, options: InspectOptions,
    file: Path | None, html: Path | None, reporter: streams.Reporter, *, json: bool,
) -> None:  # fmt: skip
    """Shows the views that were asked for where they were asked for."""
    plan = run.metadata.get("plan") or {}
    found = _inspect(run, model, text, options, file, quiet=reporter.quiet)
    if json:
        named = {"run": run.name, "step": step.state.step}
        streams.write_json_result(named | found.to_json())
    if html is not None:
        from tfcli.cli.pages.inspection_page import draw_page

        write_page(html, draw_page(found, run.name, step.state.step, plan), reporter)
    elif not json:
        from tfcli.cli.inspection_output import write_inspection

        write_inspection(found, run.name, step.state.step, plan)


def _open(name: str | None, reporter: streams.Reporter) -> tuple[Run, ValidStep, Model]:
    """The run, its best checkpoint or the one that was named, and the model of that."""
    from tfcli.cli.best_step import open_best_step
    from tfcli.insight.forward import Model
    from tfcli.runs.run import find_run
    from tfcli.runs.weights import map_weights

    run, step_path = find_run(name)

    def open_with(step: ValidStep) -> Model:
        return Model(run.model_config, map_weights(run.model_config, step.path))

    step, model = open_best_step(run, step_path, open_with, reporter)
    return run, step, model


def _inspect(
    run: Run, model: Model, text: str, options: InspectOptions, file: Path | None, *, quiet: bool
) -> Inspection:
    """The views that were asked for.

    Args:
        file: that the text is from, for the hint where it is too long.

    """
    from tfcli.cli.render import share_progress
    from tfcli.insight.inspection import VIEWS, TooLongError, inspect_text

    shown = [view for view in VIEWS if view in options.view or not options.view]
    try:
        with share_progress("Taking words and heads away", quiet=quiet) as progress:
            return inspect_text(
                model, run.tokenizer(), text, options.then or "", shown,
                by_token=run.form is not None and run.form.kind == "pairs", progress=progress,
            )  # fmt: skip
    except TooLongError as error:
        if file is not None:  # cut out of the text: a document itself cannot be cut
            whole = text.encode()[: error.fits].decode(errors="ignore")  # up to a character
            error.hint = f"tfcli text show {shlex.quote(str(file))} | head -c {len(whole.encode())}"
            error.hint += " | tfcli inspect"
            error.hint += f" --run {shlex.quote(options.run or run.argument)}"
        raise


def _tour(
    run: Run, step: ValidStep, model: Model, text: str | None, html: Path | None,
    reporter: streams.Reporter, *, json: bool,
) -> None:  # fmt: skip
    from tfcli.cli.tour.tour import all_steps, describe_model
    from tfcli.insight.tour import follow, tour_tokens

    tokenizer = run.tokenizer()
    ids, left_out = tour_tokens(model, tokenizer, text)
    if left_out:
        reporter.note(f"Note: the tour follows the first {len(ids):,} tokens; it leaves out "
                      f"{left_out:,}.")  # fmt: skip
    if text is None:
        reporter.note("Note: no text was given; the tour follows what the model writes.")
    masked = (run.metadata.get("plan") or {}).get("masked", 0.0)
    tour = follow(model, tokenizer, ids, masked=masked)
    steps = all_steps(tour)
    said = describe_model(tour, run.name, step.state.step)
    if json:
        streams.write_json_result(
            {"run": run.name, "step": step.state.step, "tokens": ids}
            | {"steps": [each.to_json() for each in steps]}
        )
    if html is not None:
        from tfcli.cli.pages.tour_page import draw_page

        write_page(html, draw_page(steps, said, run.name), reporter)
    elif not json:
        from tfcli.cli.tour.terminal import write_tour

        write_tour(steps, said)


# --- the text -----------------------------------------------------------------------------------


def _read(
    prompt: str | None, file: Path | None, reading: FormatOptions, reporter: streams.Reporter,
    *, tour: bool,
) -> str | None:  # fmt: skip
    """The text: PROMPT, the file, or else stdin; None for a tour without one.

    Raises:
        UsageError: there is none, or there are two.

    """
    from tfcli.runs.run import ROOT, RUN_JSON

    if prompt is not None:
        if file is not None:
            raise OptionError("file", "cannot be combined with PROMPT")
        if _is_file(prompt):
            reporter.note(
                "Note: the prompt is the name of a file; to inspect its text: "
                f"tfcli inspect --file {shlex.quote(prompt)}"
            )
        elif _is_file(str(ROOT / prompt / RUN_JSON)):
            reporter.note(
                "Note: the prompt is the name of a run; to look into that run: "
                f'tfcli inspect "..." --run {shlex.quote(prompt)}'
            )
        return prompt
    if tour and file is None and not piped_text.stdin_is_piped():
        return None
    text = read_whole_input(
        file, reporter, purpose="the text to inspect", wanted=reading,
        hint='tfcli inspect "Once upon a time"   # or --tour',
    )  # fmt: skip
    return piped_text.without_last_newline(text) or (None if tour and file is None else "")


def _is_file(prompt: str) -> bool:
    try:
        return bool(Path(prompt).suffix) and Path(prompt).is_file()
    except (OSError, ValueError):  # too long for a name
        return False
