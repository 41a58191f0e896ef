"""`tfcli runs`: list, compare, show and remove runs; the others are in modules of their own."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.command import Command, Group
from tfcli.cli.commands import card, held_out, memory, plot, verify
from tfcli.cli.shared_options import JsonOption, QuietOption, typer_option
from tfcli.errors import DataError, UsageError
from tfcli.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.runs.corpus_metadata import CorpusMetadata
    from tfcli.runs.run import Run

app = typer.Typer(cls=Group, help="List, compare, show, plot, verify and remove runs.")

Order = Literal["date", "loss", "name", "size"]
SortOption = Annotated[
    Order,
    typer_option(
        "--sort",
        help="Sort by date (newest last), loss (lowest first, grouped by held-out text), name, or "
        "size (largest first).",
    ),
]


@app.callback(invoke_without_command=True)
def main(context: typer.Context, json: JsonOption = False, sort: SortOption = "date") -> None:
    """List, compare, show, plot, verify and remove runs. Without a command, lists them."""
    if context.invoked_subcommand is None:
        list_all(json=json, sort=sort)


# --- list ---------------------------------------------------------------------------------------


@app.command("list", cls=Command)
def list_all(json: JsonOption = False, sort: SortOption = "date") -> None:
    """List runs: size, loss on held-out text, steps, disk usage.

    tfcli runs list --sort loss
    """
    from tfcli.runs.run import ROOT, TRAIN_COMMAND, list_runs, nested_runs, open_run
    from tfcli.runs.summary import summarize

    reporter = streams.Reporter(quiet=False)
    found: list[tuple[Run, dict[str, Any]]] = []
    for path in list_runs():
        try:
            run = open_run(path)
            found.append((run, summarize(run)))
        except DataError as error:
            reporter.warn(error)
    texts = _texts([run for run, _ in found])
    rows = [(run, summary, text) for (run, summary), text in zip(found, texts, strict=True)]
    for path in nested_runs():
        name = shlex.quote(str(path.relative_to(ROOT)))
        reporter.note(f"Note: {path} is nested, so not listed; select it with --run {name}.")
    if sort != "date":
        rows.sort(key=lambda row: _sort_key(sort, *row[1:]))
    if json:
        for _, summary, _ in rows:
            streams.write_json_result(summary)
        return
    if not rows:
        reporter.note("No runs yet.")
        reporter.next(TRAIN_COMMAND)
        return
    _show_list(rows)
    measured = [(text, own["bytes"]) for _, each, text in rows if (own := each["held_out"])]
    if len({text for text, _ in measured}) > 1:
        reporter.note("Note: only losses on the same held-out text can be compared.")
    elif len(set(measured)) > 1:
        reporter.note("Note: some losses are of a part of the held-out text; compare with care.")
    newest, summary = found[-1]
    command = "train --resume" if _state(newest, summary) == "unfinished" else "runs show"
    reporter.next(f"tfcli {command} {shlex.quote(newest.name)}")


def _sort_key(sort: Order, summary: dict[str, Any], text: str) -> tuple[Any, ...]:
    if sort == "loss":
        held_out = summary["held_out"]
        return (held_out is None, text, held_out["nats_per_byte"] if held_out else 0)
    if sort == "size":
        return (-(summary["parameters"] or 0), summary["name"])
    return (summary["name"].casefold(), summary["name"])


def _texts(runs: Sequence[Run]) -> list[str]:
    """The name of each run's held-out text; different texts have different names."""
    from tfcli.runs.comparison import held_out_text

    names: dict[tuple[object, ...], str] = {}
    for run in runs:
        text, corpus = held_out_text(run), run.corpus
        if text not in names:
            name = _name_of_files(corpus)
            same = sum(known.split(" #")[0] == name for known in names.values())
            names[text] = f"{name} #{same + 1}" if same else name
    return [names[held_out_text(run)] for run in runs]


