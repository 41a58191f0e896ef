"""Progress bars and tables.

Model text is put in as plain `Text`, never as markup, and with its control characters shown.
"""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from tfcli.cli import streams
from tfcli.cli.humanize import format_bytes
from tfcli.generation.streaming import make_visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.progress import Progress

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


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; after the first column, those of numbers are aligned right."""
    columns: list[list[str]] = []
    for heading, *cells in zip(headings, *rows, strict=True):
        width = max(map(len, (heading, *cells)))
        numbers = bool(columns) and all(cell[0].isdigit() for cell in cells if cell)
        columns.append([f"{cell:{'>' if numbers else '<'}{width}}" for cell in (heading, *cells)])
    lines = ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]
    streams.write_result(("\n".join(lines) + "\n").encode())


def show_checks(checks: Sequence[tuple[bool, str, str]]) -> None:
    """The findings of `doctor` on stdout: a mark, what was checked, what was found."""
    rows = [(("ok" if good else "!!"), what, found) for good, what, found in checks]
    width = max(len(what) for _, what, _ in rows)
    lines = [f"{mark}  {what:<{width}}  {make_visible(found)}" for mark, what, found in rows]
    streams.write_result(("\n".join(lines) + "\n").encode())
