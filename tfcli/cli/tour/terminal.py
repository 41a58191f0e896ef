"""The tour in the terminal, as wide as that is; in a pipe the same without colors."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from tfcli.cli import streams
from tfcli.cli.inspection_output import WIDTH, bold, columns
from tfcli.cli.tour.step import END, TERM, Picture, Table
from tfcli.cli.tour.tour import INTRODUCTION, LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tfcli.cli.tour.step import Step
    from tfcli.insight.code_lines import Code

SHADES = " ░▒▓█"
POSITIVE, NEGATIVE = 33, 208  # blue and orange, of 256 colors
FIRST = 14  # columns of the first cell of a row, at least
GAP = "  "
PICTURES = (
    "In pictures every number is a block, the fuller the larger; where there are colors, blue is "
    "positive and orange negative. [0] in a table is the first number of a vector."
)


def write_tour(steps: Sequence[Step], model: str) -> None:
    """All steps, on stdout.

    Args:
        model: what it is, in one sentence.

    """
    lines: list[str] = []
    for paragraph in (*INTRODUCTION, PICTURES, model):
        lines += [*_wrapped(paragraph), ""]
    for place, step in enumerate(steps, 1):
        lines += [*_step(place, step), ""]
    lines += _wrapped(LIMITS)
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    streams.write_result(text.encode(errors="backslashreplace"))


def _step(place: int, step: Step) -> Iterator[str]:
    title = f"{place}. {step.title}"
    yield bold(title)
    yield "─" * len(title)
    for paragraph in step.said:
        yield from _with_terms(paragraph)
        yield ""
    for line in step.formula.split("\n"):
        yield from _wrapped(line, "    ", "        ")
    for figure in step.figures:
        yield ""
        yield from _wrapped(figure.caption)
        yield from _table(figure) if isinstance(figure, Table) else _picture(figure)
    yield ""
    before = ""
    for code in step.code:
        if code.file != before:
            yield from _wrapped(f"{code.file}:", "  ", "    ")
        yield from _code(code)
        before = code.file


def _with_terms(paragraph: str) -> Iterator[str]:
    """A paragraph with the terms that it explains in bold; see `step.TERM`."""
    on, off = ("\033[1m", streams.RESET) if streams.wants_color(sys.stdout) else ("", "")
    is_bold = False  # a term may go on in the next line
    bare = paragraph.replace(TERM, "").replace(END, "")
    marks = _marks(paragraph)
    place = 0
    for line in _wrapped(bare):
        place = bare.index(line.split()[0], place) if line.split() else place
        shown = on if is_bold else ""
        for char in line:
            if place in marks.get("begin", ()):
                shown, is_bold = shown + on, True
            shown, place = shown + char, place + 1
            if place in marks.get("end", ()):
                shown, is_bold = shown + off, False
        yield shown + (off if is_bold else "")


def _marks(paragraph: str) -> dict[str, set[int]]:
    """Where terms begin and end, counted without the marks."""
    found: dict[str, set[int]] = {"begin": set(), "end": set()}
    place = 0
    for char in paragraph:
        if char == TERM:
            found["begin"].add(place)
        elif char == END:
            found["end"].add(place)
        else:
            place += 1
    return found


def _code(code: Code) -> Iterator[str]:
    for number, text in code.lines:
        indent = " " * (len(text) - len(text.lstrip()))
        yield from textwrap.wrap(
            text.lstrip(), columns(), initial_indent=f"{number:>6}  {indent}",
            subsequent_indent=f"{'':8}{indent}    ", break_on_hyphens=False,
        )  # fmt: skip


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text, min(columns(), WIDTH), initial_indent=first, subsequent_indent=rest,
        break_on_hyphens=False,
    )  # fmt: skip


def _table(table: Table) -> Iterator[str]:
    """As many columns as fit; the first ones, and of vectors so many of their numbers."""
    from tfcli.cli.render import cells, fit

    rows = [table.headings, *table.rows]
    widths = [max(cells(row[column]) for row in rows) for column in range(len(table.headings))]
    others = sum(width + len(GAP) for width in widths[1:])
    widths[0] = min(widths[0], max(FIRST, columns() // 3, columns() - 2 - others))
    kept = list(range(len(widths)))
    while len(kept) > 1 and sum(widths[i] + len(GAP) for i in kept) - len(GAP) + 2 > columns():
        numbers = [i for i in kept if table.headings[i].startswith("[")]
        dropped = numbers[-1] if numbers else kept[-1]
        kept = [i for i in kept if i != dropped]
    for number, row in enumerate(rows, -1):
        parts = []
        for i in kept:
            cell = fit(row[i], widths[i])
            parts.append(cell if i in table.words else cell.rstrip().rjust(widths[i]))
        mark = "> " if number in table.marked else "  "
        yield mark + GAP.join(parts)


def _picture(picture: Picture) -> Iterator[str]:
    """A block for each number, as many of each row as fit."""
    from tfcli.cli.render import cells, fit

    values = np.asarray(picture.values, np.float64)
    width = min(max(map(cells, picture.rows), default=0), columns() // 3)
    wide = 2 if picture.shares else 1
    room = max((columns() - width - 4) // wide, 1)
    largest = 1.0 if picture.shares else max(float(np.abs(values).max()), 1e-30)
    for place, row in enumerate(values):
        name = picture.rows[place] if picture.rows else ""
        blocks = "".join(_block(x / largest, wide) for x in row[:room])
        yield f"  {fit(name, width)}  {blocks}"
    if values.shape[1] > room:
        yield f"  (the first {room} of {values.shape[1]} numbers of each)"


def _block(x: float, wide: int) -> str:
    """Stronger for larger numbers; where there are colors, blue is positive, orange negative."""
    strength = abs(x) ** 0.6
    shade = SHADES[min(len(SHADES) - 1, round(strength * (len(SHADES) - 1)))] * wide
    if not streams.wants_color(sys.stdout) or not shade.strip():
        return shade
    return f"\033[38;5;{POSITIVE if x >= 0 else NEGATIVE}m{shade}{streams.RESET}"
