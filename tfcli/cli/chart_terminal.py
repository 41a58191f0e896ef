"""A chart in characters: dots of braille for the loss in training, marks for held-out text."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfcli.cli.chart import Axis, Chart, Curve

MARKS = "●▲■◆○△□◇"
COLOURS = (34, 33, 32, 35, 36, 31, 94, 93)  # ANSI, one a run
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row
NARROWEST = 30


class Canvas:
    """Cells of the plane; each holds braille dots or one mark, and the colour of a run."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._marks: dict[tuple[int, int], str] = {}
        self._owner: dict[tuple[int, int], int] = {}

    def dot(self, x: float, y: float, owner: int) -> None:
        """A small dot at shares of the width and of the height, which may lie outside."""
        column, row = self._place(x, y)
        if 0 <= column < 2 * self.columns and 0 <= row < 4 * self.rows:
            cell = (row // 4, column // 2)
            self._dots[cell[0]][cell[1]] |= DOTS[row % 4][column % 2]
            self._owner.setdefault(cell, owner)

    def line(self, begin: tuple[float, float], end: tuple[float, float], owner: int) -> None:
        """Dots from one place to another, dense enough to touch."""
        wide, high = (end[0] - begin[0]) * 2 * self.columns, (end[1] - begin[1]) * 4 * self.rows
        # what falls from far above needs no more dots than the plane has
        count = min(max(1, round(max(abs(wide), abs(high)))), 8 * (self.columns + self.rows))
        for i in range(count + 1):
            t = i / count
            self.dot(begin[0] + t * (end[0] - begin[0]), begin[1] + t * (end[1] - begin[1]), owner)

    def mark(self, x: float, y: float, owner: int) -> None:
        """The mark of a run, over whatever is there."""
        cell = self.cell(x, y)
        self._marks[cell], self._owner[cell] = MARKS[owner % len(MARKS)], owner

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the cell at shares of the width and of the height."""
        column, row = self._place(x, y)
        return row // 4, column // 2

    def _place(self, x: float, y: float) -> tuple[int, int]:
        return round(x * (2 * self.columns - 1)), round((1 - y) * (4 * self.rows - 1))

    def row(self, number: int, colour: bool) -> str:
        """One line of text."""
        cells = []
        for column, dots in enumerate(self._dots[number]):
            cell = (number, column)
            char = self._marks.get(cell) or (chr(0x2800 + dots) if dots else " ")
            cells.append(_coloured(char, self._owner.get(cell), colour))
        return "".join(cells).rstrip()


def draw_in_terminal(chart: Chart, *, width: int, height: int, colour: bool) -> str:
    """The chart as lines of text, none of them wider than `width`.

    Args:
        width, height: of the whole, in characters; the legend comes on top of the height.

    """
    width = max(width, NARROWEST)
    gutter = max(len(text) for _, text in chart.y.ticks) + 2
    canvas = Canvas(width - gutter - 1, max(height - 3, 4))
    for owner, curve in enumerate(chart.curves):
        places = [(chart.x.share(x), chart.y.share(y)) for x, y in curve.training]
        for begin, end in zip(places, places[1:] or places, strict=False):
            canvas.line(begin, end, owner)
    for owner, curve in enumerate(chart.curves):
        for dot in (*curve.held_out, *curve.apart):
            canvas.mark(chart.x.share(dot.x), chart.y.share(dot.y), owner)
    at_row = {canvas.cell(0, chart.y.share(value))[0]: text for value, text in chart.y.ticks}
    lines = [f" {chart.y.title}"]
    for number in range(canvas.rows):
        text = at_row.get(number, "")
        lines.append(
            f"{text:>{gutter - 1}} {'┤' if text else '│'}{canvas.row(number, colour)}".rstrip()
        )
    lines += _x_axis_lines(chart.x, gutter, canvas)
    for owner, curve in enumerate(chart.curves):
        lines += _legend(curve, owner, width, colour)
    return "\n".join(lines) + "\n"


def draw_losses(
    losses: Sequence[float], held_out: Sequence[tuple[float, float]], *, width: int, height: int
) -> list[str]:
    """The curve of a training under way, as lines of text with the highest and the lowest value.

    Args:
        losses: of the steps so far; drawn as means of neighbours. What comes before the first
            twentieth is left out: it falls from so high that nothing else could be seen.
        held_out: measurements, each with its place, from 0 to 1, in the steps so far.

    """
    first = len(losses) // 20
    shown = losses[first:]
    count = min(2 * width, len(shown))
    means = []
    for i in range(count):
        part = shown[len(shown) * i // count : len(shown) * (i + 1) // count]
        means.append(sum(part) / len(part))
    begin = first / max(len(losses), 1)
    marks = [((x - begin) / (1 - begin), y) for x, y in held_out if x >= begin]
    values = means + [y for _, y in marks]
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    gutter = 8
    canvas = Canvas(width - gutter, height)
    places = [(i / max(count - 1, 1), (mean - low) / spread) for i, mean in enumerate(means)]
    for one, other in itertools.pairwise(places):
        canvas.line(one, other, 0)
    for x, y in marks:
        canvas.mark(x, (y - low) / spread, 0)
    labels = {0: f"{high:.3f}", height - 1: f"{low:.3f}"}
    return [f"{labels.get(n, ''):>6}  {canvas.row(n, colour=False)}" for n in range(height)]


def _x_axis_lines(axis: Axis, gutter: int, canvas: Canvas) -> list[str]:
    columns = canvas.columns
    rule, numbers = ["─"] * columns, [" "] * (columns + 1)
    free = 0  # where the next number may begin
    for value, text in axis.ticks:
        _, column = canvas.cell(axis.share(value), 0)
        rule[column] = "┬"
        first = min(max(column - len(text) // 2, 0), columns - len(text))
        if first >= free:
            numbers[first : first + len(text)] = text
            free = first + len(text) + 1
    return [
        " " * gutter + "└" + "".join(rule),
        (" " * (gutter + 1) + "".join(numbers)).rstrip(),
        " " * (gutter + 1) + axis.title.rjust(columns),
    ]


def _legend(curve: Curve, owner: int, width: int, colour: bool) -> list[str]:
    """The run's name, then what its marks and its dots are; on two lines where one is too short."""
    mark = _coloured(MARKS[owner % len(MARKS)], owner, colour)
    dots = _coloured("⠤⠤", owner, colour)
    parts = []
    if curve.held_out or curve.apart:
        parts.append((mark, curve.held_out_words))
    if curve.training:
        parts.append((dots, curve.training_words))
    label = _cut(curve.label, width)
    whole = len(label) + sum(5 + len(words) for _, words in parts)
    if whole <= width:
        return [label + "".join(f"   {sign} {words}" for sign, words in parts)]
    return [label, *(f"  {sign} {_cut(words, width - 5)}" for sign, words in parts)]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _coloured(char: str, owner: int | None, colour: bool) -> str:
    if not colour or owner is None or char == " ":
        return char
    return f"\033[{COLOURS[owner % len(COLOURS)]}m{char}\033[0m"
