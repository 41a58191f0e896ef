"""Inspecting a run's folder: which steps are valid, which can be used, which can be removed."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, TfcliError
from tfcli.files import (
    find_leftovers,
    holder_was_killed,
    lock,
    remove_folder,
    remove_leftovers,
    verify_file,
    verify_folder,
    write_file,
)
from tfcli.runs.about import ABOUT, anew, read_about
from tfcli.runs.memory import INDEX, has_memory, verify_memory
from tfcli.runs.run import RUN_JSON, open_run
from tfcli.runs.step import OPTIMIZER, TEACHER, list_steps
from tfcli.runs.valid_steps import open_step, sorted_by_loss
from tfcli.text.saved_tokenizers import FILES as TOKENIZERS
from tfcli.text.saved_tokenizers import ROOT as SAVED_TOKENIZERS
from tfcli.text.tokenizer_file import RUN_FILES, run_file_name

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.runs.run import Run
    from tfcli.runs.step import StepState


@dataclass(frozen=True)
class Inspection:
    """What was found in a run's folder; every byte that would be used was read.

    Attributes:
        faults: by the path of what is damaged: `run.json`, the tokenizer, a step, the memory,
            `about.json`, the teacher.
        steps: all, the oldest first.
        only_weights: the damaged steps of which only the optimizer state is damaged: their weights
            can be generated with, and a new run can start from them.
        best: the step with the lowest held-out loss of those with valid weights; None if no loss
            was measured.
        tokenizer_elsewhere: whether a damaged tokenizer can be restored from another copy.
        leftovers: what killed processes left; the next training removes it.
        trainer_killed: whether a trainer was killed here.

    """

    path: Path
    faults: dict[Path, TfcliError]
    steps: tuple[Path, ...]
    only_weights: tuple[Path, ...]
    best: Path | None
    tokenizer_elsewhere: bool
    leftovers: tuple[Path, ...]
    trainer_killed: bool

    @property
    def valid(self) -> list[Path]:
        """The steps of which every byte verifies, the oldest first."""
        return [step for step in self.steps if step not in self.faults]

    @property
    def removable(self) -> list[Path]:
        """The damaged steps that nobody needs: what `repair` removes.

        These are the steps without valid weights, if another step has some, and the steps with only
        valid weights that are older than a valid step, except for the best one.
        """
        if not self.valid and not self.only_weights:
            return []  # a damaged step may be all that is left
        newest_valid = self.steps.index(self.valid[-1]) if self.valid else -1
        return [
            step
            for number, step in enumerate(self.steps)
            if isinstance(self.faults.get(step), DamagedError)
            and (step not in self.only_weights or (number < newest_valid and step != self.best))
        ]

    @property
    def usable(self) -> bool:
        """Whether the run can be opened and has a step to generate with."""
        beside = {*self.steps, self.path / INDEX, self.path / ABOUT, self.path / TEACHER}
        return bool(self.valid or self.only_weights) and not self.faults.keys() - beside

    @property
    def hint(self) -> str | None:
        """The command that repairs the faults, or makes use of what is left."""
        name = shlex.quote(self.path.name)
        if self.tokenizer_elsewhere or self.removable:
            return f"tfcli runs repair {name}"
        if self.usable and self.only_weights and not self.valid:
            return f"tfcli train FILE --from {name}"
        if self.usable and self.only_weights and self.only_weights[-1].name > self.valid[-1].name:
            return f"tfcli train --resume {name}"  # from before it, bit for bit
        if self.path / TEACHER in self.faults:
            return f"tfcli train FILE --from {name}"  # it cannot be resumed
        if self.path / INDEX in self.faults:
            return f"tfcli runs memory {name}   # makes the memory again"
        if self.steps and all(isinstance(self.faults.get(s), DamagedError) for s in self.steps):
            return f"rm -r {shlex.quote(str(self.path))}   # then train again, or restore a backup"
        if isinstance(self.faults.get(self.path / ABOUT), DamagedError):
            return anew(self.path)
        return None


def inspect(path: Path) -> Inspection:
    """Reads all of a run's folder."""
    faults: dict[Path, TfcliError] = {}
    tokenizer_elsewhere = False
    try:
        run = open_run(path)
        try:
            run.tokenizer()
        except TfcliError as error:
            faults[run.tokenizer_path] = error
            tokenizer_elsewhere = find_tokenizer_copy(run) is not None
    except TfcliError as error:
        faults[path / RUN_JSON] = error
    if (path / RUN_JSON) not in faults and has_memory(path):
        try:
            verify_memory(open_run(path))
        except TfcliError as error:
            faults[path / INDEX] = error
    try:
        read_about(path)
    except TfcliError as error:
        faults[path / ABOUT] = error
    steps = tuple(list_steps(path))
    states: dict[Path, StepState] = {}
    for step in steps:
        try:
            states[step] = open_step(step, weights_only=True).state
            verify_file(step / OPTIMIZER)
        except TfcliError as error:
            faults[step] = error
    if states and states[max(states)].student_since is not None:
        try:
            verify_folder(path / TEACHER)
        except TfcliError as error:
            faults[path / TEACHER] = error
    best = next((step for step in sorted_by_loss(states) if states[step].held_out), None)
    return Inspection(
        path,
        faults,
        steps,
        only_weights=tuple(step for step in states if step in faults),
        best=best,
        tokenizer_elsewhere=tokenizer_elsewhere,
        leftovers=tuple(find_leftovers(path)),
        trainer_killed=holder_was_killed(path),
    )


def find_tokenizer_copy(run: Run) -> bytes | None:
    """A run's tokenizer from where else it is kept: a saved tokenizer, or another run."""
    for root, names in ((SAVED_TOKENIZERS, TOKENIZERS), (run.path.parent, RUN_FILES)):
        for path in sorted(path for name in names for path in root.glob(f"*/{name}")):
            with contextlib.suppress(OSError):
                model = path.read_bytes() if path.is_file() else b""
                if hashlib.sha256(model).hexdigest() == run.metadata["tokenizer"]["fingerprint"]:
                    return model
    return None


def repair(path: Path) -> tuple[list[Path], list[Path]]:
    """Removes what nobody needs, and restores a lost tokenizer of which another copy exists.

    Removed are damaged steps, as far as `Inspection.removable` goes, and what killed processes
    left. A step that a newer tfcli wrote stays.

    Returns:
        What was removed, and what was restored.

    Raises:
        ConflictError: a trainer is running there.

    """
    with lock(path, doing="repairing"):
        removed, restored = remove_leftovers(path), []
        found = inspect(path)
        for step in found.removable:
            remove_folder(step)
            removed.append(step)
        if found.tokenizer_elsewhere and (model := find_tokenizer_copy(open_run(path))):
            write_file(place := path / run_file_name(model), model)
            restored.append(place)
    return removed, restored
