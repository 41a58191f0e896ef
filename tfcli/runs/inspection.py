"""Looking over a run's folder: what verifies, what could be used, what only takes room."""

from __future__ import annotations

import contextlib
import hashlib
import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, TfcliError
from tfcli.files import (
    find_leftovers,
    lock,
    lock_was_left,
    remove_folder,
    sweep,
    verify_file,
    write_file,
)
from tfcli.runs.run import RUN_JSON, TOKENIZER, open_run
from tfcli.runs.step import OPTIMIZER, list_steps
from tfcli.runs.valid_steps import open_step
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
        only_weights: of the damaged ones those whose weights are sound, and only what training goes
            on with (the optimizer's state) is not: they can be written with and begun from.
        best: of those that can be written with, that with the lowest held-out loss; None where none
            was measured.
        replaceable: whether a lost tokenizer is kept elsewhere too.
        litter: what killed writers left; the next training takes it away.
        lock_left: whether a trainer was killed here.

    """

    path: Path
    faults: dict[Path, TfcliError]
    steps: tuple[Path, ...]
    only_weights: tuple[Path, ...]
    best: Path | None
    replaceable: bool
    leftovers: tuple[Path, ...]
    lock_left: bool

    @property
    def sound(self) -> list[Path]:
        """The steps whose every byte verifies, the oldest first."""
        return [step for step in self.steps if step not in self.faults]

    @property
    def useless(self) -> list[Path]:
        """The damaged steps that nothing can be made of; none where there is no other."""
        if not self.sound and not self.only_weights:
            return []
        damaged = [step for step in self.steps if isinstance(self.faults.get(step), DamagedError)]
        return [step for step in damaged if step not in self.only_weights]

    @property
    def usable(self) -> bool:
        """Whether the run can be opened and has a step to write with."""
        return bool(self.sound or self.only_weights) and not self.faults.keys() - set(self.steps)

    @property
    def hint(self) -> str | None:
        """The command that mends the faults, or makes something of what is left."""
        name = shlex.quote(self.path.name)
        if self.replaceable or self.useless:
            return f"tfcli runs repair {name}"
        if self.usable and self.only_weights and not self.sound:
            return f"tfcli train FILE --from {name}"
        if self.usable and self.only_weights and self.only_weights[-1].name > self.sound[-1].name:
            return f"tfcli train --resume {name}"  # from before it, and to the same bits
        return None


def inspect(path: Path) -> Inspection:
    """Reads all of a run's folder."""
    faults: dict[Path, TfcliError] = {}
    replaceable = False
    try:
        run = open_run(path)
        try:
            run.tokenizer()
        except TfcliError as error:
            faults[path / TOKENIZER] = error
            replaceable = find_its_tokenizer(run) is not None
    except TfcliError as error:
        faults[path / RUN_JSON] = error
    steps = tuple(list_steps(path))
    merit: dict[Path, tuple[float, int]] = {}
    for step in steps:
        try:
            state = open_step(step, to_write=True).state
            loss = state.held_out.nats_per_byte if state.held_out else math.inf
            merit[step] = (loss, -state.step)
            verify_file(step / OPTIMIZER)
        except TfcliError as error:
            faults[step] = error
    only_weights = tuple(step for step in merit if step in faults)
    best = min(merit, key=merit.__getitem__, default=None)
    if best is not None and merit[best][0] == math.inf:
        best = None
    return Inspection(
        path,
        faults,
        steps,
        only_weights,
        best,
        replaceable,
        leftovers=tuple(find_leftovers(path)),
        lock_left=lock_was_left(path),
    )


def find_its_tokenizer(run: Run) -> bytes | None:
    """The tokenizer of a run from where else it is: under its name, or in another run."""
    for root in (SAVED_TOKENIZERS, run.path.parent):
        for path in sorted(root.glob(f"*/{TOKENIZER}")):
            with contextlib.suppress(OSError):
                model = path.read_bytes() if path.is_file() else b""
                if hashlib.sha256(model).hexdigest() == run.metadata["tokenizer"]["fingerprint"]:
                    return model
    return None


def repair(path: Path) -> tuple[list[Path], list[Path]]:
    """Takes away what cannot be used, and puts back a lost tokenizer that is kept elsewhere too.

    Taken away are steps whose weights do not verify, and what killed writers left. Where no step
    has weights that do none is taken away: a damaged one may be all that there is. Nor is one that
    a newer tfcli wrote.

    Returns:
        What was removed, and what was put back.

    Raises:
        ConflictError: a trainer is at work there.

    """
    with lock(path, doing="repairing"):
        removed, restored = sweep(path), []
        found = inspect(path)
        for step in found.useless:
            remove_folder(step)
            removed.append(step)
        if path / TOKENIZER in found.faults and (model := find_its_tokenizer(open_run(path))):
            write_file(path / TOKENIZER, model)
            restored.append(path / TOKENIZER)
    return removed, restored