def _name_of_files(corpus: CorpusMetadata, most: int = 14) -> str:
    """`book.txt`, `one.txt +2`, `novel/ (23 files)`: a long name is clipped, on a terminal."""
    from tfcli.runs.source_names import source_name

    sources = corpus.val.sources if corpus.val else corpus.sources
    if not sources:
        return ""
    name, more = source_name(sources[0]), ""
    folder = Path(corpus.arguments[0]) if len(corpus.arguments) == 1 and not corpus.val else None
    if folder and folder.resolve() in Path(sources[0]).parents:
        name, more = f"{folder.name}/", f" ({counted(len(sources), 'file')})"
    elif len(sources) > 1:
        more = f" +{len(sources) - 1}"
    clipped = streams.is_terminal(sys.stdout) and len(name) > most
    return (f"{name[: most - 1]}…" if clipped else name) + more


def _state(run: Run, summary: dict[str, Any]) -> str:
    if run.metadata.get("imported") and not summary["steps"]:
        return "imported"
    return "" if summary["finished"] else "unfinished"


def _show_list(rows: Sequence[tuple[Run, dict[str, Any], str]]) -> None:
    from tfcli.cli.humanize import format_bytes, format_count, format_duration, format_moment
    from tfcli.cli.render import show_table

    table = []
    for run, summary, text in rows:
        held_out = summary["held_out"]
        table.append({
            "run": summary["name"],
            "saved": format_moment(summary["changed"]),
            "params": format_count(summary["parameters"]),
            "nats/byte": f"{held_out['nats_per_byte']:z.4f}" if held_out else "-",
            "held out": text if held_out else "-",
            "steps": f"{summary['steps']:,}",
            "time": format_duration(summary["seconds"]),
            "disk": format_bytes(summary["disk_bytes"]),
            "": _state(run, summary),
        })  # fmt: skip
    several = len({row["held out"] for row in table} - {"-"}) > 1
    headings = [heading for heading in table[0] if several or heading != "held out"]
    cells = [[row[heading] for heading in headings] for row in table]
    show_table(headings, cells, spare=["disk", "time", "saved", "params", "steps"])


# --- show and diff ------------------------------------------------------------------------------


