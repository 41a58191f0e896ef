"""The checkpoint that a command opens, and what is said where it is not the one that was meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfcli.generation.open_engine import Opened, open_best

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tfcli.cli.streams import Reporter
    from tfcli.errors import TfcliError
    from tfcli.runs.run import Run
    from tfcli.runs.valid_steps import ValidStep


def open_best_step(
    run: Run, step: Path | None, open_with: Callable[[ValidStep], Opened], reporter: Reporter
) -> tuple[ValidStep, Opened]:
    """As `open_best`: warns of steps that are damaged, and says which one is used instead."""
    damaged: list[TfcliError] = []

    def warn(error: TfcliError) -> None:
        damaged.append(error)
        reporter.warn(error)

    chosen, opened = open_best(run, step, open_with, on_damaged=warn)
    if damaged:
        reporter.note(f"Using {chosen.path.name} instead.")
    return chosen, opened
