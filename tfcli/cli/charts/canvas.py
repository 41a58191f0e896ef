"""A plane of characters to draw lines and markers on, finer than a character thanks to braille."""

from __future__ import annotations

MARKERS = "●△■×○▲□◆"  # one a run; neighbors differ even where a font draws them small
COLORS = (34, 33, 32, 35, 36, 31, 94, 93)  # ANSI, one a run
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row


class Canvas:
    """Cells that hold braille dots or one marker, in the color of a run.

    Coordinates are fractions of the width, from the left, and of the height, from the bottom.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._dots = [[0] * columns for _ in range(rows)]
        self._markers: dict[tuple[int, int], str] = {}
        self._run: dict[tuple[int, int], int] = {}

    def dot(self, x: float, y: float, run: int) -> None:
        """A small dot; outside of the canvas there is none."""
        column, row = self._place(x, y)
        if 0 <= column < 2 * self.columns and 0 <= row < 4 * self.rows:
            cell = (row // 4, column // 2)
            self._dots[cell[0]][cell[1]] |= DOTS[row % 4][column % 2]
            self._run.setdefault(cell, run)

    def line(self, start: tuple[float, float], end: tuple[float, float], run: int) -> None:
        """Dots from one place to another, dense enough to touch."""
        wide, high = (end[0] - start[0]) * 2 * self.columns, (end[1] - start[1]) * 4 * self.rows
        # a line that comes from far outside needs no more dots than the canvas has
        count = min(max(1, round(max(abs(wide), abs(high)))), 8 * (self.columns + self.rows))
        for i in range(count + 1):
            t = i / count
            self.dot(start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1]), run)

    def mark(self, x: float, y: float, run: int) -> None:
        """The marker of a run, over whatever is there."""
        cell = self.cell(x, y)
        self._markers[cell], self._run[cell] = marker(run), run

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Row, from the top, and column of the cell at a place."""
        column, row = self._place(x, y)
        return row // 4, column // 2

    def _place(self, x: float, y: float) -> tuple[int, int]:
        return round(x * (2 * self.columns - 1)), round((1 - y) * (4 * self.rows - 1))

    def row(self, number: int, color: bool) -> str:
        """One line of text."""
        cells = []
        for column, dots in enumerate(self._dots[number]):
            cell = (number, column)
            char = self._markers.get(cell) or (chr(0x2800 + dots) if dots else " ")
            run = self._run.get(cell)
            cells.append(colored(char, run) if color and run is not None else char)
        return "".join(cells).rstrip()


def marker(run: int) -> str:
    """The marker of a run, by its number."""
    return MARKERS[run % len(MARKERS)]


def colored(text: str, run: int) -> str:
    """Text in the color of a run."""
    return f"\033[{COLORS[run % len(COLORS)]}m{text}\033[0m"
