"""`tfcli runs`: list, show, check, repair and remove runs."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfcli.cli import streams
from tfcli.cli.command import Command, Group
from tfcli.cli.commands import plot
from tfcli.cli.shared_options import JsonOption, QuietOption, typer_option
from tfcli.errors import DamagedError, DataError, NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tfcli.runs.inspection import Inspection

app = typer.Typer(cls=Group, help="List, show, verify, plot and remove runs.")
app.command("plot", cls=Command)(plot.plot)
app.command("tensorboard", cls=Command)(plot.tensorboard)


@app.callback(invoke_without_command=True)
def main(context: typer.Context, json: JsonOption = False) -> None:
    """List, show, verify, plot and remove runs. Without a command, lists them."""
    if context.invoked_subcommand is None:
        list_all(json=json)


@app.command("list", cls=Command)
def list_all(json: JsonOption = False) -> None:
    """List runs: size, loss, steps, disk usage."""
    from tfcli.cli.humanize import format_bytes, format_count, format_duration
    from tfcli.cli.render import show_table
    from tfcli.runs.run import TRAIN_COMMAND, list_runs, open_run
    from tfcli.runs.summary import summarize

    reporter = streams.Reporter(quiet=False)
    rows = []
    for path in list_runs():
        try:
            run = open_run(path)
            summary = summarize(run)
        except DataError as error:
            reporter.warn(error)
            continue
        if json:
            streams.write_json_result(summary)
        held_out, imported = summary["held_out"], run.metadata.get("imported")
        rows.append(
            [
                summary["name"],
                format_count(summary["parameters"]),
                f"{held_out['nats_per_byte']:.4f}" if held_out else "-",
                f"{summary['steps']:,}",
                format_duration(summary["seconds"]),
                format_bytes(summary["disk_bytes"]),
                "" if summary["finished"] else "imported" if imported else "unfinished",
            ]
        )
    if json:
        return
    if not rows:
        reporter.note("No runs yet.")
        reporter.next(TRAIN_COMMAND)
        return
    show_table(["run", "parameters", "nats/byte", "steps", "time", "disk", ""], rows)
    state = rows[-1][-1]
    command = "train --resume" if state == "unfinished" else "runs show"
    reporter.next(f"tfcli {command} {shlex.quote(rows[-1][0])}")


RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN", help="Names or paths.", show_default="all"),
]


@app.command(cls=Command)
def verify(names: RunsArgument = None, json: JsonOption = False) -> None:
    """Check every byte of runs, and show which checkpoints are valid.

    Exit code 65 if anything is damaged.
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
    reporter.note("1 run OK." if count == 1 else f"all {count:,} runs OK.")


@app.command(cls=Command)
def repair(names: RunsArgument = None) -> None:
    """Remove damaged checkpoints, and what killed processes left.

    A checkpoint whose weights are valid, but not its optimizer state, is removed only if a newer
    valid one exists and it is not the best. A lost tokenizer is restored if another copy exists.
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
            steps = streams.counted(len(found.valid), "valid step")
            reporter.note(f"{path.name}: {steps}, the newest {found.valid[-1].name}.")
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
    from tfcli.runs.run import ROOT, list_runs, run_folder

    return [run_folder(name, ROOT) for name in names] if names else list_runs()


def _leftovers(found: Inspection) -> list[str]:
    notes = []
    if found.trainer_killed:
        notes.append("its trainer was killed; its lock is free")
    if found.leftovers:
        notes.append(f"{streams.counted(len(found.leftovers), 'leftover')} of killed processes")
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


@app.command(cls=Command)
def show(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run's name or path.", show_default="the newest"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show one run in detail."""
    from tfcli.cli.render import show_facts
    from tfcli.runs.run import find_run
    from tfcli.runs.summary import summarize

    found, _ = find_run(run)
    summary = summarize(found)
    if json:
        streams.write_json_result(summary | {"run": found.metadata})
        return
    parts = {part: found.metadata.get(part, {}) for part in ("model", "plan", "corpus", "machine")}
    show_facts(dict(_flatten(summary | parts)))
    name = shlex.quote(found.name)
    has_checkpoint = summary["steps"] or found.metadata.get("imported")
    streams.Reporter(quiet=False).next(
        f'tfcli generate "..." --run {name}' if has_checkpoint else f"tfcli train --resume {name}"
    )


def _flatten(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The facts of nested dictionaries, with dots in their names."""
    for key, item in value.items():
        if isinstance(item, dict):
            yield from _flatten(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


@app.command("rm", cls=Command)
def remove(
    names: Annotated[list[str], typer.Argument(metavar="RUN", help="Names or paths.")],
    yes: Annotated[bool, typer_option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Remove runs, with all of their checkpoints.

    tfcli runs rm book
    """
    from tfcli.cli.humanize import format_bytes
    from tfcli.files import lock, remove_folder

    reporter = streams.Reporter(quiet=quiet)
    folders = list(dict.fromkeys(_folders(names)))
    if not yes and not (streams.is_terminal(sys.stdin) and streams.is_terminal(sys.stderr)):
        raise UsageError(
            "removing runs requires confirmation",
            hint=f"tfcli runs rm --yes {shlex.join(names)}",
        )
    for path in folders:
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if not yes:
            typer.confirm(f"Remove {path} ({format_bytes(size)})?", abort=True, err=True)
        with lock(path, doing="removing it"):
            remove_folder(path)
        reporter.note(f"Removed {path} ({format_bytes(size)}).")
