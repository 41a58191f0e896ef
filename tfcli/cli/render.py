"""Progress bars and tables.

Model text is put in as plain `Text`, never as markup, and with its control characters shown.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import time
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.humanize import format_bytes
from tfcli.generation.streaming import make_visible
from tfcli.quantities import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

LINE_EVERY = 10.0  # seconds between plain lines of progress


def console() -> Console:
    """A console on stderr."""
    from rich.console import Console

    return Console(
        file=sys.stderr, highlight=False, markup=False, no_color=not streams.wants_color()
    )


# --- progress -----------------------------------------------------------------------------------


@contextlib.contextmanager
def progress(
    what: str, *, total: int | None = None, quiet: bool
) -> Iterator[Callable[[int], None]]:
    """Shows the progress of long work, once it has taken two seconds.

    Yields:
        a function to call with the number of bytes done so far.

    """
    if quiet:
        yield lambda _: None
        return
    bar: Progress | None = None  # as long as it is not needed, Rich is not loaded
    started = shown = time.monotonic()
    on_terminal = streams.is_terminal(sys.stderr)

    def report(done: int) -> None:
        nonlocal bar, shown
        now = time.monotonic()
        if now - started < streams.PROGRESS_DELAY:
            return
        if on_terminal:
            bar = bar or _start_bar(what, total)
            bar.update(bar.task_ids[0], completed=done)
        elif now - shown > LINE_EVERY:
            shown = now
            share = f" of {format_bytes(total)}" if total else ""
            streams.say(f"{what}: {format_bytes(done)}{share}")

    try:
        yield report
    finally:
        if bar:
            bar.stop()


@contextlib.contextmanager
def share_progress(what: str, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    """The same for work that is not counted in bytes.

    Yields:
        a function to call with the share that is done, from 0 to 1.

    """
    from tfcli.cli.humanize import format_duration

    started = shown = time.monotonic()
    on_terminal = streams.is_terminal(sys.stderr)

    def report(share: float) -> None:
        nonlocal shown
        now = time.monotonic()
        every = 0.2 if on_terminal else LINE_EVERY
        if quiet or now - started < streams.PROGRESS_DELAY or now - shown < every or not share:
            return
        shown = now
        left = format_duration((now - started) * (1 - share) / share)
        line = f"{what}: {percent(share)}, {left} left"
        if on_terminal:
            streams.draw_line(line)
        else:
            streams.say(line)

    try:
        yield report
    finally:
        if on_terminal and not quiet and shown > started:
            streams.draw_line("")


def _start_bar(what: str, total: int | None) -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=console(), transient=True,
    )  # fmt: skip
    bar.add_task(what, total=total)
    bar.start()
    return bar


def pad(text: str, width: int) -> str:
    """A text in at least so many columns of a terminal, with spaces after it."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) > width else set_cell_size(text, width)


def cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def fit(text: str, width: int) -> str:
    """A text in exactly so many columns: with spaces after it, or cut, with an ellipsis."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(f"{set_cell_size(text, max(width - 1, 0)).rstrip()}…", width)


# --- tables -------------------------------------------------------------------------------------


def show_facts(facts: Mapping[str, object]) -> None:
    """Names and values on stdout, one per line."""
    width = max(map(len, facts))
    lines = [f"{name:<{width}}  {_cell(value)}" for name, value in facts.items()]
    streams.write_result(("\n".join(lines) + "\n").encode())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "-"
    return make_visible(str(value)).replace("\n", "\\n")


def show_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, spare: Sequence[str] = ()
) -> None:
    """A table on stdout; after the first column, those of numbers are aligned right.

    Args:
        spare: headings of columns that a narrow terminal does not get, the first to go first.

    """
    from rich.cells import cell_len, set_cell_size

    columns: dict[str, list[str]] = {}
    for heading, *raw in zip(headings, *rows, strict=True):
        cells = [heading, *map(_one_line, raw)]
        width = max(map(cell_len, cells))
        numbers = bool(columns) and all(cell[0].isdigit() for cell in cells[1:] if cell.strip("-"))
        columns[heading] = [
            " " * (width - cell_len(cell)) + cell if numbers else set_cell_size(cell, width)
            for cell in cells
        ]
    for heading in spare if streams.is_terminal(sys.stdout) else ():
        if sum(cell_len(cells[0]) + 2 for cells in columns.values()) <= _columns() + 2:
            break
        columns.pop(heading, None)
    lines = ["  ".join(line).rstrip() for line in zip(*columns.values(), strict=True)]
    streams.write_result(("\n".join(lines) + "\n").encode())


def show_sections(sections: Mapping[str, Mapping[str, str]]) -> None:
    """Names and what they are, under headings, on stdout; wrapped where the terminal is narrow."""
    table = _new_table(2, sections)
    for title, lines in sections.items():
        if lines:
            _begin_section(table, title)
        for name, said in lines.items():
            table.add_row(*map(_text, (f"  {_one_line(name)}", said)))
    _write_table(table)


def _one_line(name: str) -> str:
    """Somebody's name for something, which may have any character, on one line."""
    return make_visible(name).replace("\n", "⏎").replace("\t", " ")