@app.command(cls=Command)
def show(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's name or path.", show_default="the newest"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show one run in detail: loss, training, text, and parameters by part.

    tfcli runs show small
    """
    from tfcli.cli.render import show_sections
    from tfcli.cli.run_words import RUN, describe
    from tfcli.model.cost import parameters_by_part
    from tfcli.runs.run import find_run
    from tfcli.runs.series import read_series

    found, _ = find_run(run)
    series = read_series(found)
    if json:
        parts = {"parameters_by_part": parameters_by_part(found.model_config)}
        streams.write_json_result(
            series.summary | series.evaluations() | parts | {"run": found.metadata}
        )
        return
    sections = describe(series)
    show_sections({f"Run {found.name}": sections.pop(RUN), **sections})
    name = shlex.quote(found.argument)
    has_checkpoint = series.summary["steps"] or found.metadata.get("imported")
    streams.Reporter(quiet=False).next(
        f'tfcli generate "..." --run {name}' if has_checkpoint else f"tfcli train --resume {name}"
    )


@app.command(cls=Command)
def diff(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Two or more runs (name or path).")
    ],
    all: Annotated[bool, typer_option("--all", help="Also show identical values.")] = False,
    json: JsonOption = False,
) -> None:
    """Compare runs: their results, and the options and texts they were trained with.

    tfcli runs diff small large
    """
    from tfcli.cli.charts.chart import labels
    from tfcli.cli.render import show_comparison
    from tfcli.cli.run_words import compare, describe, differences, warn_obstacle
    from tfcli.runs.run import find_run
    from tfcli.runs.series import read_series

    found = {(run := find_run(name)[0]).path.resolve(): run for name in runs}
    if len(found) < 2 and len(runs) > 1:
        (same,) = found
        raise UsageError(
            f"{'both' if len(runs) == 2 else 'all'} are the same run, {found[same].name}",
            hint="tfcli runs   # lists all runs",
        )
    if len(found) < 2:
        raise UsageError("name at least two runs to compare", hint="tfcli runs   # lists all runs")
    series = [read_series(run) for run in found.values()]
    if json:
        streams.write_json_result(differences(series, everything=all))
        return
    reporter = streams.Reporter(quiet=False)
    table = compare([describe(one) for one in series], everything=all)
    if table:
        show_comparison(labels(series), table)
    else:
        reporter.note("These runs do not differ.")
    if warning := warn_obstacle(series):
        reporter.note(
            f"Note: {warning} To compare them on a text that none was trained on: "
            "tfcli score FILE --run RUN, for each."
        )
    reporter.next(f"tfcli runs plot {shlex.join(run.argument for run in found.values())}")


app.command("plot", cls=Command)(plot.plot)
app.command("tensorboard", cls=Command)(plot.tensorboard)
app.command("verify", cls=Command)(verify.verify)
app.command("repair", cls=Command)(verify.repair)
app.command("memory", cls=Command)(memory.memory)
app.command("card", cls=Command)(card.card)
app.command("held-out", cls=Command)(held_out.held_out)


# --- remove -------------------------------------------------------------------------------------


@app.command("rm", cls=Command)
def remove(
    names: Annotated[list[str], typer.Argument(metavar="RUN", help="Names or paths.")],
    yes: Annotated[bool, typer_option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Remove runs and their checkpoints: all of them, or none.

    tfcli runs rm small large
    """
    from tfcli.cli.humanize import format_bytes
    from tfcli.files import lock, remove_folder
    from tfcli.runs.run import run_folder
    from tfcli.runs.summary import disk_bytes

    reporter = streams.Reporter(quiet=quiet)
    folders = list({path.resolve(): path for path in map(run_folder, names)}.values())
    if not yes and not (streams.is_terminal(sys.stdin) and streams.is_terminal(sys.stderr)):
        raise UsageError(
            "removing runs requires confirmation; nothing was removed",
            hint=f"tfcli runs rm --yes {shlex.join(names)}",
        )
    with contextlib.ExitStack() as locks:
        for path in folders:
            locks.enter_context(lock(path, doing="removing it"))
        sizes = {path: disk_bytes(path) for path in folders}
        if not yes:
            _confirm_removal({str(path): format_bytes(size) for path, size in sizes.items()},
                             format_bytes(sum(sizes.values())))  # fmt: skip
        for path, size in sizes.items():
            remove_folder(path)
            reporter.note(f"Removed {path} ({format_bytes(size)}).")


def _confirm_removal(sizes: dict[str, str], total: str) -> None:
    """Asks once for all of them.

    Raises:
        typer.Abort: the answer is no, or there is none.

    """
    from tfcli.generation.streaming import make_visible

    paths = [make_visible(path) for path in sizes]
    question = f"Remove {paths[0]} ({total}), with all of its checkpoints?"
    if len(paths) > 1:
        width = max(map(len, paths))
        for path, size in zip(paths, sizes.values(), strict=True):
            streams.say(f"  {path:<{width}}  {size:>8}")
        question = f"Remove these {len(paths)} runs ({total}), with all of their checkpoints?"
    try:
        confirmed = _answer(question)
    except typer.Abort:  # Ctrl-C, or the end of the input: the question's line is still open
        streams.say("")
        confirmed = False
    if not confirmed:
        streams.say("Nothing was removed.")
        raise typer.Abort


def _answer(question: str) -> bool:
    """Whether the answer is yes; asks until it is one.

    `typer.confirm` would only say "invalid input".
    """
    while True:
        answer = typer.prompt(f"{question} [y/N]", default="", show_default=False, err=True)
        answer = str(answer).strip().lower()
        if answer in {"y", "yes", "n", "no", ""}:
            return answer in {"y", "yes"}
        streams.say("Answer y (yes) or n (no).")
