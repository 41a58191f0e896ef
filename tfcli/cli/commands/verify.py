"""`tfcli runs verify` and `tfcli runs repair`: every byte of a run, checked and mended."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfcli.cli import streams
from tfcli.cli.shared_options import JsonOption
from tfcli.errors import DamagedError, DataError, NotFoundError
from tfcli.quantities import counted

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.runs.inspection import Inspection

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", help="Names or paths.", show_default="all"),
]


def verify(names: RunsArgument = None, json: JsonOption = False) -> None:
    """Check every byte of runs, and show which checkpoints are valid.

    The exit code is 65 if anything is damaged.
    """
    from tfcli.cli.render import show_table
    from tfcli.runs.inspection import inspect

    reporter = streams.Reporter(quiet=False)
    inspections = [inspect(path) for path in _folders(names)]
    rows = []
    for found in inspections:
        if json:
            streams.write_json_result(_inspection_as_json(found))
        for step in found.steps:
            fault = found.faults.get(step)
            state = "valid, best" if step == found.best else "valid"
            if step in found.only_weights:
                state = f"weights only{', best' * (step == found.best)}"
            elif fault:
                state = "damaged" if isinstance(fault, DamagedError) else "unreadable"
            rows.append([found.path.name, step.name, state])
        if not found.steps:
            rows.append([found.path.name, "", "no checkpoint yet"])
        for error in found.faults.values():
            reporter.warn(error)
        for note in _leftovers(found):
            reporter.note(f"{found.path.name}: {note}")
    if rows and not json:
        show_table(["run", "step", "state"], rows)
    damaged = [found for found in inspections if found.faults]
    for found in inspections:
        name, faults = shlex.quote(found.path.name), found.faults.values()
        if found.hint:
            reporter.next(found.hint)
        elif any(isinstance(fault, DamagedError | NotFoundError) for fault in faults):
            reporter.note(f"{found.path.name}: cannot be repaired; restore it from a backup.")
        elif found.trainer_killed:
            reporter.next(f"tfcli train --resume {name}")
    if damaged:
        raise typer.Exit(DataError.exit_code)
    count = len(inspections)
    reporter.note("1 run OK." if count == 1 else f"All {count:,} runs OK.")


def repair(names: RunsArgument = None) -> None:
    """Remove damaged checkpoints, and what killed processes left.

    The best and the newest valid weights always stay.
    A lost tokenizer is restored if there is another copy of it.
    """
    from tfcli.runs.inspection import inspect, repair
    from tfcli.text.corpus import CACHE, remove_cache_leftovers

    reporter = streams.Reporter(quiet=False)
    broken = False
    for path in _folders(names):
        removed, restored = repair(path)
        for gone in removed:
            reporter.note(f"Removed: {gone}")
        for back in restored:
            reporter.note(f"Restored: {back}")
        found = inspect(path)
        for error in found.faults.values():
            reporter.warn(error)
        if found.valid and found.usable:
            steps = counted(len(found.valid), "valid checkpoint")
            reporter.note(f"{path.name}: {steps}, newest {found.valid[-1].name}.")
        elif found.usable:
            reporter.note(f"{path.name}: can generate, but not resume training.")
        elif not found.faults:
            reporter.note(f"{path.name}: no checkpoint yet.")
        else:
            broken = True
            reporter.note(f"{path.name}: cannot be repaired; restore it from a backup.")
        if found.hint:
            reporter.next(found.hint)
    for gone in remove_cache_leftovers(CACHE):
        reporter.note(f"Removed: {gone}")
    if broken:
        raise typer.Exit(DataError.exit_code)


def _folders(names: list[str] | None) -> list[Path]:
    """The folders of runs by name, damaged ones included."""
    from tfcli.runs.run import list_runs, run_folder

    return [run_folder(name) for name in names] if names else list_runs()


def _leftovers(found: Inspection) -> list[str]:
    notes = []
    if found.trainer_killed:
        notes.append("training was killed; the run is not locked")
    if found.leftovers:
        notes.append(f"{counted(len(found.leftovers), 'leftover')} of killed processes")
    return notes


def _inspection_as_json(found: Inspection) -> dict[str, Any]:
    return {
        "name": found.path.name,
        "usable": found.usable,
        "newest": found.valid[-1].name if found.valid else None,
        "best": found.best.name if found.best else None,
        "steps": [step.name for step in found.steps],
        "only_weights": [step.name for step in found.only_weights],
        "faults": {str(path): error.what for path, error in found.faults.items()},
        "leftovers": [str(path) for path in found.leftovers],
        "killed": found.trainer_killed,
    }
