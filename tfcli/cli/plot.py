"""`tfcli runs plot` and `tfcli runs tensorboard`: the curves of runs, to be seen or handed on."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfcli.cli import streams
from tfcli.cli.options import JsonOption, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.chart import Chart, Quantity
    from tfcli.runs.run import Run
    from tfcli.runs.series import Series

PICTURES = (".html", ".svg")
OPENERS = {"darwin": "open", "win32": "start"}
TALLEST = 24  # lines of a chart on a terminal

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[RUN]...", help="Names or paths of runs.", show_default="the newest"),
]


def plot(
    runs: RunsArgument = None,
    out: Annotated[
        Path | None,
        option(
            "--out",
            "-o",
            help="Write a page or a picture: FILE.html or FILE.svg.",
            metavar="FILE",
            otherwise="draw on stdout",
        ),
    ] = None,
    x: Annotated[
        Literal["seconds", "steps", "tokens"], option("--x", help="What stands on the x axis.")
    ] = "seconds",
    json: JsonOption = False,
) -> None:
    """Draw the loss of runs, on text held out and in training.

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
    from tfcli.cli.chart import make_chart

    chart = make_chart(series, x)
    warning = _warning(series)
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
    out: Annotated[Path, option("--out", "-o", help="A folder in it for each run.", metavar="DIR")],
    runs: RunsArgument = None,
) -> None:
    """Write the metrics of runs as event files that TensorBoard reads.

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
            f"two of these runs are called {twice!r}, and would be one run to TensorBoard",
            hint="the same command for each, with an --out of its own",
        )
    for run in found:
        path, count = write_events(run, out / run.name)
        reporter.note(f"Wrote {path}: {count:,} events.")
    reporter.next(f"tensorboard --logdir {shlex.quote(str(out))}")


# --- what is to be drawn ------------------------------------------------------------------------


def _find_runs(names: list[str] | None) -> list[Run]:
    """The runs of these names in this order, each once; without names the newest with a step."""
    from tfcli.runs.run import find_run, list_runs
    from tfcli.runs.step import list_steps

    wanted: Sequence[str | None] = names or [None]
    if not names:
        wanted = [str(path) for path in list_runs() if list_steps(path)][-1:] or [None]
    found = [find_run(name)[0] for name in wanted]
    return list({run.path.resolve(): run for run in found}.values())


def _require_picture(out: Path | None) -> None:
    """Raises where `out` is no name of a picture: what another name holds is not overwritten."""
    from tfcli.errors import ConflictError, UsageError

    if out is None:
        return
    if out.suffix.lower() not in PICTURES:
        raise UsageError(
            f"--out {str(out)!r} does not end in .html or .svg",
            hint=f"--out {shlex.quote(str(out.with_suffix('.html') if out.name else 'runs.html'))}",
        )
    if out.is_dir():
        raise ConflictError(f"{out} is a folder", hint="choose another name for --out")


def _require_points(series: Series, x: Quantity) -> None:
    """Raises where there is nothing to draw of a run, or not over `x`."""
    from tfcli.errors import NotFoundError

    points = [*series.training, *series.held_out, *series.apart]
    name = shlex.quote(series.run.name)
    if not points:
        raise NotFoundError(
            f"there is nothing to draw of the run {series.run.name!r} yet",
            why="its metrics.jsonl has no step and no measurement",
            hint=f"tfcli train FILE --from {name}"
            if series.run.metadata.get("imported")
            else f"tfcli train --resume {name}",
        )
    if x == "tokens" and any(point.tokens is None for point in points):
        raise NotFoundError(
            f"how many tokens the run {series.run.name!r} has seen is not known",
            why="it has saved no step yet",
            hint=f"tfcli runs plot {name} --x steps",
        )


def _warning(series: list[Series]) -> str | None:
    """What must be known before comparing these runs."""
    texts = {
        (one.run.metadata["corpus"]["fingerprint"], one.run.metadata["corpus"]["held_out_bytes"])
        for one in series
    }
    if len(texts) == 1:
        return None
    return "these runs were trained and measured on different texts: compare them with care."


# --- drawing ------------------------------------------------------------------------------------


def _show(chart: Chart) -> None:
    from tfcli.cli.chart_terminal import draw_in_terminal

    size = shutil.get_terminal_size()
    # room for the legend, the note, and what the shell writes after it
    height = min(size.lines - len(chart.curves) - 4, TALLEST)
    text = draw_in_terminal(
        chart, width=size.columns, height=height, colour=streams.wants_color(sys.stdout)
    )
    streams.write_result(text.encode(errors="backslashreplace"))


def _write_picture(out: Path, chart: Chart, series: list[Series], warning: str | None) -> None:
    from tfcli.cli.chart_svg import draw_page, draw_svg
    from tfcli.files import write_file

    if out.suffix.lower() == ".svg":
        text = draw_svg(chart)
    else:
        names = ", ".join(curve.label for curve in chart.curves)
        headings = ("run", "parameters", "steps", "tokens", "time", "nats/byte", "measured on")
        rows = [
            _table_row(curve.label, one.summary)
            for curve, one in zip(chart.curves, series, strict=True)
        ]
        text = draw_page(chart, f"Loss of {names}", headings, rows, warning)
    write_file(out, text.encode())


def _table_row(label: str, summary: dict[str, Any]) -> list[str]:
    from tfcli.cli.formatting import format_count, format_duration

    held_out, size = summary["held_out"], summary["parameters"]
    loss, protocol = "-", "nothing yet"
    if held_out:
        loss = f"{held_out['nats_per_byte']:.4f}"
        share = "all" if held_out["whole"] else "a part"
        protocol = (
            f"{share} of the held-out text, {held_out['bytes']:,} bytes, context "
            f"{held_out['context']:,}, stride {held_out['stride']:,}; step {summary['best_step']:,}"
        )
    return [
        label,
        format_count(size) if isinstance(size, int) else "-",
        f"{summary['steps']:,}",
        format_count(summary["tokens_seen"]),
        format_duration(summary["seconds"]),
        loss,
        protocol,
    ]
