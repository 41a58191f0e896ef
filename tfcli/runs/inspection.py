"""Looking over a run's folder: what verifies, what could be used, what only takes room."""

from __future__ import annotations

import contextlib
import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, TfcliError
from tfcli.files import find_leftovers, lock, lock_was_left, remove_folder, sweep, write_file
from tfcli.runs.run import CARD, TOKENIZER, open_run
from tfcli.runs.step import list_steps, read_state, verify_step
from tfcli.text.saved_tokenizers import ROOT as SAVED_TOKENIZERS

if TYPE_CHECKING:
    from pathlib import Path

    from tfcli.runs.run import Run


@dataclass(frozen=True)
class Inspection:
    """What was found in a run's folder; every byte that is used was read.

    Attributes:
        faults: by the path of what they are in: `run.json`, the tokenizer, a step.
        steps: all, the oldest first.
        best: of the sound ones, that with the lowest held-out loss; None where none was measured.
        mendable: whether `repair` can do anything about the faults.
        litter: what killed writers left; the next training takes it away.
        lock_left: whether a trainer was killed here.

    """

    path: Path
    faults: dict[Path, TfcliError]
    steps: tuple[Path, ...]
    best: Path | None
    mendable: bool
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
    mendable = False
    try:
        run = open_run(path)
        try:
            run.tokenizer()
        except TfcliError as error:
            faults[path / TOKENIZER] = error
            mendable = find_its_tokenizer(run) is not None
    except TfcliError as error:
        faults[path / CARD] = error
    steps = tuple(list_steps(path))
    merit: dict[Path, tuple[float, int]] = {}
    for step in steps:
        try:
            verify_step(step)
            state = read_state(step)
            loss = state.held_out.nats_per_byte if state.held_out else math.inf
            merit[step] = (loss, -state.step)
        except TfcliError as error:
            faults[step] = error
    best = min(merit, key=merit.__getitem__, default=None)
    if best is not None and merit[best][0] == math.inf:
        best = None
    useless = [step for step in steps if isinstance(faults.get(step), DamagedError)]
    return Inspection(
        path,
        faults,
        steps,
        best,
        mendable=mendable or bool(merit and useless),
        litter=tuple(find_leftovers(path)),
        lock_left=lock_was_left(path),
    )


def find_its_tokenizer(run: Run) -> bytes | None:
    """The tokenizer of a run from where else it is: under its name, or in another run."""
    for root in (SAVED_TOKENIZERS, run.path.parent):
        for path in sorted(root.glob(f"*/{TOKENIZER}")):
            with contextlib.suppress(OSError):
                model = path.read_bytes() if path.is_file() else b""
                if hashlib.sha256(model).hexdigest() == run.card["tokenizer"]["fingerprint"]:
                    return model
    return None


def repair(path: Path) -> tuple[list[Path], list[Path]]:
    """Takes away what cannot be used, and puts back a lost tokenizer that is kept elsewhere too.

    Taken away are steps that do not verify, and what killed writers left. Where no step verifies
    none is taken away: a damaged one may be all that there is. Nor is one that a newer tfcli wrote.

    Returns:
        What was removed, and what was put back.

    Raises:
        ConflictError: a trainer is at work there.

    """
    with lock(path, doing="repairing"):
        removed, restored = sweep(path), []
        found = inspect(path)
        if found.sound:
            for step in found.steps:
                if isinstance(found.faults.get(step), DamagedError):
                    remove_folder(step)
                    removed.append(step)
        if path / TOKENIZER in found.faults and (model := find_its_tokenizer(open_run(path))):
            write_file(path / TOKENIZER, model)
            restored.append(path / TOKENIZER)
    return removed, restored
