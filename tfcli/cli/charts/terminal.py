"""A chart in characters: braille dots for the train loss, markers for held-out text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from tfcli.cli.charts.canvas import Canvas, colored, marker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.charts.chart import Axis, Chart, Curve

MIN_WIDTH = 30
MAX_HEIGHT = 24  # lines above the legend


def draw_in_terminal(chart: Chart, *, width: int, height: int, color: bool) -> str:
    """The chart as lines of text, none of them wider than `width`.

    Args:
        width, height: of the whole, in characters; a long legend may exceed the height.

    """
    width = max(width, MIN_WIDTH)
    legend = _legend(chart.curves, width, color)
    height = min(height - len(legend), MAX_HEIGHT)
    y_ticks = chart.y.ticks()
    gutter = max(len(label) for _, label in y_ticks) + 2
    canvas = Canvas(width - gutter - 1, max(height - 3, 4))
    for run, curve in enumerate(chart.curves):
        points = [(chart.x.fraction(x), chart.y.fraction(y)) for x, y in curve.train]
        for start, end in zip(points, points[1:] or points, strict=False):
            canvas.line(start, end, run)
    for run, curve in enumerate(chart.curves):
        for one in (*curve.held_out, *curve.final_eval):
            canvas.mark(chart.x.fraction(one.x), chart.y.fraction(one.y), run)
    at_row = {canvas.cell(0, chart.y.fraction(value))[0]: label for value, label in y_ticks}
    lines = [f" {chart.y.title}"]
    for number in range(canvas.rows):
        label = at_row.get(number, "")
        lines.append(
            f"{label:>{gutter - 1}} {'┤' if label else '│'}{canvas.row(number, color)}".rstrip()
        )
    lines += _x_axis_lines(chart.x, gutter, canvas)
    return "\n".join([*lines, *legend]) + "\n"


def _x_axis_lines(axis: Axis, gutter: int, canvas: Canvas) -> list[str]:
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
    return [
        " " * gutter + "└" + "".join(rule),
        (" " * (gutter + 1) + "".join(numbers)).rstrip(),
        " " * (gutter + 1) + axis.title.rjust(columns),
    ]


def _legend(curves: Sequence[Curve], width: int, color: bool) -> list[str]:
    """The runs' names, then what their markers and dots are, in columns.

    Where that is too wide, it is a line for each.
    """
    names = [_shorten(curve.label, width) for curve in curves]
    held_out = [curve.held_out_caption if _evaluated(curve) else "" for curve in curves]
    train = [curve.train_caption if curve.train else "" for curve in curves]
    widths = [max(map(len, column)) for column in (names, held_out, train)]
    in_columns = sum(widths) + len("   ●    ⠤⠤ ") <= width
    lines = []
    for run, (name, evaluated, trained) in enumerate(zip(names, held_out, train, strict=True)):
        marks = marker(run), "⠤⠤"
        if color:
            marks = colored(marks[0], run), colored(marks[1], run)
        entries = [(marks[0], evaluated), (marks[1], trained)]
        if in_columns:
            sign = marks[0] if evaluated else " "
            line = f"{name:<{widths[0]}}   {sign} {evaluated:<{widths[1]}}"
            lines.append(f"{line}   {marks[1]} {trained}" if trained else line.rstrip())
            continue
        lines.append(name)
        for sign, caption in entries:
            if caption:
                first, *rest = textwrap.wrap(caption, width - 4, subsequent_indent="  ")
                lines += [f"  {sign} {first}", *(f"    {line}" for line in rest)]
    return lines


def _evaluated(curve: Curve) -> bool:
    return bool(curve.held_out or curve.final_eval)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
