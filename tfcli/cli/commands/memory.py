"""`tfcli runs memory`: the n-grams of a run's training text, kept beside its weights."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from tfcli.cli import streams
from tfcli.cli.shared_options import JsonOption, QuietOption, typer_option


def memory(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's name or path.", show_default="the newest"),
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Its text, only if it has moved.", show_default=False),
    ] = None,
    remove: Annotated[bool, typer_option("--remove", help="Remove the memory instead.")] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a memory of a run's training text, for generate and score --memory.

    It holds the text itself, takes 15 bytes per token (4 to 7 per byte of most
    texts), and stays out of exports.

    tfcli runs memory mine
    """
    from tfcli.cli.new_memory import add_memory
    from tfcli.files import lock
    from tfcli.runs.memory import remove_memory
    from tfcli.runs.run import find_run
    from tfcli.runs.summary import summarize

    reporter = streams.Reporter(quiet=quiet)
    found, _ = find_run(run)
    with lock(found.path, doing="making its memory"):
        if remove:
            gone = remove_memory(found.path)
            reporter.note(f"Removed the memory of {found.name}." if gone else "There was none.")
        else:
            add_memory(found, reporter, files=files or ())
    if json:
        streams.write_json_result(summarize(found))
    if not remove:
        reporter.next(f'tfcli generate "..." --memory --run {shlex.quote(found.argument)}')
