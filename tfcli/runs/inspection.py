"""Looking over a run's folder: what verifies, what could be used, what only takes room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, TfcliError
from tfcli.files import find_leftovers, lock, lock_was_left, remove_folder, sweep
from tfcli.runs.run import open_run
from tfcli.runs.step import list_steps, read_state, verify_step

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Inspection:
    """What was found in a run's folder; every byte was read.

    Attributes:
        faults: by the path of what they are in: `run.json`, the tokenizer, a step.
        steps: all, the oldest first.
        best: of the sound ones, that with the lowest held-out loss.
        litter: what killed writers left; the next training takes it away.
        lock_left: whether a trainer was killed here.

    """

    path: Path
    faults: dict[Path, TfcliError]
    steps: tuple[Path, ...]
    best: Path | None
    litter: tuple[Path, ...]
    lock_left: bool

    @property
    def sound(self) -> list[Path]:
        """The steps whose every byte verifies, the oldest first."""
        return [step for step in self.steps if step not in self.faults]

    @property
    def usable(self) -> bool:
        """Whether the run can be opened and has a step."""
        return bool(self.sound) and not self.faults.keys() - set(self.steps)


def inspect(path: Path) -> Inspection:
    """Reads all of a run's folder."""
    faults: dict[Path, TfcliError] = {}
    try:
        open_run(path).tokenizer()
    except TfcliError as error:
        faults[path] = error
    steps = tuple(list_steps(path))
    merit: dict[Path, tuple[float, int]] = {}
    for step in steps:
        try:
            verify_step(step)
            state = read_state(step)
            loss = state.held_out.nats_per_byte if state.held_out else float("inf")
            merit[step] = (loss, -state.step)
        except TfcliError as error:
            faults[step] = error
    best = min(merit, key=merit.__getitem__, default=None)
    litter = tuple(find_leftovers(path))
    return Inspection(path, faults, steps, best, litter, lock_was_left(path))


def repair(path: Path) -> list[Path]:
    """Takes away what cannot be used: steps that do not verify, and what killed writers left.

    Where no step verifies none is taken away: a damaged one may be all that there is. Nor is one
    that a newer tfcli wrote.

    Returns:
        What was removed.

    Raises:
        ConflictError: a trainer is at work there.

    """
    with lock(path, doing="repairing"):
        removed = sweep(path)
        found = inspect(path)
        if found.sound:
            for step in found.steps:
                if isinstance(found.faults.get(step), DamagedError):
                    remove_folder(step)
                    removed.append(step)
    return removed
