"""A chart in characters: braille dots for the train loss, markers for held-out text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.cli.charts.canvas import Canvas, colored, marker

if TYPE_CHECKING:
    from tfcli.cli.charts.chart import Axis, Chart, Curve

MIN_WIDTH = 30


def draw_in_terminal(chart: Chart, *, width: int, height: int, color: bool) -> str:
    """The chart as lines of text, none of them wider than `width`.

    Args:
        width, height: of the whole, in characters; the legend comes on top of the height.

    """
    width = max(width, MIN_WIDTH)
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
    for run, curve in enumerate(chart.curves):
        lines += _legend(curve, run, width, color)
    return "\n".join(lines) + "\n"


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


def _legend(curve: Curve, run: int, width: int, color: bool) -> list[str]:
    """The run's name, then what its markers and its dots are; a line each where one is short."""
    entries = []
    if curve.held_out or curve.final_eval:
        entries.append((marker(run), curve.held_out_caption))
    if curve.train:
        entries.append(("⠤⠤", curve.train_caption))
    label = _shorten(curve.label, width)
    whole = len(label) + sum(4 + len(sign) + len(caption) for sign, caption in entries)
    if whole > width:
        entries = [(sign, _shorten(caption, width - 5)) for sign, caption in entries]
    signs = [(colored(sign, run) if color else sign, caption) for sign, caption in entries]
    if whole <= width:
        return [label + "".join(f"   {sign} {caption}" for sign, caption in signs)]
    return [label, *(f"  {sign} {caption}" for sign, caption in signs)]


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
