"""A chart in characters: braille dots for the train loss, markers for held-out text."""

from __future__ import annotations

import math
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from tfcli.cli.charts.canvas import Canvas, colored, marker
from tfcli.cli.charts.chart import with_equal_decimals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.charts.chart import Axis, Chart, Curve

MIN_WIDTH = 30
MIN_ROWS = 10  # of the canvas, however long the legend is
MAX_ROWS = 20
AROUND = 4  # lines of titles and of the x axis
STUDENT = "▲"  # on the x axis
APART = (2, 6)  # rows from a tick of the y axis to the next, at least and at most


def draw_in_terminal(chart: Chart, *, width: int, height: int, color: bool) -> str:
    """The chart as lines of text, none of them wider than `width`.

    Args:
        width, height: of the whole, in characters; a long legend may exceed the height.

    """
    width = max(width, MIN_WIDTH)
    legend = [*_legend(chart.curves, width, color), *_students(chart.curves, width)]
    rows = min(max(height - len(legend) - AROUND, MIN_ROWS), MAX_ROWS)
    y, at_row = _on_rows(chart.y, rows)
    gutter = max(map(len, at_row.values())) + 2
    canvas = Canvas(width - gutter - 1, rows)
    for run, curve in enumerate(chart.curves):
        points = [(chart.x.fraction(x), y.fraction(loss)) for x, loss in curve.train]
        for start, end in zip(points, points[1:] or points, strict=False):
            canvas.line(start, end, run)
    for run, curve in enumerate(chart.curves):
        for one in (*curve.held_out, *curve.final_eval):
            canvas.mark(chart.x.fraction(one.x), y.fraction(one.y), run)
    several = f" {chart.y.title}: markers held out, ⠤⠤ train"
    lines = [several if len(chart.curves) > 1 and len(several) <= width else f" {chart.y.title}"]
    for number in range(canvas.rows):
        label = at_row.get(number, "")
        lines.append(
            f"{label:>{gutter - 1}} {'┤' if label else '│'}{canvas.row(number, color)}".rstrip()
        )
    students = [curve.student for curve in chart.curves if curve.student is not None]
    lines += _x_axis_lines(chart.x, gutter, canvas, students)
    return "\n".join([*lines, *legend]) + "\n"


def _on_rows(axis: Axis, rows: int) -> tuple[Axis, dict[int, str]]:
    """The y axis widened until round values are all the same number of rows apart.

    Returns:
        the axis, and the labels of its ticks by row, from the top.

    """
    span = axis.high - axis.low
    power = 10.0 ** math.floor(math.log10(span))
    steps = [power * factor for factor in (0.1, 0.2, 0.5, 1, 2, 5)]
    every = {step: math.floor((rows - 1) * step / span) for step in steps}
    fits = [step for step in steps if APART[0] <= every[step] <= APART[1]]
    step = min(fits, key=lambda step: step / every[step])  # what widens the axis least
    unit = step / every[step]  # nats per byte in a row
    top = math.ceil(axis.high / unit - 0.5)
    spare = math.floor(axis.low / unit - (top - rows + 1) + 0.5)
    top += spare // 2
    values = {
        row: (top - row) // every[step] * step
        for row in range(rows)
        if top >= row and (top - row) % every[step] == 0  # no loss is below 0
    }
    labels = with_equal_decimals(list(values.values()), step)
    low = (top - rows + 0.5) * unit
    return replace(axis, low=low, high=low + rows * unit), dict(zip(values, labels, strict=True))


def _x_axis_lines(axis: Axis, gutter: int, canvas: Canvas, students: Sequence[float]) -> list[str]:
    """The axis with its numbers, and a mark where a student begins."""
    columns = canvas.columns
    rule, numbers = ["─"] * columns, [" "] * (columns + 1)
    free = 0  # where the next number may start
    for value, label in axis.ticks():
        _, column = canvas.cell(axis.fraction(value), 0)
        rule[column] = "┬"
        first = min(max(column - len(label) // 2, 0), columns - len(label))
        if first >= free:
            numbers[first : first + len(label)] = label
            free = first + len(label) + 1
    for value in students:
        rule[canvas.cell(axis.fraction(value), 0)[1]] = STUDENT
    return [
        " " * gutter + "└" + "".join(rule),
        (" " * (gutter + 1) + "".join(numbers)).rstrip(),
        " " * (gutter + 1) + axis.title.rjust(columns),
    ]


def _legend(curves: Sequence[Curve], width: int, color: bool) -> list[str]:
    """The runs' names, then what their markers and dots are, in columns.

    Where that is too wide, a single run gets several lines, and each of several runs a short one.
    """
    names = [_shorten(curve.label, width) for curve in curves]
    held_out = [curve.held_out_caption if _evaluated(curve) else "" for curve in curves]
    train = [curve.train_caption if curve.train else "" for curve in curves]
    widths = [max(map(len, column)) for column in (names, held_out, train)]
    if sum(widths) + len("   ●    ⠤⠤ ") > width:
        lines_of = _short_legend if len(curves) > 1 else _long_legend
        return lines_of(curves, width, color)
    lines = []
    for run, (name, evaluated, trained) in enumerate(zip(names, held_out, train, strict=True)):
        sign = _sign(marker(run), run, color) if evaluated else " "
        line = f"{name:<{widths[0]}}   {sign} {evaluated:<{widths[1]}}"
        lines.append(f"{line}   {_sign('⠤⠤', run, color)} {trained}" if trained else line.rstrip())
    return lines


def _students(curves: Sequence[Curve], width: int) -> list[str]:
    """Which runs go on with a student, and from where."""
    several = len(curves) > 1
    said = [
        f"{STUDENT} {f'{curve.label}: ' if several else ''}{curve.student_caption}"
        for curve in curves
        if curve.student is not None
    ]
    return [line for each in said for line in textwrap.wrap(each, width, subsequent_indent="  ")]


def _short_legend(curves: Sequence[Curve], width: int, color: bool) -> list[str]:
    """A line for each run: its marker, its name, and as much of its losses as fits."""
    longest = max(len(curve.label) for curve in curves)
    most = max(len(curve.short_captions) for curve in curves)
    for level in range(most):
        captions = [curve.short_captions[level:] or curve.short_captions[-1:] for curve in curves]
        room = width - 4 - max(len(caption[0]) for caption in captions)
        if room >= longest:
            break
    space = min(longest, room)
    return [
        f"{_sign(marker(run), run, color)} {_shorten(curve.label, space):<{space}}  {caption[0]}"
        for run, (curve, caption) in enumerate(zip(curves, captions, strict=True))
    ]


def _long_legend(curves: Sequence[Curve], width: int, color: bool) -> list[str]:
    """The name of a run, and below it what its marker and its dots are."""
    lines = []
    for run, curve in enumerate(curves):
        lines.append(_shorten(curve.label, width))
        entries = [(marker(run), curve.held_out_caption if _evaluated(curve) else "")]
        entries.append(("⠤⠤", curve.train_caption if curve.train else ""))
        for sign, caption in entries:
            if caption:
                first, *rest = textwrap.wrap(caption, width - 4, subsequent_indent="  ")
                lines.append(f"  {_sign(sign, run, color)} {first}")
                lines += [f"    {line}" for line in rest]
    return lines


def _sign(text: str, run: int, color: bool) -> str:
    return colored(text, run) if color else text


def _evaluated(curve: Curve) -> bool:
    return bool(curve.held_out or curve.final_eval)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
