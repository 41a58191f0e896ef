"""`tfcli runs plot` and `tfcli runs tensorboard`: loss curves, drawn or exported."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.shared_options import JsonOption, typer_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.charts.chart import Chart, Quantity
    from tfcli.runs.run import Run
    from tfcli.runs.series import Series

SUFFIXES = (".html", ".png", ".svg", ".pdf")
OPENERS = {"darwin": "open", "win32": "start"}

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", help="Names or paths of runs.", show_default="the newest"),
]


def plot(
    runs: RunsArgument = None,
    out: Annotated[
        Path | None,
        typer_option(
            "--out",
            "-o",
            help="Write to a file instead: .html, .png, .svg or .pdf.",
            metavar="FILE",
            shown_default="draw in the terminal",
        ),
    ] = None,
    x: Annotated[
        Literal["seconds", "steps", "tokens"], typer_option("--x", help="Unit of the x axis.")
    ] = "seconds",
    json: JsonOption = False,
) -> None:
    """Plot the train loss and the held-out loss of runs.

    tfcli runs plot small large --out losses.html
    """
    from tfcli.runs.series import read_series

    _require_picture(out)
    reporter = streams.Reporter(quiet=False)
    series = [read_series(run) for run in _find_runs(runs)]
    if json:
        for one in series:
            streams.write_json_result(one.to_json())
        if out is None:
            return
    for one in series:
        _require_points(one, x)
    from tfcli.cli.charts.chart import make_chart
    from tfcli.cli.run_words import warn_obstacle

    chart = make_chart(series, x)
    warning = warn_obstacle(series)
    if out is not None:
        _write_picture(out, chart, series, warning)
        reporter.note(f"Wrote {out} ({out.stat().st_size / 1000:.1f} kB).")
    else:
        _show(chart)
    if warning:
        reporter.note(f"Note: {warning}")
    names = " ".join(shlex.quote(one.run.name) for one in series)
    opener = OPENERS.get(sys.platform, "xdg-open")
    reporter.next(
        f"{opener} {shlex.quote(str(out))}"
        if out is not None
        else f"tfcli runs plot {names} --out losses.html"
    )


def tensorboard(
    out: Annotated[
        Path,
        typer_option(
            "--out", "-o", help="Folder to write to, with a subfolder for each run.", metavar="DIR"
        ),
    ],
    runs: RunsArgument = None,
) -> None:
    """Export the metrics of runs to TensorBoard event files.

    tfcli runs tensorboard small large --out events
    """
    from tfcli.errors import UsageError
    from tfcli.runs.tensorboard import write_events

    reporter = streams.Reporter(quiet=False)
    found = _find_runs(runs)
    names = [run.name for run in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"two of these runs are called {twice!r}; TensorBoard would take them for one",
            hint="run the command once for each, with different --out folders",
        )
    for run in found:
        path, count = write_events(run, out / run.name)
        reporter.note(f"Wrote {path}: {count:,} events.")
    reporter.next(f"tensorboard --logdir {shlex.quote(str(out))}")


# --- what to draw -------------------------------------------------------------------------------


def _find_runs(names: list[str] | None) -> list[Run]:
    """The named runs in order, each once; without names, the newest that has a checkpoint."""
    from tfcli.runs.run import find_run, list_runs
    from tfcli.runs.step import list_steps

    wanted: Sequence[str | None] = names or [None]
    if not names:
        wanted = [str(path) for path in list_runs() if list_steps(path)][-1:] or [None]
    found = [find_run(name)[0] for name in wanted]
    return list({run.path.resolve(): run for run in found}.values())


def _require_picture(out: Path | None) -> None:
    """Raises unless `out` names a page or a picture: no other file is ever overwritten."""
    from tfcli.errors import ConflictError, UsageError
    from tfcli.files import require_parent

    if out is None:
        return
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--out {str(out)!r} does not end in .html, .png, .svg or .pdf",
            hint=f"--out {shlex.quote(str(out.with_suffix('.html') if out.name else 'runs.html'))}",
        )
    if out.is_dir():
        raise ConflictError(f"{out} is a folder", hint="choose another path for --out")
    require_parent(out)


def _require_points(series: Series, x: Quantity) -> None:
    """Raises where a run has nothing to draw, or nothing over `x`."""
    from tfcli.errors import NotFoundError

    points = [*series.train, *series.held_out, *series.final_eval]
    name = shlex.quote(series.run.name)
    if not points:
        raise NotFoundError(
            f"run {series.run.name!r} has nothing to plot yet",
            why="its metrics.jsonl has no steps and no evaluations",
            hint=f"tfcli train FILE --from {name}"
            if series.run.metadata.get("imported")
            else f"tfcli train --resume {name}",
        )
    if x == "tokens" and any(point.tokens is None for point in points):
        raise NotFoundError(
            f"run {series.run.name!r} cannot be plotted over tokens yet",
            why="it has no checkpoint, which says how many tokens a step takes",
            hint=f"tfcli runs plot {name} --x steps",
        )


# --- drawing ------------------------------------------------------------------------------------


def _show(chart: Chart) -> None:
    from tfcli.cli.charts.terminal import draw_in_terminal

    size = shutil.get_terminal_size()
    # leaves room for the notes and the next prompt of the shell
    text = draw_in_terminal(
        chart, width=size.columns, height=size.lines - 4, color=streams.wants_color(sys.stdout)
    )
    streams.write_result(text.encode(errors="backslashreplace"))


def _write_picture(out: Path, chart: Chart, series: list[Series], warning: str | None) -> None:
    from tfcli.files import write_file

    names = ", ".join(curve.label for curve in chart.curves)
    title = names if len(series) == 1 else None  # several are named by their labels
    suffix = out.suffix.lower()
    if suffix == ".svg":
        from tfcli.cli.charts.svg import draw_svg_file

        write_file(out, draw_svg_file(chart, title))
    elif suffix == ".html":
        write_file(out, _page(chart, series, f"Loss of {names}", warning).encode())
    else:
        from tfcli.cli.charts.figure import FILE, draw_figure, save_figure

        write_file(out, save_figure(draw_figure(chart, FILE, title), suffix.lstrip(".")))


def _page(chart: Chart, series: list[Series], title: str, warning: str | None) -> str:
    """The chart with a table: the results of the runs, and what else differs between them.

    Of a single run it has everything.
    """
    from tfcli.cli.charts.page import draw_page
    from tfcli.cli.run_words import RESULTS, compare, describe

    descriptions = [describe(one) for one in series]
    everything = compare(descriptions, everything=True)
    table = everything if len(series) == 1 else compare(descriptions)
    return draw_page(chart, title, {**table, RESULTS: everything[RESULTS]}, warning)