def show_comparison(
    names: Sequence[str], sections: Mapping[str, Mapping[str, Sequence[str]]]
) -> None:
    """A column for each of several things, on stdout; where there is no room, a line for each.

    Args:
        names: of the columns.
        sections: title -> name of a line -> its cells.

    """
    width = max(len(name) for lines in sections.values() for name in lines)
    stacked = (_columns() - width) // len(names) < MIN_COLUMN
    table = _new_table(2 if stacked else 1 + len(names), sections)
    if not stacked:
        table.add_row("", *(_text(name, "bold") for name in names))
    for title, lines in sections.items():
        _begin_section(table, title)
        for name, cells in lines.items():
            if not stacked:
                table.add_row(*map(_text, (f"  {name}", *cells)))
                continue
            table.add_row(_text(f"  {name}"))
            for owner, cell in zip(names, cells, strict=True):
                table.add_row(*map(_text, (f"    {owner}", cell)))
    _write_table(table)


MIN_COLUMN = 14  # characters of a column in which words can be read
PADDING = 2  # between columns


def _new_table(columns: int, sections: Mapping[str, Mapping[str, object]]) -> Table:
    """A table without lines: the names of the sections' lines, then columns that fit beside."""
    from rich.table import Table

    names = 2 + max((len(name) for lines in sections.values() for name in lines), default=0)
    names = min(names, _columns() // 2)
    room = (_columns() - names) // (columns - 1) - PADDING
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, PADDING, 0, 0))
    table.add_column(width=names, overflow="fold")
    for _ in range(columns - 1):
        table.add_column(max_width=room, overflow="fold")
    return table


def _begin_section(table: Table, title: str) -> None:
    if table.row_count:
        table.add_row()
    table.add_row(_text(title, "bold"))


def _text(text: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(make_visible(text), style=style)


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _write_table(table: Table) -> None:
    text = _draw(table, color=streams.wants_color(sys.stdout))
    streams.write_result(text.encode(errors="backslashreplace"))


def _draw(table: Table, *, color: bool) -> str:
    """A table as lines of text, without spaces at their ends."""
    from rich.console import Console

    drawn = Console(
        file=io.StringIO(), width=_columns(), highlight=False, force_terminal=color,
        color_system="standard" if color else None, legacy_windows=False,
    )  # fmt: skip
    with drawn.capture() as captured:
        drawn.print(table)
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def say_table(rows: Sequence[Sequence[str]]) -> None:
    """A table on stderr whose last column is wrapped where the terminal is narrow."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, *cells in rows:
        table.add_row(_text(name, "bold"), *map(_text, cells))
    with contextlib.suppress(OSError, ValueError, AttributeError):  # a closed stderr is no error
        print(_draw(table, color=streams.wants_color()), end="", file=sys.stderr, flush=True)


def show_checks(checks: Sequence[tuple[bool, str, str]]) -> None:
    """The findings of `doctor` on stdout: a mark, what was checked, what was found."""
    rows = [(("ok" if good else "!!"), what, found) for good, what, found in checks]
    width = max(len(what) for _, what, _ in rows)
    lines = [f"{mark}  {what:<{width}}  {make_visible(found)}" for mark, what, found in rows]
    streams.write_result(("\n".join(lines) + "\n").encode())


class LiveText:
    """A text on stderr that changes in place, and is removed at the end."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live = Live(console=console(), transient=True, auto_refresh=False)
        self._live.start()

    def update(self, parts: Sequence[tuple[str, str]]) -> None:
        """Shows these parts, each with its style."""
        from rich.text import Text

        text = Text()
        for part, style in parts:
            text.append(make_visible(part), style=style)
        self._live.update(text, refresh=True)

    def close(self) -> None:
        """Removes it."""
        self._live.stop()
