"""Tests of the reliability guarantees: few cases with `make test`, many with `make soak`.

Each test records its kind and how many cases it tried; `make soak` ends with a table of them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import BOOK
from tests.reliability.processes import Processes

SOAKING = "SOAK" in os.environ
KINDS = {
    1: "a failing system call of a writer",
    2: "kill -9 of a training; of two processes, one or both",
    3: "SIGTERM, SIGINT, SIGINT twice",
    4: "a full disk",
    5: "flipped, cut and deleted bytes of a run",
    6: "fuzzed files",
    7: "texts of every kind",
    8: "closed streams, slow readers, unusual environments, signals",
    9: "eight trainers; readers while others write",
    10: "training interrupted anywhere and resumed",
    11: "non-finite loss or gradient",
    12: "runs of earlier releases",
    13: "power loss at any moment of a write",
}

Tally = Callable[[int, int], None]


def cases(quick: int, soak: int) -> int:
    """How many cases to try."""
    return soak if SOAKING else quick


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Records which kind of test this was, and how many cases it tried."""

    def note(kind: int, count: int) -> None:
        request.node.user_properties.append(("reliability", (kind, count)))

    return note


@pytest.fixture(scope="session")
def processes() -> Processes:
    """Starts commands from a process that has already loaded torch."""
    return Processes()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder that holds book.txt."""
    (tmp_path / "book.txt").write_text(BOOK)
    return tmp_path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table of all kinds."""
    counts: defaultdict[int, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", ()):
                if name == "reliability" and report.when == "call":
                    kind, count = value
                    counts[kind][0] += count
                    counts[kind][1] += outcome == "failed"
                    counts[kind][2] += report.duration
    if not counts or not SOAKING:
        return
    terminalreporter.section("reliability")
    terminalreporter.write_line("| # | kind | cases | failures | seconds |")
    terminalreporter.write_line("| --- | --- | --- | --- | --- |")
    for kind in sorted(counts):
        tried, failed, seconds = counts[kind]
        terminalreporter.write_line(
            f"| {kind} | {KINDS[kind]} | {tried:,.0f} | {failed:.0f} | {seconds:,.0f} |"
        )
