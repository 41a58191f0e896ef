"""Which of a run's steps to use, and which to keep: what verifies counts, and nothing else."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfcli.errors import DamagedError, NotFoundError, TfcliError
from tfcli.files import remove_folder
from tfcli.model.layout import check_shapes, weight_shapes
from tfcli.model.tensor_file import TensorFile
from tfcli.runs.step import MODEL, StepState, list_steps, read_state, verify_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfcli.runs.run import Run


@dataclass(frozen=True)
class ValidStep:
    """A step whose bytes were verified: all, or those that writing takes."""

    path: Path
    state: StepState


def newest_valid_step(run: Run, *, damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The newest step that verifies, or None; each newer one that does not goes to `damaged`."""
    for path in reversed(list_steps(run.path)):
        step = _verified(path, damaged)
        if step:
            return step
    return None


def newest_is_whole(run: Run) -> bool:
    """Whether every byte of the newest step verifies."""
    try:
        open_step(list_steps(run.path)[-1])
    except (TfcliError, IndexError):
        return False
    return True


def best_valid_step(run: Run, *, damaged: Callable[[TfcliError], None]) -> ValidStep | None:
    """The step to write with, or None: of those whose weights verify the lowest held-out loss.

    The newest where none was measured.
    """
    for path in steps_by_loss(run):
        step = _verified(path, damaged, to_write=True)
        if step:
            return step
    return None


def choose_step(run: Run, step: Path | None, *, damaged: Callable[[TfcliError], None]) -> ValidStep:
    """The step to write with: the one named, or the valid one with the lowest held-out loss.

    Raises:
        NotFoundError: the run has no step yet.
        DamagedError: the named one does not verify, or none does.

    """
    if step is not None:
        return open_step(step, to_write=True)
    best = best_valid_step(run, damaged=damaged)
    if best is None and list_steps(run.path):
        raise no_whole_step(run)
    if best is None:
        raise NotFoundError(
            f"the run {run.name!r} has no step yet", hint=f"tfcli train --resume {run.name}"
        )
    return best


def no_whole_step(run: Run) -> DamagedError:
    """There are steps, and none of them can be used, or none gone on from."""
    what = f"no step of the run {run.name!r} is whole"
    if best_valid_step(run, damaged=lambda _: None):
        return DamagedError(
            what,
            why="its weights are, but not what training goes on with",
            hint=f"tfcli train FILE --from {shlex.quote(run.name)}   # a new run begins with them",
        )
    return DamagedError(
        what,
        why="they are damaged, or were taken away",
        hint=f"rm -r {shlex.quote(str(run.path))}   # and train anew; or put a copy in its place",
    )


def steps_by_loss(run: Run) -> list[Path]:
    """All steps, the one whose own record has the lowest held-out loss first, not verified."""

    def demerit(path: Path) -> tuple[float, int]:
        try:
            state = read_state(path)
        except TfcliError:
            return math.inf, 0
        return state.held_out.nats_per_byte if state.held_out else math.inf, -state.step

    return sorted(list_steps(run.path), key=demerit)


def open_step(path: Path, *, to_write: bool = False) -> ValidStep:
    """Verifies and opens one step; see `verify_step`.

    Raises:
        DamagedError: a byte of it differs.

    """
    verify_step(path, to_write=to_write)
    return ValidStep(path, read_state(path))


def open_weights(run: Run, step: ValidStep) -> TensorFile:
    """The weights of a step, not read yet, looked at to be those that `run.json` describes.

    Raises:
        DamagedError: they are not.

    """
    file = TensorFile(step.path / MODEL)
    check_shapes(weight_shapes(run.model_config), file.shapes, file.path)
    return file


def _verified(
    path: Path, damaged: Callable[[TfcliError], None], *, to_write: bool = False
) -> ValidStep | None:
    try:
        return open_step(path, to_write=to_write)
    except TfcliError as error:
        if path.exists():  # else a trainer has just removed it
            damaged(error)
        return None


def prune(run: Run, *, keep: int) -> None:
    """Removes all steps but the newest `keep` and the best one.

    One whose state is damaged neither counts nor goes: that is for `repair`.
    """
    assert keep > 0, "a run without its newest step could not go on"
    known = [path for path in steps_by_loss(run) if _is_known(path)]
    newest = [path for path in list_steps(run.path) if path in known][-keep:]
    for path in known[1:]:
        if path not in newest:
            remove_folder(path)


def _is_known(step: Path) -> bool:
    try:
        read_state(step)
    except TfcliError:
        return False
    return True
