"""`tfcli trace`: which passages of a run's training text a text repeats."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.command import takes_options
from tfcli.cli.input_text import read_whole_input
from tfcli.cli.pages.files import require_page, write_page
from tfcli.cli.shared_options import (
    HtmlOption,
    JsonOption,
    QuietOption,
    SourceOption,
    typer_option,
)
from tfcli.errors import NotFoundError, UsageError
from tfcli.text.reading_options import FormatOptions

if TYPE_CHECKING:
    from tfcli.insight.trace import Trace
    from tfcli.runs.run import Run


@takes_options
def trace(
    reading: FormatOptions,
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's name or path.", show_default="the newest"),
    ] = None,
    said: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The text to trace.", show_default="stdin"),
    ] = None,
    file: Annotated[
        Path | None,
        typer_option("--file", "-f", help="The text to trace.", metavar="FILE",
                     shown_default="stdin"),
    ] = None,
    html: HtmlOption = None,
    source: SourceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Trace a text to the training text of a run.

    Marks the longest stretches that both have word for word and that chance
    hardly explains, names file and line, and tells how many n-grams are new.
    Any white space matches any other: lines may be wrapped differently.

    tfcli generate "Once upon a" | tfcli trace
    tfcli trace tale "It was a dark and stormy night"
    tfcli trace tale --file story.txt --html story.html
    """
    from tfcli.cli.render import progress
    from tfcli.insight.trace import READINGS
    from tfcli.insight.trace import trace as trace_text
    from tfcli.insight.training_text import TrainingText
    from tfcli.training.newer_text import names_of

    reporter = streams.Reporter(quiet=quiet)
    require_page(html)
    found_run, said = _run_and_text(run, said)
    if said is not None and file is not None:
        raise UsageError("--file cannot be combined with TEXT")
    training = TrainingText(found_run, source or ())
    if parent := training.run.metadata.get("from"):
        reporter.note(
            f"Note: the run began from {parent}, whose text is not looked through; "
            f"`tfcli trace {shlex.quote(str(parent))}` does."
        )
    named = f"--file {shlex.quote(str(file))}" if file else "< TEXT"
    if said is not None:
        named = shlex.quote(said)
        if Path(said).suffix and _is_file(said):
            reporter.note(
                "Note: TEXT is the name of a file; to trace its text: "
                f"tfcli trace {shlex.quote(training.run.argument)} --file {named}"
            )
    else:
        said = read_whole_input(
            file, reporter, purpose="the text to trace", wanted=reading,
            hint="tfcli trace RUN --file FILE   # or pipe it in",
        )  # fmt: skip
    text = said.encode()
    total = READINGS * training.bytes
    with progress("Reading the training text", total=total, quiet=quiet) as done:
        found = trace_text(text, training, done)
    if found.left_out:
        reporter.note(
            f"Warning: left out {names_of(training.left_out)}, which changed since "
            f"{training.run.name} was trained, or is gone: what the text has from there is not "
            "found. --source PATH names where the files as they were are now."
        )
    if json:
        streams.write_json_result({"run": training.run.name} | found.to_json())
    _show(found, training.run, named, html, reporter, json=json)


def _show(
    found: Trace, run: Run, named: str, html: Path | None, reporter: streams.Reporter,
    *, json: bool,
) -> None:  # fmt: skip
    """Writes what was found where it was asked for.

    Args:
        named: the text, as the command line names it.

    """
    if html is not None:
        from tfcli.cli.trace_page import draw_page

        write_page(html, draw_page(found, run.name), reporter)
    elif not json:
        from tfcli.cli.trace_output import write_trace

        write_trace(found)
        again = [f"tfcli trace {shlex.quote(run.argument)}", named, "--html trace.html"]
        if named.lstrip("'").startswith("-") and not named.startswith("--file"):
            again = [again[0], again[2], "--", named]  # it would be an option otherwise
        reporter.next(" ".join(again))


def _run_and_text(name: str | None, text: str | None) -> tuple[Run, str | None]:
    """The run, and the text if an argument is it.

    A single argument of several words that names no run is a text for the newest one. Where a file
    was named instead, the error says how to trace that.
    """
    from tfcli.runs.run import find_run

    try:
        return find_run(name)[0], text
    except NotFoundError as error:
        if name is not None and text is None and len(name.split()) > 1 and not _is_file(name):
            return find_run(None)[0], name
        if name is not None and _is_file(name):
            error.hint = f"tfcli trace RUN --file {shlex.quote(name)}   # to trace that text"
        raise


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long for a name
        return False
