"""`tfcli fill`: a text with its gaps filled, streamed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tfcli.cli import piped_text, streams
from tfcli.cli.command import given_options, takes_options
from tfcli.cli.fill_options import FillOptions
from tfcli.cli.input_text import read_whole_input
from tfcli.cli.shared_options import EngineOptions, QuietOption, ThreadOptions
from tfcli.errors import UsageError
from tfcli.generation.fill_request import FillRequest
from tfcli.generation.gaps import EXAMPLE, GappedText, parse_gaps
from tfcli.options import OptionError


@takes_options
def fill(
    context: typer.Context,
    model: EngineOptions,
    request: FillRequest,
    options: FillOptions,
    cpu: ThreadOptions,
    text: Annotated[
        str | None,
        typer.Argument(
            metavar="TEXT",
            help="The text: [] is a gap, [3] one of 3 tokens (--infill: at most 3); a backslash "
            "before it makes it text.",
            show_default="stdin",
        ),
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Fill the gaps of a text.

    With a run that was trained with --infill, gaps [] from left to right; with
    --masked, gaps [N] of N tokens in any order, the surest first.

    tfcli fill "Once [] a time"
    tfcli fill "The [2] sat on the [1]." --show
    tfcli fill --prefix before.txt --suffix after.txt --middle-only
    echo '{"text": "Once [] a time", "seed": 1}' | tfcli fill --jsonl
    """
    from tfcli.cli.fill_session import FillSession, fill_format

    cpu.apply()
    seeded = "seed" in given_options(context)
    if not seeded:
        from secrets import randbelow

        request = replace(request, seed=randbelow(2**31))
    reporter = streams.Reporter(quiet=quiet)
    output = fill_format(options)
    if options.lines and text is not None:
        raise UsageError("--lines cannot be combined with TEXT", why="it reads texts of stdin")
    if options.lines or (options.jsonl and _reads_requests(text, options)):
        from tfcli.cli.stdin_lines import StdinLines

        session = FillSession(model, options, reporter=reporter)
        lines = StdinLines("texts with gaps" if options.lines else "requests")
        session.fill_lines(lines, request, output, json=not options.lines)
    else:
        request = replace(request, text=_gapped_text(text, options, reporter))
        session = FillSession(model, options, reporter=reporter)
        session.fill(request, output)
    sampled = not (options.jsonl or request.sampling.deterministic)
    if sampled and not seeded and streams.is_terminal(sys.stderr):
        reporter.note(f"--seed {request.seed} reproduces this.")


def _reads_requests(text: str | None, options: FillOptions) -> bool:
    """Whether the texts are those of requests on stdin.

    Raises:
        OptionError: and they are to be shown, which only one text can be.

    """
    if not (text is None and options.prefix is None and options.suffix is None):
        return False
    if options.show:
        raise OptionError("show", "needs a single text, beside", "jsonl")
    return piped_text.stdin_is_piped()


def _gapped_text(text: str | None, options: FillOptions, reporter: streams.Reporter) -> GappedText:
    """The text to fill: the argument, two files around a gap, or stdin.

    Raises:
        UsageError: it has no gap, there is none, or there are two.

    """
    if options.prefix is not None or options.suffix is not None:
        if text is not None:
            raise UsageError(
                "--prefix and --suffix cannot be combined with TEXT",
                why="the gap is between the two files",
            )
        if options.prefix == options.suffix == "-":
            raise UsageError(
                "--prefix and --suffix cannot both be standard input", hint="--suffix FILE"
            )
        around = (_read(options.prefix, reporter), _read(options.suffix, reporter))
        return GappedText(around, (None,))
    if text is None:
        if not piped_text.stdin_is_piped():
            raise UsageError("no text to fill", hint=EXAMPLE)
        text = piped_text.read_piped_text("the text to fill")[0]
    return parse_gaps(text)


def _read(file: str | None, reporter: streams.Reporter) -> str:
    """What stands beside the gap, as an editor has it: a page with its markup."""
    if file is None:
        return ""
    return read_whole_input(Path(file), reporter, hint=EXAMPLE, verbatim=True)
